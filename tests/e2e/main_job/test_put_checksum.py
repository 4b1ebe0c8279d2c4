"""A key that can only write: grants bound to the file's SHA-256 prove each upload, and nobody looks at the object."""
import hashlib
import json

import pytest

import s3
from harness import BIN, SOURCE, Backend, Runtime, server, wait_until

BYTES = 9 << 20  # more than the runtime hashes in one turn
WRITER = {"Principal": {"AWS": ["arn:aws:iam:::user/writer"]}, "Resource": ["arn:aws:s3:::drop/*"]}
# What the writer has put is his own, and he might read it but for the second line.
WRITE_ONLY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:PutObject"], **WRITER},
                                                     {"Effect": "Deny", "Action": ["s3:GetObject"], **WRITER}]}


@pytest.fixture(scope="module")
def rgw(folder):
    with server(SOURCE / "tests" / "fixtures" / "rgw", folder / "rgw") as values:
        assert s3.call(values, "PUT", "/drop").status_code == 200
        assert s3.call(values, "PUT", "/drop", "policy=", json.dumps(WRITE_ONLY).encode()).status_code < 300
        yield values


def test_the_runtimes_uploads_are_verified_by_their_checksum(folder, rgw):
    backend = Backend(folder / "backend")
    token = backend.make_device("cam-1")
    backend.deploy("cam-1", "up", BIN / "modules" / "bench_uploader")
    backend.ok("POST", "/v1/storage-access-services", {"type": "LOCAL", "verify": "put-checksum"})
    writer = (rgw["RGW_WRITER_KEY"], rgw["RGW_WRITER_SECRET"])
    backend.ok("POST", "/v1/storage-access-services",
               {"type": "AWS", "name": "s3", "provider": "ceph", "endpoint": rgw["RGW_HTTP"], "accessKeyId": writer[0], "secretAccessKey": writer[1],
                "bucket": "drop", "headers": {"x-amz-acl": "bucket-owner-full-control"}, "verify": "put-checksum"})
    runtime = Runtime(folder / "device", backend, "cam-1", token)
    wait_until(lambda: backend.instance_status("cam-1", "up") == "ok", 120, "the start of the module")
    for storage in ("default", "s3"):
        backend.call("POST", "/v1/devices/cam-1/commands/up/run",
                     {"params": {"count": 3, "bytes": BYTES, "outstanding": 1, "storage": storage}})  # the ledger tells the end
        rows = lambda: backend.ok("GET", f"/v1/uploads?service={storage}")["uploads"]
        wait_until(lambda: len(rows()) == 3 and all(r["state"] in ("verified", "failed") for r in rows()), 240, f"the uploads into {storage}")
        sent = {hashlib.sha256(f.read_bytes()).hexdigest() for f in runtime.workspace("up").rglob("*.bin")}
        for row in rows():
            assert row["state"] == "verified" and row["verify"] == "put-checksum", row
            assert row["sizeBytes"] == BYTES and row["sha256"] in sent, row
    for row in rows():
        assert hashlib.sha256(s3.get(rgw, "drop", row["object"])).hexdigest() == row["sha256"]
        assert s3.call(rgw, "HEAD", "/drop/" + row["object"], key=writer).status_code == 403, "or the key proves nothing"
    runtime.stop()
    backend.stop()
