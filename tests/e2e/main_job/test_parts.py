"""A file that goes in parts, through runtime, backend and two real storages: the object holds the file's very bytes."""
import hashlib

import pytest

from harness import BIN, SOURCE, Backend, Runtime, server, wait_until

BYTES = 72 << 20  # above what goes in one piece


@pytest.fixture(scope="module")
def rgw(folder):
    with server(SOURCE / "tests" / "fixtures" / "rgw", folder / "rgw") as values:
        yield values


def test_a_large_file_arrives_in_parts_in_each_storage(folder, rgw):
    backend = Backend(folder / "backend")
    token = backend.make_device("cam-1")
    backend.deploy("cam-1", "up", BIN / "modules" / "bench_uploader")
    backend.ok("POST", "/v1/storage-access-services", {"type": "LOCAL"})
    backend.ok("POST", "/v1/storage-access-services",
               {"type": "AWS", "name": "s3", "endpoint": rgw["RGW_HTTP"], "accessKeyId": rgw["RGW_ACCESS_KEY"],
                "secretAccessKey": rgw["RGW_SECRET_KEY"], "bucket": "parts"})
    runtime = Runtime(folder / "device", backend, "cam-1", token)
    wait_until(lambda: backend.instance_status("cam-1", "up") == "ok", 120, "the start of the module")
    for storage in ("default", "s3"):
        backend.call("POST", "/v1/devices/cam-1/commands/up/run",
                     {"params": {"count": 1, "bytes": BYTES, "outstanding": 1, "storage": storage}})  # the ledger tells the end
        rows = lambda: backend.ok("GET", f"/v1/uploads?service={storage}")["uploads"]
        wait_until(lambda: rows() and rows()[0]["state"] in ("verified", "failed"), 240, f"the upload into {storage}")
        assert rows()[0]["state"] == "verified", rows()[0]
        assert rows()[0]["sizeBytes"] == BYTES and len(rows()) == 1
    sent = next(runtime.workspace("up").rglob("*.bin")).read_bytes()
    assert len(sent) == BYTES
    stored = [f for f in (backend.data / "local").rglob("*") if f.is_file() and f.stat().st_size == BYTES]
    assert len(stored) == 1
    assert hashlib.sha256(stored[0].read_bytes()).digest() == hashlib.sha256(sent).digest()
    assert not list((backend.data / "local").rglob("%parts/*")), "nothing of the upload is left behind"
    runtime.stop()
    backend.stop()
