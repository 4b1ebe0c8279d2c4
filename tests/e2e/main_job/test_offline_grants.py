"""Files go on while the broker is down: grants that were given beforehand, through kills of the runtime, each file once."""
import hashlib
import urllib.parse

import pytest

import s3
from harness import BIN, SOURCE, Backend, Runtime, server, wait_until
from relay import Relay

FILES, BYTES = 30, 150_000
ORDINARY = 3  # grants of a runtime with one transfer at once: that one, and two that are asked for ahead
SECRETS = (b"X-Amz-Signature", b"X-Amz-Credential")


@pytest.fixture(scope="module")
def rgw(folder):
    with server(SOURCE / "tests" / "fixtures" / "rgw", folder / "rgw") as values:
        yield values


def relay_to(url):
    where = urllib.parse.urlsplit(url)
    return Relay(where.hostname, where.port)


def test_queued_files_arrive_without_the_broker_and_are_confirmed_once_when_it_is_back(folder, rgw):
    backend = Backend(folder / "backend")
    token = backend.make_device("cam-1")
    backend.deploy("cam-1", "up", BIN / "modules" / "bench_uploader")
    storage, broker = relay_to(rgw["RGW_HTTP"]), Relay(backend.mqtt_host, backend.mqtt_port)
    assert s3.call(rgw, "PUT", "/kept").status_code == 200
    made = backend.ok("POST", "/v1/storage-access-services",
                      {"type": "AWS", "name": "s3", "endpoint": f"http://127.0.0.1:{storage.port}", "accessKeyId": rgw["RGW_ACCESS_KEY"],
                       "secretAccessKey": rgw["RGW_SECRET_KEY"], "bucket": "kept", "pathStyle": True, "offlineGrantDuration": "PT1H"})
    assert made["offlineGrantDuration"] == "PT1H", made
    runtime = Runtime(folder / "device", backend, "cam-1", token,
                      {"EVP_MQTT_PORT": str(broker.port), "EVP_TRANSFERS": "1", "EVP_UPLOAD_RATE": str(3 * BYTES)})
    wait_until(lambda: backend.instance_status("cam-1", "up") == "ok", 120, "the start of the module")

    storage.hold()
    backend.call("POST", "/v1/devices/cam-1/commands/up/run",
                 {"params": {"count": FILES, "bytes": BYTES, "outstanding": FILES, "storage": "s3"}, "timeLimit": "PT1S"})
    rows = lambda: backend.ok("GET", "/v1/uploads?service=s3&limit=1000")["uploads"]
    kept = lambda: {r["object"] for r in rows() if r.get("offline")}
    wait_until(lambda: len(kept()) == FILES - ORDINARY, 120, "a grant for each file that waits")
    names = kept()
    before = rows()
    assert len(before) == FILES and all(r["state"] == "issued" for r in before)
    journal = lambda: b"".join(f.read_bytes() for f in (runtime.data / "queue").glob("journal-*"))
    wait_until(lambda: all(r["grantId"].encode() in journal() for r in before if r.get("offline")), what="the grants on the device")

    broker.cut()
    backend.process.kill()  # and its broker with it
    runtime.process.kill()  # what had no grant to keep has none now
    runtime.start()
    storage.pass_on()
    there = lambda: {n for n in names if s3.call(rgw, "HEAD", "/kept/" + n).status_code == 200}
    wait_until(lambda: len(there()) >= 5, 60, "the first files without a broker")
    runtime.process.kill()
    assert len(there()) < len(names), "killed in the middle"
    runtime.start()
    wait_until(lambda: there() == names, 180, "all files that have a grant")
    assert not any(s in journal() for s in SECRETS)

    backend.start()
    broker.pass_on((backend.mqtt_host, backend.mqtt_port))
    done = lambda: {r["object"] for r in rows() if r["state"] == "verified"}
    wait_until(lambda: len(done()) == FILES, 180, "every file in the ledger")
    after = rows()
    for name in names:
        (row,) = [r for r in after if r["object"] == name]  # granted once, used once
        assert row["offline"] and row["state"] == "verified" and row["sizeBytes"] == BYTES, row
    sent = {"cam-1/up/bench/" + f.name: f.read_bytes() for f in runtime.workspace("up").rglob("*.bin")}
    assert set(sent) == done()
    for name, data in sent.items():
        assert hashlib.sha256(s3.get(rgw, "kept", name)).digest() == hashlib.sha256(data).digest(), name
    live = backend.ok("POST", "/v1/devices/cam-1/block")["liveGrants"]
    assert live["offline"] == sum(r.get("offline", False) for r in after) and live["lastExpiresAt"] == max(r["expiresAt"] for r in after)
    runtime.process.kill()
    for relay in (storage, broker):
        relay.stop()
    backend.stop()
