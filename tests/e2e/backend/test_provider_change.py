"""A change of provider from the backend's own store to a real nginx, which can be cut off: canary, raise, fall-back, back."""

import hashlib
import pathlib
import re
import sys
import time
import urllib.parse

import pytest
from conftest import LOCAL, Backend
from raw_put import exchange
from several import FIXTURES, database, postgresql, replicas  # noqa: F401: fixtures

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from harness import server, wait_until  # noqa: E402
from relay import Relay  # noqa: E402

SERVICES = "/v1/storage-access-services"
CHANGE = SERVICES + "/default/change"
BOUND = {"errorPercent": 25, "minimum": 4, "window": "PT1M"}


class Nginx:
    """A storage that can be cut off."""

    def __init__(self, folder, env):
        self.env, self.objects = env, folder / "data" / "signed"
        self.relay = Relay("127.0.0.1", urllib.parse.urlsplit(env["NGINX_HTTP"]).port)

    def service(self, name):
        return {"type": "HTTP", "name": name, "endpoint": f"http://127.0.0.1:{self.relay.port}/signed",
                "authentication": "secureLink", "linkSecret": self.env["NGINX_LINK_SECRET"]}

    def signed(self, token):
        return urllib.parse.urlsplit(token["URL"]).port == self.relay.port


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nginx") / "server"
    with server(FIXTURES / "nginx", folder) as env:
        made = Nginx(folder, env)
        yield made
        made.relay.stop()


@pytest.fixture
def fleet(tmp_path, nginx):
    nginx.relay.pass_on()
    made = Fleet(Backend(tmp_path / "data", "--allowed-endpoint-networks", "127.0.0.0/8").start(), nginx)
    yield made
    made.close()
    made.b.stop()


class Fleet:
    """Devices, each first in the change at another percentage, and the two storages "default" and "nginx"."""

    def __init__(self, backend, nginx):
        self.b, self.nginx, self.agents, self.credentials = backend, nginx, {}, {}
        self.b.ok("POST", SERVICES, LOCAL)
        self.b.ok("POST", SERVICES, nginx.service("nginx"))
        self.service_id = self.b.ok("GET", SERVICES + "/default")["id"]

    def place(self, device):
        """As docs/changing-provider.md says: the device takes part in a change at more than so many percent."""
        digest = hashlib.sha256(f"{self.service_id}\n{device}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % 100

    def device(self, least, below):
        """A new one whose place is among these."""
        name = next(n for n in (f"cam-{i}" for i in range(10_000)) if least <= self.place(n) < below and n not in self.credentials)
        self.credentials[name] = self.b.make_device(name)
        return name

    def agent(self, name):
        if name not in self.agents:
            self.agents[name] = self.b.agent(name, self.credentials[name])
            self.agents[name].begin()
        return self.agents[name]

    def close(self):
        for agent in self.agents.values():
            agent.close()
        self.agents = {}

    def change(self, **body):
        return self.b.ok("PUT", CHANGE, body)

    def grant(self, device, name):
        token = self.agent(device).token(name, accept=["certificate/1", "report/1"], size="5")
        assert token["status"] == "ok", token
        return token

    def upload(self, device, name):
        """As a device does it: the grant, the PUT, the report. Whether the storage took the file."""
        token = self.grant(device, name)
        headers = list((token.get("headers") or {}).items())
        try:
            parts = urllib.parse.urlsplit(token["URL"])
            status = exchange("PUT", token["URL"], b"12345", headers, host=f"{parts.hostname}:{parts.port}")[0]
        except (OSError, AttributeError):  # cut off before or within the answer
            status = 0
        done = status in (200, 201, 204)
        report = {"grantId": token["grantId"], "result": "done" if done else "failed", "httpStatus": status, "bytes": "5"}
        if not done:
            report["message"] = "no connection"
        self.agent(device).evp_d2c("transfer-report", report)
        return token, done

    def metric(self, name):
        return float(re.search(rf"^{re.escape(name)} (\S+)$", self.b.rest("GET", "/metrics").text, re.M)[1])


def test_a_share_of_the_devices_sends_to_the_other_storage_and_the_share_grows(fleet):
    early, later, last = fleet.device(0, 10), fleet.device(10, 50), fleet.device(50, 100)
    made = fleet.change(to="nginx", percent=10, fallBack=BOUND)
    assert made["state"] == "running" and made["warnings"] == []
    for device in (early, later, last):
        token, done = fleet.upload(device, "1.jpg")
        assert done and fleet.nginx.signed(token) == (device == early)
    assert (fleet.nginx.objects / early / "up/1.jpg").read_bytes() == b"12345"
    rows = {r["device"]: r for r in fleet.b.ok("GET", "/v1/uploads")["uploads"]}
    assert rows[early]["service"] == "nginx" and rows[early]["askedService"] == "default" and rows[early]["state"] == "verified"
    assert rows[last]["service"] == "default" and "askedService" not in rows[last]

    assert fleet.change(percent=50)["fallBack"] == BOUND, "what is left out stays"
    assert [fleet.nginx.signed(fleet.upload(d, "2.jpg")[0]) for d in (early, later, last)] == [True, True, False]
    fleet.change(percent=100)
    assert [fleet.nginx.signed(fleet.upload(d, "3.jpg")[0]) for d in (early, later, last)] == [True, True, True]

    figures = fleet.b.ok("GET", CHANGE)["figures"]
    assert (figures["new"]["granted"], figures["new"]["verified"], figures["new"]["errorPercent"]) == (6, 6, 0)
    assert (figures["old"]["granted"], figures["old"]["verified"], figures["old"]["window"]["outcomes"]) == (3, 3, 3)
    assert fleet.metric('evp_provider_change_uploads{side="new",outcome="verified"}') == 6

    for name in ("default", "nginx"):
        refused = fleet.b.rest("DELETE", f"{SERVICES}/{name}")
        assert refused.status_code == 409 and "go back or finish" in refused.text, refused.text
    assert fleet.b.ok("POST", CHANGE + "/finish")["state"] == "finished"
    now = fleet.b.ok("GET", SERVICES + "/default")
    assert now["type"] == "HTTP" and now["writeOnly"] == ["linkSecret"] and now["id"] == fleet.service_id
    token, done = fleet.upload(last, "4.jpg")
    assert done and fleet.nginx.signed(token)
    assert fleet.b.ok("GET", "/v1/uploads/" + token["grantId"])["service"] == "default"
    assert fleet.b.rest("DELETE", SERVICES + "/nginx").status_code == 204
    assert fleet.b.ok("GET", "/v1/audit?object=default")["records"][0]["action"] in ("service.change-finish", "grant.put")


def test_a_storage_that_fails_is_left_by_itself_and_a_restart_in_between_changes_nothing(fleet):
    canary, others = fleet.device(0, 20), fleet.device(20, 100)
    fleet.change(to="nginx", percent=20, fallBack=BOUND)
    assert fleet.upload(canary, "good.jpg")[1] and fleet.upload(others, "good.jpg")[1]
    fleet.nginx.relay.cut()
    for i in range(2):
        token, done = fleet.upload(canary, f"{i}.jpg")
        assert fleet.nginx.signed(token) and not done
    assert fleet.b.ok("GET", CHANGE)["state"] == "running", "two failures of three outcomes: not enough to tell"

    fleet.close()
    fleet.b.stop()
    fleet.b.start()
    before = fleet.b.ok("GET", CHANGE)
    assert before["state"] == "running" and before["figures"]["new"]["failed"] == 2
    assert not fleet.upload(canary, "2.jpg")[1]

    began = time.monotonic()
    wait_until(lambda: fleet.b.ok("GET", CHANGE)["state"] == "fallen back", what="the fall-back")
    print(f"\nfallen back {time.monotonic() - began:.2f} s after the report")
    gone = fleet.b.ok("GET", CHANGE)
    assert gone["reason"] == "3 of the last 4 uploads to nginx failed, more than 25 in a hundred; to default 0 of 1"
    token, done = fleet.upload(canary, "3.jpg")
    assert done and not fleet.nginx.signed(token)
    records = [r for r in fleet.b.ok("GET", "/v1/audit?object=default")["records"] if r["action"] == "service.fall-back"]
    assert [(r["actor"], r["outcome"], r["detail"]) for r in records] == [("system", "ok", "to=nginx percent=20 errors=3/4")]
    wait_until(lambda: "falls back by itself" in fleet.b.log.read_text(), what="the line of the log")
    assert fleet.metric("evp_provider_fall_backs_total") == 1
    assert fleet.metric('evp_provider_changes{state="fallen_back"}') == 1


def test_one_call_goes_back_and_tells_what_devices_still_hold(fleet):
    device = fleet.device(0, 100)
    fleet.change(to="nginx", percent=100)
    tokens = [fleet.grant(device, f"{i}.jpg") for i in range(3)]
    assert all(fleet.nginx.signed(t) for t in tokens)
    back = fleet.b.ok("POST", CHANGE + "/back")
    assert back["state"] == "gone back" and back["liveGrants"]["count"] == 3 and back["liveGrants"]["offline"] == 0
    expires = max(fleet.b.ok("GET", "/v1/uploads/" + t["grantId"])["expiresAt"] for t in tokens)
    assert back["liveGrants"]["lastExpiresAt"] == expires
    assert not fleet.nginx.signed(fleet.grant(device, "4.jpg"))
    assert fleet.b.ok("POST", CHANGE + "/back")["state"] == "gone back", "again, as one does in a hurry"
    refused = fleet.b.rest("POST", CHANGE + "/finish")
    assert refused.status_code == 409, refused.text
    assert fleet.b.rest("PUT", CHANGE, {"to": "nobody", "percent": 5}).json()["error"]["field"] == "to"
    assert fleet.b.rest("PUT", CHANGE, {"to": "nginx", "percent": 5, "fallBack": {"window": "soon"}}).json()["error"]["field"] == "fallBack.window"
    assert fleet.b.rest("GET", SERVICES + "/nginx/change").status_code == 404


def test_the_backend_copies_what_the_old_storage_verified_and_devices_notice_nothing(fleet):
    device = fleet.device(0, 100)
    fleet.change(to="nginx", percent=0, shadow=True)
    copied = lambda: fleet.b.ok("GET", CHANGE)["figures"]["shadow"]
    number = 0

    def one_more():  # it begins with what comes after the leader has seen the change
        nonlocal number
        number += 1
        token, done = fleet.upload(device, f"{number}.jpg")
        assert done and not fleet.nginx.signed(token)
        return copied()["copied"] >= 3

    wait_until(one_more, 90, "three copies")
    files = sorted((fleet.nginx.objects / device / "up").iterdir())
    assert len(files) >= 3 and {f.read_bytes() for f in files} == {b"12345"}
    fleet.nginx.relay.cut()
    failed = lambda: fleet.upload(device, f"cut-{time.monotonic_ns()}.jpg")[1] and copied()["failed"] >= 1
    wait_until(failed, 90, "a copy that fails")
    assert fleet.b.ok("GET", CHANGE)["state"] == "running"
    assert {r["state"] for r in fleet.b.ok("GET", "/v1/uploads")["uploads"]} == {"verified"}
    fleet.nginx.relay.pass_on()


def test_a_replica_that_has_not_heard_of_the_way_back_grants_nothing_by_the_other_storage(database, replicas, nginx):  # noqa: F811
    """Each has a broker of its own, and nobody tells: as after a backend that has died between its commit and its word."""
    a, b = replicas("--database", database.url()), replicas("--database", database.url())
    a.ok("POST", SERVICES, LOCAL)
    a.ok("POST", SERVICES, nginx.service("nginx"))
    a.ok("PUT", CHANGE, {"to": "nginx", "percent": 100})
    credentials = a.make_device("cam-1")
    wait_until(lambda: b.rest("GET", "/v1/devices/cam-1").ok, 60, "the device at the other")
    agent = b.agent("cam-1", credentials)
    agent.begin()
    ask = {"accept": ["report/1"], "size": "5"}
    assert nginx.signed(agent.token("a.jpg", **ask)), "the other has heard of the beginning, or finds it out"
    database.psql("BEGIN; UPDATE services SET change_revision = change_revision + 1 WHERE name = 'default'; "
                  "UPDATE provider_changes SET state = 'gone back', revision = revision + 1; COMMIT")
    token = agent.token("b.jpg", **ask)
    assert token["status"] == "ok" and not nginx.signed(token), token
    assert database.psql("SELECT service_name, asked_service FROM uploads ORDER BY grant_id") == ["nginx|default", "default|"]

    a.ok("PUT", CHANGE, {"to": "nginx", "percent": 100})
    wait_until(lambda: nginx.signed(agent.token("c.jpg", **ask)), 60, "the beginning at the other")
    began = time.monotonic()
    a.ok("POST", CHANGE + "/back")
    assert not nginx.signed(agent.token("d.jpg", **ask)), "told or not: the call has returned"
    print(f"\nthe other grants by the old storage {(time.monotonic() - began) * 1000:.0f} ms after the call")
    agent.close()
