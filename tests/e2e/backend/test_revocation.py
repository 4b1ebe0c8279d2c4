"""Blocks, drills and revoked keys, measured on two real backends that share one real PostgreSQL and nothing else."""

import os
import signal
import threading
import time

import pytest
import requests
from conftest import LOCAL
from several import AT_ONCE, blocked_at, database, postgresql, replicas, wait_for  # noqa: F401: fixtures

from relay import Relay  # isort: skip

ROUNDS = 5
MANIFEST = {"deploymentId": "1", "instanceSpecs": {"cam": {"moduleId": "camera-1", "publish": {}, "subscribe": {}}},
            "modules": {"camera-1": {"moduleImpl": "spawn", "entryPoint": "main"}}}


class Asker:
    """A device that asks one backend for one grant after the other, and remembers when it was told what."""

    def __init__(self, backend, name, credentials):
        self.answers, self.over = [], threading.Event()
        self.agent = backend.agent(name, credentials)
        self.agent.patience = 5  # as the public agent
        self.agent.begin()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        number = 0
        while not self.over.is_set():
            number += 1
            try:
                token = self.agent.token(f"{number}.jpg", instance="cam", accept=["report/1"])
            except Exception:  # the session was ended: nothing is answered any more; or it took too long, and a device asks again
                continue
            self.answers.append((time.monotonic(), token))
            if token["status"] != "ok":
                time.sleep(0.002)

    def last(self, status):
        return next((t for t, token in reversed(self.answers) if token["status"] == status), 0.0)

    def last_refusal(self):
        return next((token for _, token in reversed(self.answers) if token["status"] == "error"), None)

    def close(self):
        self.over.set()
        self.thread.join(10)
        self.agent.close()


@pytest.fixture
def pair(database, replicas):
    """Two backends, each with a broker of its own: only the database can have told the second. A device at each."""
    a, b = replicas("--database", database.url()), replicas("--database", database.url())
    a.ok("POST", "/v1/storage-access-services", LOCAL)
    a.ok("PUT", "/v1/modules/camera-1", data=b"a module")
    credentials = {}
    for name in ("cam-a", "cam-b"):
        credentials[name] = a.make_device(name)
        a.ok("PUT", f"/v1/devices/{name}/deployment", MANIFEST)
        wait_for(lambda: blocked_at(b, name) is False)
    return a, b, credentials


def grants_after_block(database, action, actors=("device cam-a", "device cam-b")):
    """Records are numbered in the order of the commits: so these grants were committed after the block."""
    who = ", ".join(f"'{a}'" for a in actors)
    return int(database.psql(f"SELECT count(*) FROM audit WHERE action = 'grant.put' AND outcome = 'ok' AND actor IN ({who}) "
                             f"AND number > (SELECT max(number) FROM audit WHERE action = '{action}')")[0])


def told(times):
    return ", ".join(f"{1000 * t:.0f}" for t in times) + " ms"


BLOCKS = {
    "storage": ("service.block", "POST", "/v1/storage-access-services/default/block",
                "POST", "/v1/storage-access-services/default/unblock", 'the storage "default" is blocked'),
    "module": ("module.block", "POST", "/v1/modules/camera-1/block",
               "POST", "/v1/modules/camera-1/unblock", 'the module "camera-1" is blocked'),
    "instance": ("instance.block", "PUT", "/v1/blocked-instances/cam",
                 "DELETE", "/v1/blocked-instances/cam", 'the module instance "cam" is blocked'),
}


@pytest.mark.parametrize("what", BLOCKS)
def test_no_grant_is_committed_after_a_block_whoever_gives_it(database, pair, what):
    action, method, path, off_method, off_path, text = BLOCKS[what]
    a, b, credentials = pair
    askers = [Asker(a, "cam-a", credentials["cam-a"]), Asker(b, "cam-b", credentials["cam-b"])]
    took, last_grant, granted = [], [], 0
    try:
        for _ in range(ROUNDS):
            began = time.monotonic()
            wait_for(lambda: all(x.last("ok") > began for x in askers))
            began = time.monotonic()
            answer = a.ok(method, path)
            answered = time.monotonic()
            wait_for(lambda: all(x.last("error") > answered for x in askers))
            assert grants_after_block(database, action) == 0
            took.append(answered - began)
            last_grant.append(max(0.0, max(x.last("ok") for x in askers) - began))
            granted = answer["liveGrants"]["count"]
            assert answer["blocked"] is True and granted > 0 and answer["liveGrants"]["lastExpiresAt"]
            for x in askers:
                refused = x.last_refusal()
                assert refused["errorCode"] == "permission_denied" and text in refused["errorMessage"], refused
            a.ok(off_method, off_path)
    finally:
        for x in askers:
            x.close()
    rows = int(database.psql("SELECT count(*) FROM uploads WHERE expires_at > extract(epoch FROM now()) * 1000")[0])
    assert granted <= rows
    print(f"\n{what}: answered after {told(took)}; last grant received after {told(last_grant)}; {granted} grants alive at the end")
    assert min(last_grant) < AT_ONCE, last_grant


def test_no_grant_is_committed_after_the_block_of_a_device_and_its_session_ends(database, pair):
    a, b, credentials = pair
    ended, last_grant = [], []
    for _ in range(ROUNDS):
        wait_for(lambda: blocked_at(b, "cam-b") is False)
        asker = Asker(b, "cam-b", credentials["cam-b"])
        wait_for(lambda: asker.last("ok"))
        began = time.monotonic()
        a.ok("POST", "/v1/devices/cam-b/block")
        asker.agent.disconnected.get(timeout=60)
        ended.append(time.monotonic() - began)
        asker.close()
        assert grants_after_block(database, "device.block", ["device cam-b"]) == 0
        last_grant.append(max(0.0, asker.last("ok") - began))
        a.ok("POST", "/v1/devices/cam-b/unblock")
    print(f"\ndevice: its session at the other ended after {told(ended)}; last grant received after {told(last_grant)}")
    assert min(ended) < AT_ONCE and min(last_grant) < AT_ONCE, (ended, last_grant)


def test_a_key_that_is_revoked_at_one_is_refused_by_the_other(database, pair):
    a, b, _ = pair
    times = []
    for _ in range(ROUNDS):
        made = a.ok("POST", "/v1/api-keys", {"name": "short", "role": "viewer"})
        fields = {"Authorization": "Bearer " + made["key"]}
        with requests.Session() as session:
            ask = lambda: session.get(b.url + "/v1/caller", headers=fields, timeout=30).status_code  # noqa: E731
            wait_for(lambda: ask() == 200)
            began = time.monotonic()
            a.ok("DELETE", "/v1/api-keys/" + made["id"])
            assert requests.get(a.url + "/v1/caller", headers=fields, timeout=30).status_code == 401
            wait_for(lambda: ask() == 401)
            times.append(time.monotonic() - began)
    print(f"\nAPI key: refused by the other after {told(times)}")
    assert min(times) < AT_ONCE, times


def test_a_block_of_one_that_died_before_it_could_tell_is_found_in_the_database(database, pair):
    a, b, credentials = pair
    agent = b.agent("cam-b", credentials["cam-b"])
    agent.begin()
    assert agent.token("a.jpg", instance="cam", accept=["report/1"])["status"] == "ok"
    rows = database.psql("SELECT count(*) FROM uploads")
    database.psql("BEGIN; INSERT INTO blocks (kind, name, device, at, actor) VALUES ('module', 'camera-1', '', 0, 'x'); "
                  "UPDATE block_count SET present = 1; COMMIT")
    refused = agent.token("b.jpg", instance="cam", accept=["report/1"])
    assert refused["errorCode"] == "permission_denied", refused
    assert agent.token("b.jpg", instance="other", accept=["report/1"])["status"] == "ok"
    assert int(database.psql("SELECT count(*) FROM uploads")[0]) == int(rows[0]) + 1
    agent.close()


def ask_both(a, method, path):
    """Until a backend that has just started is known to the other."""
    deadline = time.monotonic() + 60
    while True:
        answer = a.ok(method, path)
        if len(answer["replicas"]) == 2:
            return answer
        assert time.monotonic() < deadline, answer


@pytest.mark.parametrize("what", ["device", *BLOCKS])
def test_a_drill_times_every_backend_and_changes_nothing(database, pair, what):
    a, b, credentials = pair
    method, path = ("POST", "/v1/devices/cam-b/block") if what == "device" else BLOCKS[what][1:3]
    agent = b.agent("cam-b", credentials["cam-b"])
    agent.begin()
    assert agent.token("a.jpg", instance="cam", accept=["report/1"])["status"] == "ok"
    times = []
    for _ in range(ROUNDS):
        answer = ask_both(a, method, path + "?drill=true")
        assert answer["drill"] is True and answer["blocked"] is False and answer["liveGrants"]["count"] == 1
        assert [r["self"] for r in answer["replicas"]] == [True, False] and all(r["answered"] for r in answer["replicas"])
        assert all(r["host"] for r in answer["replicas"])
        other = answer["replicas"][1]
        times.append(other["withinMillis"] / 1000)
        if what == "device":
            assert other["online"] is True and other["brokerMillis"] >= 0 and "brokerError" not in other
            assert answer["replicas"][0]["online"] is False, "it is connected to the other's broker"
    print(f"\ndrill, {what}: the other had heard and would have refused within {told(times)}")
    assert min(times) < AT_ONCE, times
    assert agent.disconnected.empty()
    assert agent.token("b.jpg", instance="cam", accept=["report/1"])["status"] == "ok"
    agent.close()
    recorded = database.psql("SELECT DISTINCT action || ' ' || object_kind || ' ' || object_name || ' ' || actor FROM audit WHERE "
                             "action LIKE '%block%'")
    names = {"device": "device cam-b", "storage": "service default", "module": "module camera-1", "instance": "instance cam"}
    assert recorded == [f"block.drill {names[what]} admin-token"]
    assert a.ok("GET", "/v1/blocks") == {"blocks": []}


def test_one_that_is_silent_is_named_and_one_that_has_ended_is_not(database, replicas):
    relay = Relay("127.0.0.1", int(database.env["POSTGRESQL_PORT"]))
    a, b = replicas("--database", database.url()), replicas("--database", database.url(relay.port))
    a.ok("POST", "/v1/storage-access-services", LOCAL)
    drill = "/v1/storage-access-services/default/block?drill=true"
    try:
        known = ask_both(a, "POST", drill)["replicas"][1]
        assert known["answered"]
        relay.hold()
        answer = a.ok("POST", drill)
        silent = answer["replicas"][1]
        assert silent["id"] == known["id"] and silent["answered"] is False and "withinMillis" not in silent, answer
        relay.pass_on()
        wait_for(lambda: a.ok("POST", drill)["replicas"][1]["answered"])
        b.process.send_signal(signal.SIGSTOP)  # a machine that hangs
        blocked = a.ok("POST", "/v1/storage-access-services/default/block?replicas=true")
        assert blocked["blocked"] is True and "drill" not in blocked
        assert [r["answered"] for r in blocked["replicas"]] == [True, False]
        os.kill(b.process.pid, signal.SIGCONT)
        wait_for(lambda: b.ok("GET", "/v1/storage-access-services/default")["blocked"])
        b.stop()
        wait_for(lambda: len(a.ok("POST", drill)["replicas"]) == 1)
    finally:
        relay.pass_on()
        b.stop()
        relay.stop()


def test_blocks_are_shown_where_one_looks_and_outlive_a_restart(backend):
    backend.ok("PUT", "/v1/modules/mod-1", data=b"a module")
    backend.make_device("cam-9")
    backend.ok("POST", "/v1/storage-access-services", {**LOCAL, "name": "archive"})
    backend.ok("POST", "/v1/storage-access-services/archive/block")
    backend.ok("POST", "/v1/modules/mod-1/block")
    backend.ok("PUT", "/v1/blocked-instances/up?device=cam-9")
    backend.stop()
    backend.start()
    shown = [(x["kind"], x["name"], x.get("device"), x["actor"]) for x in backend.ok("GET", "/v1/blocks")["blocks"]]
    assert shown == [("service", "archive", None, "admin-token"), ("module", "mod-1", None, "admin-token"),
                     ("instance", "up", "cam-9", "admin-token")]
    services = {s["name"]: s["blocked"] for s in backend.ok("GET", "/v1/storage-access-services")["services"]}
    assert services == {"archive": True, "default": False}
    assert backend.ok("GET", "/v1/modules/mod-1")["blocked"] is True
    assert backend.rest("PUT", "/v1/blocked-instances/up?device=cam-8").status_code == 404
    assert backend.rest("POST", "/v1/modules/mod-2/block").status_code == 404
    assert backend.rest("POST", "/v1/modules/mod-1/block?drill=yes").json()["error"]["field"] == "drill"
    assert backend.ok("POST", "/v1/storage-access-services/archive/unblock")["blocked"] is False
    assert backend.ok("POST", "/v1/modules/mod-1/unblock")["blocked"] is False
    assert backend.rest("DELETE", "/v1/blocked-instances/up").status_code == 404, "on one device only"
    backend.ok("DELETE", "/v1/blocked-instances/up?device=cam-9")
    assert backend.ok("GET", "/v1/blocks") == {"blocks": []}
