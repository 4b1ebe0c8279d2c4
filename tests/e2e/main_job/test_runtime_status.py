"""evpctl runtime status: what the runtime on a device does, while it does it."""
import json
import stat
import subprocess

from harness import BIN, Backend, Runtime, wait_until

BYTES = 6 << 20


def evpctl(data, *more):
    done = subprocess.run([BIN / "evpctl", "runtime", "status", "--data-dir", data, *more], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=90)
    return done.returncode, done.stdout, done.stderr


def test_it_shows_queue_transfers_and_failures_but_no_url(folder):
    backend = Backend(folder / "backend")
    token = backend.make_device("cam-1")
    backend.deploy("cam-1", "up", BIN / "modules" / "bench_uploader")
    backend.ok("POST", "/v1/storage-access-services", {"type": "LOCAL"})
    assert evpctl(folder / "device")[0] == 3, "nobody is there yet"
    runtime = Runtime(folder / "device", backend, "cam-1", token, {"EVP_TRANSFERS": "1", "EVP_UPLOAD_RATE": str(2 << 20)})
    wait_until(lambda: backend.instance_status("cam-1", "up") == "ok", 120, "the start of the module")

    def status():
        code, text, why = evpctl(runtime.data)
        assert code == 0, why
        return json.loads(text)

    def run(storage):
        backend.call("POST", "/v1/devices/cam-1/commands/up/run",
                     {"params": {"count": 2, "bytes": BYTES, "outstanding": 2, "storage": storage}, "timeLimit": "PT1S"})

    assert (runtime.data / "status.sock").stat().st_mode & 0o7777 == 0o600
    assert stat.S_ISSOCK((runtime.data / "status.sock").stat().st_mode)
    idle = wait_until(lambda: (s := status())["connected"] and s, what="the connection")
    assert idle["connected"] and idle["transfers"] == [] and idle["queue"]["files"] == "0" and idle["queue"]["maxFiles"] == "10000"

    run("default")

    def moving():
        now = status()
        both = int(now["sinceStart"]["accepted"]) == 2
        return now if both and any(int(t["movedBytes"]) > 0 for t in now["transfers"]) else None
    seen = wait_until(moving, what="a transfer that moves")
    (transfer,) = seen["transfers"]
    assert transfer["instance"] == "up" and transfer["upload"] and transfer["totalBytes"] == str(BYTES)
    assert int(transfer["movedBytes"]) <= BYTES and transfer["name"]
    assert int(seen["queue"]["files"]) in (1, 2)
    text = json.dumps(seen)
    assert "http:" not in text and "/objects/" not in text and token not in text

    done = wait_until(lambda: (s := status())["sinceStart"]["succeeded"] == "2" and s["transfers"] == [] and s, 120, "both uploads")
    assert done["queue"]["files"] == "0" and int(done["movedBytes"]) >= 2 * BYTES

    run("nowhere")
    wait_until(lambda: status()["sinceStart"]["failed"] == "2", what="the failures")
    last = status()["failures"][0]
    assert last["instance"] == "up" and "nowhere" in last["message"], last
    runtime.stop()
    assert not (runtime.data / "status.sock").exists()
    backend.stop()
