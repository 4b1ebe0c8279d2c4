"""The whole path on real parts: backend, broker, runtime, module, and three real storages one after the other."""
import hashlib
import hmac
import base64
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.parse

import pytest
import requests

import s3
from harness import BIN, SOURCE, Backend, Runtime, files_below, wait_until

FIXTURES = SOURCE / "tests" / "fixtures"
AZURITE_INSTALLED = SOURCE / "build" / "azurite"


def read_env(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


@pytest.fixture(scope="module")
def folder():
    """Readable for the users that modules run under, so not pytest's own temporary folder (0700)."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="evp-e2e-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def server(name, folder, *arguments):
    where, log = folder / name, folder / f"{name}.log"
    with open(log, "wb") as out:  # a file: a pipe would stay open as long as the servers live
        code = subprocess.run([FIXTURES / name / "start", where, *arguments], stdout=out, stderr=out, timeout=300).returncode
    assert code == 0, log.read_text()
    return where


@pytest.fixture(scope="module")
def azurite(folder):
    subprocess.run([FIXTURES / "azurite" / "install", AZURITE_INSTALLED], check=True)
    where = server("azurite", folder, AZURITE_INSTALLED)
    yield read_env(where / "env")
    subprocess.run([FIXTURES / "azurite" / "stop", where], check=True)


@pytest.fixture(scope="module")
def rgw(folder):
    where = server("rgw", folder)
    yield read_env(where / "env")
    subprocess.run([FIXTURES / "rgw" / "stop", where], check=True)


@pytest.fixture(scope="module")
def backend(folder):
    b = Backend(folder / "backend")
    yield b
    b.stop()


@pytest.fixture(scope="module")
def device(folder, backend):
    """cam-1 with the camera module running on it."""
    token = backend.make_device("cam-1")
    backend.ok("PUT", "/v1/modules/camera-1", data=(BIN / "modules" / "camera").read_bytes(),
               headers={"Content-Type": "application/octet-stream"})
    backend.ok("PUT", "/v1/devices/cam-1/deployment", json.loads((SOURCE / "examples/camera/deployment.json").read_text()))
    runtime = Runtime(folder / "device", backend, "cam-1", token)
    wait_until(lambda: instance_status(backend) == "ok", 60, "the start of the camera")
    yield runtime
    runtime.stop()


def instance_status(backend):
    status = backend.ok("GET", "/v1/devices/cam-1/state")["deploymentStatus"] or {}
    return status.get("instances", {}).get("camera", {}).get("status")


def set_service(backend, body):
    exists = backend.call("GET", "/v1/storage-access-services/default").status_code == 200
    return backend.ok("PUT" if exists else "POST", "/v1/storage-access-services/default" if exists else "/v1/storage-access-services", body)


def take_picture(backend, expect="success"):
    """Asks the camera, waits for the module's callback; gives its words, the ledger's entry and the file on the device."""
    answer = backend.ok("POST", "/v1/devices/cam-1/commands/camera/take-picture", {"params": {"keep": True}, "timeLimit": "PT40S"})
    said = answer["response"]
    assert said["result"] == expect, said
    entries = backend.ok("GET", "/v1/uploads?device=cam-1")["uploads"]
    return said, next(e for e in entries if e["object"].endswith(said["name"]))


def check_arrived(said, entry, stored, device):
    original = (device.workspace("camera") / said["file"]).read_bytes()
    assert stored == original and original[:3] == b"\xff\xd8\xff"
    assert entry["state"] == "verified"
    assert entry["sizeBytes"] == len(original)
    assert entry["sha256"] == hashlib.sha256(original).hexdigest()
    assert entry["object"] == f"cam-1/camera/{said['name']}"


def azure_sas(azurite, container, blob):
    expiry = (datetime.datetime.utcnow() + datetime.timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    account = azurite["AZURITE_ACCOUNT"]
    text = "\n".join(["r", "", expiry, f"/blob/{account}/{container}/{blob}", "", "", "", "2022-11-02", "b", *[""] * 7])
    signature = base64.b64encode(hmac.new(base64.b64decode(azurite["AZURITE_KEY"]), text.encode(), "sha256").digest()).decode()
    return "sv=2022-11-02&sr=b&sp=r&se=" + urllib.parse.quote(expiry) + "&sig=" + urllib.parse.quote(signature, safe="")


def azure_get(azurite, container, blob):
    url = f"{azurite['AZURITE_HTTPS']}/{azurite['AZURITE_ACCOUNT']}/{container}/{urllib.parse.quote(blob)}?{azure_sas(azurite, container, blob)}"
    answer = requests.get(url, verify=azurite["AZURITE_CA"], timeout=90)
    assert answer.status_code == 200, answer.text
    return answer.content


def azure_service(azurite, certificate, endpoint=None):
    account = azurite["AZURITE_ACCOUNT"]
    return {"type": "AZURE", "endpoint": endpoint or f"{azurite['AZURITE_HTTPS']}/{account}",
            "connectionString": f"DefaultEndpointsProtocol=https;AccountName={account};AccountKey={azurite['AZURITE_KEY']};EndpointSuffix=core.windows.net",
            "headers": {"x-ms-blob-type": "BlockBlob"}, "certificate": certificate, "expirationDuration": "PT2M"}


def test_a_file_lands_in_each_storage_and_nothing_on_the_device_changes(backend, device, azurite, rgw):
    set_service(backend, {"type": "LOCAL"})
    said, entry = take_picture(backend)
    stored = [p for p in files_below(backend.data / "local") if p.stat().st_size == said["size"] and p.read_bytes()[:3] == b"\xff\xd8\xff"
              and p.suffix != ".tmp"]
    assert stored, "no object of that size in the built-in store"
    check_arrived(said, entry, stored[0].read_bytes(), device)
    pids = (device.process.pid, device.module_pids())

    ca = pathlib.Path(azurite["AZURITE_CA"]).read_text()
    answer = set_service(backend, azure_service(azurite, ca))
    assert answer["type"] == "AZURE" and azurite["AZURITE_KEY"] not in json.dumps(answer)
    test = backend.ok("POST", "/v1/storage-access-services/default/test")
    assert test["ok"] and [s["name"] for s in test["steps"]] == ["prepare", "put", "stat", "get", "remove"]
    said, entry = take_picture(backend)
    check_arrived(said, entry, azure_get(azurite, "evp", entry["object"]), device)
    certificates = list((device.data / "certificates").iterdir())
    assert [c.read_text() for c in certificates] == [ca]

    set_service(backend, {"type": "AWS", "endpoint": rgw["RGW_HTTP"], "region": "us-east-1", "bucket": "fleet", "pathStyle": True,
                          "accessKeyId": rgw["RGW_ACCESS_KEY"], "secretAccessKey": rgw["RGW_SECRET_KEY"]})
    said, entry = take_picture(backend)
    check_arrived(said, entry, s3.get(rgw, "fleet", entry["object"]), device)

    assert (device.process.pid, device.module_pids()) == pids


def test_a_wrong_certificate_is_a_clear_error_and_the_next_file_goes_on(backend, device, azurite, folder):
    other = folder / "other-ca"
    other.mkdir(exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", other / "key.pem",
                    "-out", other / "ca.pem", "-days", "2", "-subj", "/CN=another authority"], check=True, capture_output=True)
    answer = set_service(backend, azure_service(azurite, (other / "ca.pem").read_text()))
    assert answer["warnings"], "a storage that cannot be reached with its certificate is worth a warning"
    said, entry = take_picture(backend, expect="error")
    assert said["httpStatus"] == 0 and said["error"] == 1  # EPERM: what existing modules know for TLS failures
    assert entry["state"] == "failed" and "certificate" in entry["reason"].lower()

    set_service(backend, azure_service(azurite, pathlib.Path(azurite["AZURITE_CA"]).read_text()))
    take_picture(backend)


def test_a_restarted_runtime_starts_its_module_again_and_uploads(backend, device):
    device.stop()
    wait_until(lambda: not backend.ok("GET", "/v1/devices/cam-1")["online"], what="the device being offline")
    device.start()
    wait_until(lambda: backend.ok("GET", "/v1/devices/cam-1")["online"] and device.module_pids(), what="the device being back")
    wait_until(lambda: instance_status(backend) == "ok", what="the camera being back")
    take_picture(backend)


def test_a_crashed_module_is_restarted(backend, device):
    (before,) = device.module_pids()
    subprocess.run(["kill", "-SEGV", str(before)], check=True)
    wait_until(lambda: len(device.module_pids()) == 1 and device.module_pids() != [before], what="the module's restart")
    wait_until(lambda: backend.call("POST", "/v1/devices/cam-1/commands/camera/take-picture", {"params": {}}).status_code == 200, 90, "a picture")


def test_configuration_makes_the_camera_upload_by_itself(backend, device):
    count = lambda: len([u for u in backend.ok("GET", "/v1/uploads?device=cam-1&state=verified")["uploads"] if "/every/" in u["object"]])
    backend.ok("PUT", "/v1/devices/cam-1/configuration/camera/upload", {"value": json.dumps({"intervalSeconds": 0.3, "prefix": "every/"})})
    wait_until(lambda: count() >= 3, 90, "three pictures")
    backend.ok("PUT", "/v1/devices/cam-1/configuration/camera/upload", {"value": json.dumps({"intervalSeconds": 0})})


def test_a_module_of_a_kind_that_cannot_run_is_reported_and_the_others_go_on(backend, device):
    before = device.module_pids()
    backend.ok("PUT", "/v1/modules/py-1", data=b"print('hello')", headers={"Content-Type": "application/octet-stream"})
    good = json.loads((SOURCE / "examples/camera/deployment.json").read_text())
    bad = json.loads(json.dumps(good))
    bad["deploymentId"] = "bad"
    bad["modules"]["py-1"] = {"moduleImpl": "python", "entryPoint": "main"}
    bad["instanceSpecs"]["script"] = {"moduleId": "py-1", "publish": {}, "subscribe": {}}
    backend.ok("PUT", "/v1/devices/cam-1/deployment", bad)

    def reported():
        status = backend.ok("GET", "/v1/devices/cam-1/state")["deploymentStatus"]
        return status["deploymentId"] == "bad" and status["reconcileStatus"] == "error" and status
    status = wait_until(reported, 90, "the report of the module that cannot run")
    texts = [status["modules"].get("py-1", {}), status["instances"].get("script", {})]
    assert any(t.get("status") == "error" and t.get("failureMessage") for t in texts)
    assert device.module_pids() == before
    backend.ok("PUT", "/v1/devices/cam-1/deployment", good)
    wait_until(lambda: backend.ok("GET", "/v1/devices/cam-1/state")["deploymentStatus"]["reconcileStatus"] == "ok", 90, "the good deployment")


def test_blocking_disconnects_at_once_and_unblocking_lets_it_return(backend, device):
    backend.ok("POST", "/v1/devices/cam-1/block")
    began = time.monotonic()
    wait_until(lambda: not backend.ok("GET", "/v1/devices/cam-1")["online"], what="the disconnection")
    print(f"\noffline {(time.monotonic() - began) * 1000:.0f} ms after the block")
    refused = backend.call("POST", "/v1/devices/cam-1/commands/camera/take-picture", {"params": {}})
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "failed_precondition", refused.text
    backend.ok("POST", "/v1/devices/cam-1/unblock")
    wait_until(lambda: backend.ok("GET", "/v1/devices/cam-1")["online"], 120, "the device's return")


def test_no_secret_and_no_signed_url_is_in_any_log_argument_or_environment(backend, device, azurite, rgw):
    secrets = [backend.token, azurite["AZURITE_KEY"], rgw["RGW_SECRET_KEY"], device.env["EVP_MQTT_PASSWORD"], "sig=", "X-Amz-Signature"]
    texts = {"backend's log": backend.process.text(), "runtime's log": device.process.text()}
    for process in (backend.process, device.process):
        texts[f"arguments of {process.pid}"] = pathlib.Path(f"/proc/{process.pid}/cmdline").read_text()
    try:
        texts["backend's environment"] = pathlib.Path(f"/proc/{backend.process.pid}/environ").read_text(errors="replace")
    except PermissionError:  # the process is not dumpable, so that nobody but root reads this, not even its own user
        assert os.geteuid() != 0
    for where, text in texts.items():
        for secret in secrets:
            assert secret not in text, f"a secret stands in the {where}"
    database = b"".join(p.read_bytes() for p in files_below(backend.data) if ".db" in p.name)
    assert database, "no database file found"
    for secret in (azurite["AZURITE_KEY"], rgw["RGW_SECRET_KEY"], device.env["EVP_MQTT_PASSWORD"], backend.token):
        assert secret.encode() not in database
