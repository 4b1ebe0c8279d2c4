"""A storage that takes uploads as forms, through runtime and backend: the device knows no vendor and sends one all the same."""
import hashlib
import pathlib
import subprocess
import tempfile

import pytest

from harness import BIN, SOURCE, Backend, Runtime, wait_until


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="evp-forms-") as name:
        pathlib.Path(name).chmod(0o755)  # modules run under users of their own
        yield pathlib.Path(name)


@pytest.fixture(scope="module")
def double(folder):
    scripts = SOURCE / "tests" / "conformance" / "doubles"
    with open(folder / "doubles.log", "w") as log:
        subprocess.run([scripts / "start", folder / "doubles"], check=True, stdout=log, stderr=log)
    yield dict(line.split("=", 1) for line in (folder / "doubles" / "env").read_text().splitlines() if "=" in line)
    subprocess.run([scripts / "stop", folder / "doubles"], check=True)


def test_a_file_goes_as_a_form_and_is_found_whole(folder, double):
    backend = Backend(folder / "backend")
    token = backend.make_device("cam-1")
    backend.ok("PUT", "/v1/modules/uploader-1", data=(BIN / "modules" / "bench_uploader").read_bytes(),
               headers={"Content-Type": "application/octet-stream"})
    instance = {"moduleId": "uploader-1", "publish": {}, "subscribe": {}}
    module = {"moduleImpl": "spawn", "entryPoint": "main"}
    backend.ok("PUT", "/v1/devices/cam-1/deployment",
               {"deploymentId": "d1", "instanceSpecs": {"up": instance}, "modules": {"uploader-1": module}})
    place = double["QINIU_HTTP"]
    backend.ok("POST", "/v1/storage-access-services",
               {"type": "QINIU", "endpoint": place, "managementEndpoint": place, "domain": place, "bucket": "fleet",
                "accessKeyId": double["QINIU_ID"], "secretAccessKey": double["QINIU_KEY"]})
    runtime = Runtime(folder / "device", backend, "cam-1", token)
    started = lambda: (backend.ok("GET", "/v1/devices/cam-1/state").get("deploymentStatus") or {}).get("instances", {}).get("up", {}).get("status")
    wait_until(lambda: started() == "ok", 60, "the start of the module")
    count, size = 3, 100_000
    backend.call("POST", "/v1/devices/cam-1/commands/up/run",
                 {"params": {"count": count, "bytes": size, "outstanding": 2, "storage": "default"}})
    rows = lambda: backend.ok("GET", "/v1/uploads?service=default")["uploads"]
    wait_until(lambda: len(rows()) == count and all(r["state"] in ("verified", "failed") for r in rows()), 60, "the uploads")
    for row in rows():
        assert row["state"] == "verified", row
        assert row["sizeBytes"] == size
        assert row["sha256"] in {hashlib.sha256(f.read_bytes()).hexdigest() for f in runtime.workspace("up").rglob("*.bin")}
    runtime.stop()
    backend.stop()
