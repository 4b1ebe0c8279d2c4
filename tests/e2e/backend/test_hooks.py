"""Hooks: a real backend and receivers that refuse, hang and come back; also over a kill, and what retention leaves."""

import collections
import http.server
import json
import pathlib
import re
import sqlite3
import threading
import time

import pytest
from conftest import LOCAL, Backend
from test_process import evpctl, evpctl_beside
from test_upload_events import Stream
from uploads import grant, upload

SECRET = "k" * 31 + "!"
DOCS = pathlib.Path(__file__).parents[3] / "docs/hooks.md"
EXAMPLE = {}
exec(re.search(r"```python\n(.*?)```", DOCS.read_text(), re.S).group(1), EXAMPLE)
is_genuine = EXAMPLE["is_genuine"]


class Receiver:
    """Remembers what it is told; answers with what it is given, in order, then 200. "hang": no answer until released."""

    def __init__(self, *answers):
        self.told, self.answers, self.released = [], collections.deque(answers), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.told.append((self.headers, body))
                status = outer.answers.popleft() if outer.answers else 200
                if status == "hang":
                    outer.released.wait(60)
                    status = 200
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/told?by=openevp"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count, timeout=60):
        deadline = time.monotonic() + timeout
        while len(self.told) < count:
            assert time.monotonic() < deadline, (len(self.told), count)
            time.sleep(0.02)
        return [json.loads(body) for _, body in self.told]

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receivers():
    made = []

    def make(*answers):
        made.append(Receiver(*answers))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


@pytest.fixture
def own(tmp_path):
    """A backend of the test's own, with a device and an agent on it."""
    b = Backend(tmp_path / "data", "--allowed-endpoint-networks", "127.0.0.0/8").start()
    b.ok("POST", "/v1/storage-access-services", LOCAL)
    b.credentials = b.make_device("cam-1")
    yield b
    b.stop()


def connect(b):
    agent = b.agent("cam-1", b.credentials)
    agent.begin()
    return agent


def put_hook(b, name, receiver, **more):
    return b.ok("PUT", "/v1/hooks/" + name, {"url": receiver.url, "secret": SECRET, **more})


def wait_for(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_finished_upload_is_told_signed_as_the_documentation_says(own, receivers):
    receiver = receivers()
    made = put_hook(own, "erp", receiver, states=["verified"])
    assert "secret" not in made and made["writeOnly"] == ["secret"] and made["warnings"] == []
    agent = connect(own)
    upload(agent, "bad", reported="6")
    good = upload(agent, "good")
    (told,) = receiver.wait(1)
    agent.close()
    headers, body = receiver.told[0]
    assert is_genuine(SECRET, headers, body)
    assert not is_genuine(SECRET, headers, body + b" ") and not is_genuine("x" * 32, headers, body)
    assert told["deliveryId"] == headers["X-OpenEVP-Delivery"] and told["hook"] == "erp"
    sequence = told["upload"].pop("sequence")
    assert told["deliveryId"] == f"{good}.{sequence}"
    assert told["upload"] == own.ok("GET", "/v1/uploads/" + good)
    wait_for(lambda: own.ok("GET", "/v1/hooks/erp")["delivered"] == 1)
    metrics = own.rest("GET", "/metrics").text
    assert 'evp_hook_deliveries_total{outcome="delivered"} 1' in metrics and "evp_hook_deliveries_pending 0" in metrics
    for place in (own.rest("GET", "/v1/hooks").text, own.log.read_text(), (own.data / "backend.db").read_bytes().decode("latin1")):
        assert SECRET not in place


def test_a_refusal_is_tried_again_and_a_dead_receiver_holds_up_no_other(own, receivers):
    hanging, refusing, good = receivers(*["hang"] * 200), receivers(500), receivers()
    for name, receiver in (("hanging", hanging), ("refusing", refusing), ("good", good)):
        put_hook(own, name, receiver)
    agent = connect(own)
    names = [upload(agent, f"f{i}") for i in range(12)]
    agent.close()
    assert sorted(m["upload"]["grantId"] for m in good.wait(12, timeout=8)) == sorted(names)
    ids = [m["deliveryId"] for m in refusing.wait(13)]
    assert len(set(ids)) == 12 and ids.count(ids[0]) == 2, "the refused one came again under its id"
    wait_for(lambda: own.ok("GET", "/v1/hooks/refusing")["delivered"] == 12)
    assert "HTTP status 500" in own.ok("GET", "/v1/hooks/refusing")["lastError"]
    assert own.ok("GET", "/v1/hooks/hanging")["pending"] == 12
    hanging.released.set()
    wait_for(lambda: own.ok("GET", "/v1/hooks/hanging")["delivered"] == 12)


def test_a_kill_between_commit_and_delivery_loses_nothing(own, receivers):
    receiver = receivers("hang")
    put_hook(own, "erp", receiver)
    agent = connect(own)
    made = upload(agent, "a")
    (before,) = receiver.wait(1)  # under way, not answered
    agent.close()
    own.kill()
    receiver.released.set()

    own.start()
    after = receiver.wait(2)[1]
    assert after == before and after["upload"]["grantId"] == made
    wait_for(lambda: own.ok("GET", "/v1/hooks/erp")["pending"] == 0)
    assert own.ok("GET", "/v1/hooks/erp")["delivered"] == 1
    time.sleep(1.5)
    assert len(receiver.told) == 2, "what has arrived is not told again"


def test_a_receiver_that_was_down_while_the_backend_was_killed_is_told_later(own, receivers):
    receiver = receivers()
    put_hook(own, "erp", receiver)
    own.ok("PUT", "/v1/hooks/erp", {"url": "http://127.0.0.1:1/", "secret": SECRET})
    agent = connect(own)
    made = {upload(agent, f"f{i}") for i in range(3)}
    agent.close()
    own.kill()
    own.start()
    assert own.ok("GET", "/v1/hooks/erp")["pending"] == 3
    put_hook(own, "erp", receiver)
    assert {m["upload"]["grantId"] for m in receiver.wait(3)} == made


@pytest.mark.parametrize("change,field", [
    ({"url": "http://hooks.example.com/"}, "url"), ({"url": "https://10.0.0.1/"}, "url"), ({"url": None}, "url"),
    ({"url": "https://169.254.169.254/latest"}, "url"), ({"secret": "short"}, "secret"), ({"secret": None}, "secret"),
    ({"states": ["issued"]}, "states"), ({"states": "verified"}, "states"), ({"services": [7]}, "services"),
    ({"certificate": "x"}, "certificate"), ({"retries": 3}, "retries")])
def test_a_wrong_hook_is_refused_at_its_field_and_not_stored(backend, change, field):
    body = {k: v for k, v in {"url": "http://127.0.0.1:1/", "secret": SECRET, **change}.items() if v is not None}
    answer = backend.rest("PUT", "/v1/hooks/h", body)
    assert 400 <= answer.status_code < 500 and answer.json()["error"]["field"] == field, answer.text
    assert SECRET not in answer.text
    assert backend.ok("GET", "/v1/hooks") == {"hooks": []}


def test_evpctl_makes_hooks_and_watches(own, receivers, tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    receiver = receivers()
    made = evpctl(own, "hook", "set", "erp", "--url", receiver.url, "--secret-file", str(tmp_path / "secret"))
    assert made.returncode == 0, made.stderr
    agent = connect(own)
    name = upload(agent, "a")
    agent.close()
    assert is_genuine(SECRET, *receiver.told[0]) if receiver.wait(1) else False
    assert json.loads(evpctl(own, "hook", "list").stdout)["hooks"][0]["name"] == "erp"
    assert evpctl(own, "hook", "delete", "erp").returncode == 0
    assert evpctl(own, "hook", "get", "erp").returncode == 1
    with open(tmp_path / "said", "w+") as said, open(tmp_path / "why", "w+") as why:
        watching = evpctl_beside(own, said, why, "upload", "watch", "--after", "0")
        told = lambda: (tmp_path / "said").read_text().splitlines()
        wait_for(lambda: len(told()) >= 3 or watching.poll() is not None)
        own.stop()
        assert watching.wait(60) == 3 and "--after 3" in (tmp_path / "why").read_text()
        assert [(e["grantId"], e["state"]) for e in map(json.loads, told())] == [(name, s) for s in ("issued", "uploaded", "verified")]


def id_of(moment):
    """The time's part of a grant id: 50 bits of milliseconds in base32hex."""
    milliseconds, digits = int(moment * 1000), ""
    for _ in range(10):
        digits = "0123456789abcdefghijklmnopqrstuv"[milliseconds % 32] + digits
        milliseconds //= 32
    return digits


def test_old_uploads_are_forgotten_and_a_reader_is_told(own):
    agent = connect(own)
    old, alive, fresh = upload(agent, "old"), grant(agent, "alive")["grantId"], upload(agent, "fresh")
    agent.close()
    own.stop()
    then = time.time() - 100 * 86400
    with sqlite3.connect(own.data / "backend.db") as db:
        for name, expires in ((old, then + 120), (alive, time.time() + 3600)):
            aged = id_of(then) + name[10:]
            db.execute("UPDATE uploads SET grant_id = ?, issued_at = ?, updated_at = ?, expires_at = ? WHERE grant_id = ?",
                       (aged, int(then * 1000), int(then * 1000), int(expires * 1000), name))
            db.execute("UPDATE upload_events SET grant_id = ? WHERE grant_id = ?", (aged, name))
    own.start()
    wait_for(lambda: len(own.ok("GET", "/v1/uploads")["uploads"]) == 2)
    left = {u["grantId"] for u in own.ok("GET", "/v1/uploads")["uploads"]}
    assert left == {fresh, id_of(then) + alive[10:]}
    answer = own.session.get(own.url + "/v1/uploads/events", headers={"Last-Event-ID": "0"}, stream=True, timeout=10)
    lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
    assert [next(lines) for _ in range(2)] == ["event: gap", 'data: {"after":0}']
    answer.close()
