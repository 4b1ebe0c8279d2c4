"""The process: restart, lock, secrets on disk and in memory, listeners, the object store's own rules."""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest
import requests
from conftest import BIN, LOCAL, Backend, audited
from raw_put import exchange

SECRET = base64.b64encode(b"a very secret account key of sixty-four bytes, to be seen nowhere").decode()


def test_all_survives_a_restart(tmp_path):
    b = Backend(tmp_path / "data").start()
    b.ok("POST", "/v1/storage-access-services", LOCAL)
    credentials = b.make_device("cam-1")
    b.ok("PUT", "/v1/devices/cam-1/configuration/up/a", {"value": "1"})
    agent = b.agent("cam-1", credentials)
    agent.begin()
    token = agent.token("f")
    agent.close()
    admin = b.token
    b.stop()
    assert not (tmp_path / "data/ready.json").exists()

    b.start()
    assert b.token == admin
    agent = b.agent("cam-1", credentials)
    assert agent.begin()["shared"]["configuration/up/a"] == "1"
    assert agent.token("g")["status"] == "ok"
    agent.close()
    assert len(b.ok("GET", "/v1/uploads")["uploads"]) == 2
    assert token["status"] == "ok"
    b.stop()


def test_a_second_backend_on_the_same_folder_is_refused(tmp_path):
    b = Backend(tmp_path / "data").start()
    second = subprocess.run([BIN / "evp-backend", "--data", tmp_path / "data", "--listen", "127.0.0.1:0"], capture_output=True,
                            text=True, timeout=90)
    assert second.returncode == 1 and "another evp-backend" in second.stderr
    assert b.rest("GET", "/v1/devices").ok
    b.stop()


@pytest.mark.parametrize("flags,word", [
    (["--listen", "0.0.0.0:0"], "--tls-cert"), (["--listen", "127.0.0.1:0", "--mqtt-listen", "0.0.0.0:0"], "--mqtt-tls-cert"),
    (["--listen", "nonsense"], "address:port")])
def test_a_listener_beyond_loopback_needs_tls(tmp_path, flags, word):
    done = subprocess.run([BIN / "evp-backend", "--data", tmp_path / "data", *flags], capture_output=True, text=True, timeout=90)
    assert done.returncode == 1 and word in done.stderr, done.stderr


def test_secrets_are_nowhere_to_be_read(tmp_path):
    b = Backend(tmp_path / "data", "--allowed-endpoint-networks", "127.0.0.0/8").start()
    b.ok("POST", "/v1/storage-access-services", {
        "type": "AZURE", "endpoint": "http://127.0.0.1:1/acc",
        "connectionString": f"DefaultEndpointsProtocol=http;AccountName=acc;AccountKey={SECRET};EndpointSuffix=x.test"})
    b.ok("POST", "/v1/storage-access-services", {**LOCAL, "name": "local"})
    credentials = b.make_device("cam-1")
    agent = b.agent("cam-1", credentials)
    agent.begin()
    url = agent.token("f", "local")["URL"]
    exchange("PUT", url, b"x")
    b.rest("POST", "/v1/storage-access-services/default/test")
    agent.close()

    signature = url.split("sig=")[1].split("&")[0]
    places = {"log": b.log.read_bytes(), "argv": pathlib.Path(f"/proc/{b.process.pid}/cmdline").read_bytes()}
    try:
        places["environ"] = pathlib.Path(f"/proc/{b.process.pid}/environ").read_bytes()
    except PermissionError:
        pass  # not dumpable: even better
    for name in ("storage-access-services", "devices", "uploads"):
        places[name] = b.rest("GET", "/v1/" + name).content
    places["metrics"] = b.rest("GET", "/metrics").content
    b.stop()
    for file in (tmp_path / "data").rglob("*"):
        if file.is_file() and file.name not in ("admin.token", "observer.token"):
            places[str(file)] = file.read_bytes()
    observer = (tmp_path / "data/observer.token").read_text().strip()
    for place, content in places.items():
        for secret in (SECRET, SECRET[:40], credentials["password"], signature, b.token, observer):
            assert secret.encode() not in content, place
    for file in (tmp_path / "data").rglob("*"):
        assert file.stat().st_mode & 0o077 == 0, file


def test_the_process_leaves_no_core(backend):
    limits = pathlib.Path(f"/proc/{backend.process.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    # A process that is not dumpable is owned by root in /proc, whoever runs it (proc(5)).
    if os.geteuid() != 0:
        assert pathlib.Path(f"/proc/{backend.process.pid}/environ").stat().st_uid == 0


def environment(backend):
    return {"EVP_SERVER": backend.url, "EVP_TOKEN_FILE": str(backend.data / "admin.token"), "PATH": os.environ["PATH"]}


def evpctl(backend, *words, **more):
    return subprocess.run([BIN / "evpctl", *words], capture_output=True, text=True, timeout=90, env=environment(backend), **more)


def evpctl_beside(backend, out, err, *words):
    """One that runs on, with its output in these files."""
    return subprocess.Popen([BIN / "evpctl", *words], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment(backend))


def test_evpctl_does_what_the_api_can(backend, tmp_path):
    assert json.loads(evpctl(backend, "health").stdout)["status"] == "ok"
    assert json.loads(evpctl(backend, "device", "create", "ctl").stdout)["credentials"]["username"] == "ctl"
    assert evpctl(backend, "device", "create", "ctl").returncode == 1
    assert json.loads(evpctl(backend, "service", "test", "default").stdout)["ok"]
    assert evpctl(backend, "config", "set", "ctl", "up", "a/b", "1").returncode == 0
    assert json.loads(evpctl(backend, "config", "list", "ctl").stdout)["configuration"] == {"up/a/b": "1"}
    manifest = {"instanceSpecs": {}, "modules": {}}
    assert evpctl(backend, "deployment", "set", "ctl", "--file", "-", input=json.dumps(manifest)).returncode == 0
    assert json.loads(evpctl(backend, "deployment", "get", "ctl").stdout) == manifest
    (tmp_path / "m").write_bytes(b"a module")
    made = json.loads(evpctl(backend, "module", "upload", "ctl-m", str(tmp_path / "m")).stdout)
    assert made["sha256"] == hashlib.sha256(b"a module").hexdigest()
    assert evpctl(backend, "module", "delete", "ctl-m").returncode == 0
    assert json.loads(evpctl(backend, "upload", "list", "--device", "ctl").stdout) == {"uploads": []}
    refused = evpctl(backend, "device", "get", "nobody")
    assert refused.returncode == 1 and json.loads(refused.stderr)["error"]["code"] == "not_found"
    assert evpctl(backend, "--server", "http://127.0.0.1:1", "health").returncode == 3


@pytest.fixture
def grant(agents):
    agent = agents(f"store-{time.monotonic_ns()}")
    agent.begin()
    return lambda name, **more: agent.token(name, **more)["URL"]


def test_the_store_checks_md5_and_create_only(grant):
    content, url = b"content", grant("a")
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    right = base64.b64encode(hashlib.md5(content).digest()).decode()
    assert exchange("PUT", url, content, [("Content-MD5", wrong)])[0] == 400
    assert exchange("PUT", url, content, [("Content-MD5", right), ("If-None-Match", "*")])[0] == 201
    assert exchange("PUT", url, content, [("If-None-Match", "*")])[0] == 412


def test_the_store_serves_ranges(grant):
    content = bytes(range(200))
    assert exchange("PUT", grant("r"), content)[0] == 201
    url = grant("r", operation="get", accept=["report/1"])
    assert exchange("GET", url)[2] == content
    status, fields, body = exchange("GET", url, headers=[("Range", "bytes=10-19")])
    assert (status, fields["content-range"], body) == (206, "bytes 10-19/200", content[10:20])
    assert exchange("GET", url, headers=[("Range", "bytes=-5")])[2] == content[-5:]
    status, fields, _ = exchange("GET", url, headers=[("Range", "bytes=500-")])
    assert (status, fields["content-range"]) == (416, "bytes */200")
    status, fields, body = exchange("HEAD", url)
    assert (status, fields["content-length"], body) == (200, "200", b"")
    assert exchange("PUT", url, b"x")[0] == 403


def test_a_changed_url_is_refused(grant):
    url = grant("u")
    for bad in (url.replace("/u?", "/v?"), url.replace("op=PUT", "op=GET"), url[:-2], url.split("?")[0]):
        status, _, body = exchange("PUT", bad, b"x")
        assert status in (400, 403) and b'"error"' in body, bad


def test_a_backup_made_while_it_runs_is_a_data_folder_to_start_from(tmp_path):
    b = Backend(tmp_path / "data").start()
    b.ok("POST", "/v1/storage-access-services", LOCAL)
    credentials = b.make_device("cam-1")
    assert b.rest("PUT", "/v1/modules/m-1", data=b"a module").status_code == 201
    key = b.ok("POST", "/v1/api-keys", {"name": "k", "role": "viewer"})["key"]
    assert b.ok("POST", "/v1/master-key/rotate")["rewrapped"] == 2
    command = [BIN / "evp-backend", "--data", b.data, "--back-up-to", tmp_path / "copy"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert again.returncode == 1 and "new folder" in again.stderr, again.stderr
    for path in (tmp_path / "copy").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    b.kill()
    shutil.rmtree(b.data)

    restored = Backend(tmp_path / "copy").start()
    try:
        assert restored.token == b.token
        assert requests.get(restored.url + "/v1/caller", headers={"Authorization": "Bearer " + key}, timeout=30).ok
        assert restored.ok("GET", "/v1/modules/m-1")["sizeBytes"] == 8
        agent = restored.agent("cam-1", credentials)
        agent.begin()
        assert "URL" in agent.token("a.jpg")
        agent.close()
    finally:
        restored.stop()


def test_where_a_balancer_hides_the_client_the_audit_says_so_and_does_not_name_the_balancer(tmp_path):
    for networks, peer in ((["--balancer-networks", "10.0.0.0/8,127.0.0.1"], "hidden by the balancer"), (["--balancer-networks", "10.0.0.0/8"], "127.0.0.1")):
        b = Backend(tmp_path / peer[:3] / "data", *networks)
        b.data.parent.mkdir()
        b.start()
        b.make_device("cam-1")
        assert requests.get(b.url + "/v1/devices", headers={"Authorization": "Bearer x", "X-Forwarded-For": "192.0.2.1"}, timeout=30).status_code == 401
        audited(b, lambda r: r["action"] == "login")
        records = b.ok("GET", "/v1/audit")["records"]
        assert {(r["action"], r["peer"]) for r in records} == {("device.create", peer), ("login", peer)}
        b.stop()
    wrong = subprocess.run([BIN / "evp-backend", "--data", tmp_path / "x", "--balancer-networks", "10.0.0.1/8"], capture_output=True, text=True, timeout=90)
    assert wrong.returncode == 1 and "--balancer-networks" in wrong.stderr, wrong.stderr
