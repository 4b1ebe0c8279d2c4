"""Uploads that are no plain PUT of a signed URL, through runtime and backend: a POST with a token in its headers, a form, parts one
after the other, chunks of a session. The storages are the strict doubles of the conformance suite.
"""
import hashlib
import pathlib

import pytest

from harness import BIN, SOURCE, Backend, Runtime, server, wait_until

SMALL, LARGE = 100_000, 72 << 20  # in one piece, and above that


@pytest.fixture
def doubles(folder):
    with server(SOURCE / "tests" / "conformance" / "doubles", folder / "doubles") as values:
        yield values


def services(e):
    """By name: the service's options, and the sizes that go there."""
    qiniu = {name: e["QINIU_HTTP"] for name in ("endpoint", "managementEndpoint", "domain")}
    yield "b2", {"type": "B2", "endpoint": e["B2_HTTP"], "bucket": "fleet-of-test", "applicationKeyId": e["B2_ID"],
                 "applicationKey": e["B2_KEY"]}, (SMALL, LARGE)
    yield "oci", {"type": "OCI", "endpoint": e["OCI_HTTP"], "namespace": e["OCI_NAMESPACE"], "tenancy": e["OCI_TENANCY"],
                  "user": e["OCI_USER"], "fingerprint": e["OCI_FINGERPRINT"],
                  "privateKey": pathlib.Path(e["OCI_PEM"]).read_text()}, (SMALL, LARGE)
    yield "gcp", {"type": "GCP", "endpoint": e["GCP_HTTP"], "accessKeyId": e["GCP_ID"], "secretAccessKey": e["GCP_KEY"],
                  "resumable": True}, (LARGE,)
    yield "qiniu", {"type": "QINIU", "accessKeyId": e["QINIU_ID"], "secretAccessKey": e["QINIU_KEY"], **qiniu}, (SMALL,)


def test_a_device_that_knows_no_vendor_executes_every_kind_of_grant(folder, doubles):
    backend = Backend(folder / "backend")
    token = backend.make_device("cam-1")
    backend.deploy("cam-1", "up", BIN / "modules" / "bench_uploader")
    for name, options, _ in services(doubles):
        backend.ok("POST", "/v1/storage-access-services", {"name": name, **options})
    runtime = Runtime(folder / "device", backend, "cam-1", token)
    wait_until(lambda: backend.instance_status("cam-1", "up") == "ok", 120, "the start of the module")
    for name, _, sizes in services(doubles):
        for count, size in enumerate(sizes, 1):
            backend.call("POST", "/v1/devices/cam-1/commands/up/run",
                         {"params": {"count": 1, "bytes": size, "outstanding": 1, "storage": name}})  # the ledger tells the end
            rows = lambda: backend.ok("GET", f"/v1/uploads?service={name}")["uploads"]
            ended = lambda: len(rows()) == count and all(r["state"] in ("verified", "failed") for r in rows())
            wait_until(ended, 240, f"the upload of {size} bytes into {name}")
            assert {r["state"] for r in rows()} == {"verified"}, rows()
            row = next(r for r in rows() if r["sizeBytes"] == size)
            if size == SMALL:  # in one piece: the ledger has the file's digest, not that of the form around it
                assert row["sha256"] in {hashlib.sha256(f.read_bytes()).hexdigest() for f in runtime.workspace("up").rglob("*.bin")}
    runtime.stop()
    backend.stop()
