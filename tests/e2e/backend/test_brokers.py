"""Three mosquittos behind a real haproxy, two backends on one PostgreSQL: who is where, who is heard, what one dead broker costs."""

import json
import pathlib
import queue
import re
import sys
import time

import paho.mqtt.client as mqtt
import pytest
from conftest import LOCAL, ME
from several import Balancer, Broker, blocked_at, database, make_password, postgresql, replicas, wait_for  # noqa: F401: fixtures
from uploads import upload

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from relay import Relay  # noqa: E402


class Site:
    """Brokers, backends, balancer, and devices that are known to all of them."""

    def __init__(self, folder, database, replicas, relayed=None):
        """relayed: the place of the broker that the backends reach over self.relay."""
        password = make_password(folder)
        self.brokers = [Broker(folder, f"mosquitto-{i}", password) for i in range(3)]
        addresses = [b.address for b in self.brokers]
        if relayed is not None:
            self.relay = Relay("127.0.0.1", self.brokers[relayed].port)
            addresses[relayed] = f"127.0.0.1:{self.relay.port}"
        named = [f for a in addresses for f in ("--broker", a)]
        self.flags = ["--database", database.url(), *named, "--broker-password-file", str(password)]
        self.backends = [replicas(*self.flags) for _ in range(2)]
        self.balancer = Balancer(folder, self.brokers, [b.url.removeprefix("http://") for b in self.backends])
        self.agents, self.credentials = [], {}
        self.backends[0].ok("POST", "/v1/storage-access-services", LOCAL)
        wait_for(lambda: sum(state == "UP" for state, _ in self.balancer.servers().values()) == 5)

    def make_devices(self, *names):
        for name in names:
            self.credentials[name] = self.backends[0].make_device(name)
        for b in self.backends:
            wait_for(lambda: all(blocked_at(b, name) is False for name in names))

    def agent(self, name, at=None):
        """Connects a device through the balancer, or to that broker."""
        b = self.backends[0]
        b.ready = {**b.ready, "mqtt": (at or self.balancer).mqtt}
        agent = b.agent(name, self.credentials[name])
        self.agents.append(agent)
        agent.begin()
        return agent

    def online_at(self, b, name):
        return b.ok("GET", "/v1/devices/" + name)["online"]

    def stop(self):
        for a in self.agents:
            a.close()
        self.balancer.stop()
        for b in self.brokers:
            b.stop()


@pytest.fixture
def site(tmp_path, database, replicas):
    s = Site(tmp_path, database, replicas)
    yield s
    s.stop()


def kept(agent, seconds=0.5):
    """Whether the connection lives on, that long."""
    try:
        agent.disconnected.get(timeout=seconds)
        return False
    except queue.Empty:
        return True


def metric(b, name):
    return {labels: float(value) for labels, value in re.findall(rf"^{name}(?:\{{([^}}]*)\}})? (\S+)$", b.rest("GET", "/metrics").text, re.M)}


def test_devices_spread_over_the_brokers_and_are_served_wherever_they_are(site):
    names = [f"cam-{i}" for i in range(9)]
    site.make_devices(*names)
    agents = {name: site.agent(name) for name in names}
    servers = site.balancer.servers()
    assert [servers[f"devices/{i}"][1] for i in (1, 2, 3)] == [3, 3, 3], servers
    for name, agent in agents.items():
        for n in range(4):  # both backends take requests, from all brokers
            assert agent.token(f"{n}.jpg")["status"] == "ok"
    for b in site.backends:
        for name, agent in agents.items():
            wait_for(lambda: site.online_at(b, name))
            b.ok("PUT", f"/v1/devices/{name}/configuration/up/{b.ready['pid']}", {"value": "1"})
            assert agent.wait("attributes") == {f"configuration/up/{b.ready['pid']}": "1"}
    assert all(kept(a, 0.05) for a in agents.values())
    health = site.backends[0].ok("GET", "/healthz")
    assert health == {"status": "ok", "database": "ok", "broker": "ok", "brokers": {"connected": 3, "all": 3}}


def test_a_command_reaches_a_device_at_each_broker_from_each_backend(site):
    site.make_devices("cam-0", "cam-1", "cam-2")
    for i, broker in enumerate(site.brokers):
        agent = site.agent(f"cam-{i}", broker)
        answer_commands(agent)
        for b in site.backends:
            wait_for(lambda: site.online_at(b, f"cam-{i}"))
            answer = b.ok("POST", f"/v1/devices/cam-{i}/commands/camera/zoom", {"params": {"to": 3}})
            assert answer["status"] == "ok" and answer["response"] == {"of": f"cam-{i}"}, answer


def answer_commands(agent):
    """Answers each direct command as an agent does, with the device's name."""
    inbox = agent.client.on_message

    def on_message(client, userdata, message):
        if message.topic.startswith(ME + "rpc/request/"):
            asked = json.loads(message.payload)["params"]["direct-command-request"]
            answer = {"direct-command-response": {"reqid": asked["reqid"], "status": "ok", "response": json.dumps({"of": agent.name})}}
            client.publish(ME + "rpc/response/" + message.topic.rsplit("/", 1)[1], json.dumps(answer), 0)
        else:
            inbox(client, userdata, message)

    agent.name = agent.client._client_id.decode()
    agent.client.on_message = on_message


def test_a_session_that_reappears_at_another_broker_ends_the_elder_one_and_is_never_ended_itself(site):
    """Both backends see both sessions; 30 moves in all directions, each served at once at its new place."""
    site.make_devices("cam-1")
    elder, ended_after, place = site.agent("cam-1", site.brokers[0]), [], 0
    for move in range(30):
        place = (place + 1 + move // 4 % 2) % 3
        newer = site.agent("cam-1", site.brokers[place])
        began = time.monotonic()
        elder.disconnected.get(timeout=60)
        ended_after.append(time.monotonic() - began)
        assert newer.token(f"{move}.jpg")["status"] == "ok"
        assert newer.disconnected.empty()
        elder.close()
        elder = newer
    assert kept(elder), "nobody ends the last one"
    assert all(site.online_at(b, "cam-1") for b in site.backends)
    ended = lambda: [metric(b, "evp_elder_sessions_ended_total")[""] for b in site.backends]
    wait_for(lambda: sum(ended()) >= 30)  # counted when all brokers have said that it is done
    assert sorted(ended()) == [0, 30], "one of the backends does it, for all"
    print(f"\n30 elder sessions ended, after {sorted(ended_after)[15] * 1000:.0f} ms (median), {max(ended_after) * 1000:.0f} ms at most")


def test_elder_sessions_end_also_when_the_backend_that_ends_them_has_died(site):
    site.make_devices("cam-1")
    first = site.agent("cam-1", site.brokers[0])
    second = site.agent("cam-1", site.brokers[1])
    first.disconnected.get(timeout=60)
    ended = lambda: [metric(b, "evp_elder_sessions_ended_total")[""] for b in site.backends]
    wait_for(lambda: sum(ended()) == 1)
    site.backends[ended().index(1)].kill()
    third = site.agent("cam-1", site.brokers[2])
    second.disconnected.get(timeout=60)
    assert third.token("a.jpg")["status"] == "ok" and kept(third)


def test_a_killed_broker_costs_its_devices_a_reconnect_and_others_nothing(site):
    names = [f"cam-{i}" for i in range(9)]
    site.make_devices(*names)
    agents = {name: site.agent(name) for name in names}
    b, victim = site.backends[0], site.brokers[1]
    victim.kill()
    servers = site.balancer.servers
    wait_for(lambda: servers()["devices/2"][0] == "DOWN")
    wait_for(lambda: sum(not a.disconnected.empty() for a in agents.values()) >= 3)
    lost = [name for name, a in agents.items() if not kept(a, 0.2)]
    assert len(lost) == 3, "who was there, and nobody else"
    for name in set(names) - set(lost):
        assert agents[name].token("meanwhile.jpg")["status"] == "ok"
    for name in lost:
        agents[name] = site.agent(name)
        assert agents[name].token("again.jpg")["status"] == "ok"
    assert {i: servers()[f"devices/{i}"][1] for i in (1, 2, 3)}[2] == 0

    for replica in site.backends:
        wait_for(lambda: replica.ok("GET", "/healthz")["broker"] == "degraded")  # and still 200
        assert replica.ok("GET", "/healthz")["brokers"] == {"connected": 2, "all": 3}
        assert metric(replica, "evp_broker_connected") == {f'broker="{x.address}"': 0.0 if x is victim else 1.0 for x in site.brokers}
    began = time.monotonic()
    told = b.ok("POST", "/v1/devices/cam-0/block")
    assert victim.address in told["brokerError"]["message"], told
    agents["cam-0"].disconnected.get(timeout=60)
    print(f"\nblocked while one broker is away: {(time.monotonic() - began) * 1000:.0f} ms")

    victim.start()
    for replica in site.backends:
        wait_for(lambda: replica.ok("GET", "/healthz")["status"] == "ok")
    b.ready["mqtt"] = victim.mqtt
    refused = b.agent("cam-0", site.credentials["cam-0"])
    assert refused.refused.get(timeout=60) != 0, "the broker has learnt what it missed"
    refused.close()
    home = site.agent("cam-1", victim)
    assert home.token("home.jpg")["status"] == "ok"
    assert all(kept(agents[name], 0.05) for name in names[2:])


def test_a_broker_that_is_away_at_the_start_does_not_hold_up_a_backend(site, replicas):
    site.brokers[2].kill()
    late = replicas(*site.flags)
    wait_for(lambda: late.ok("GET", "/healthz")["brokers"] == {"connected": 2, "all": 3})
    site.brokers[2].start()
    wait_for(lambda: late.ok("GET", "/healthz")["status"] == "ok")


def test_observers_at_each_broker_hear_of_each_finished_upload(tmp_path, database, replicas):
    """The backends reach the second broker over a relay that is cut for a while: its observers, who stay, miss nothing."""
    site = Site(tmp_path, database, replicas, relayed=1)
    try:
        site.make_devices("cam-1")
        token = (site.backends[0].data / "observer.token").read_text().strip()
        heard = [Observer(b.port, token) for b in site.brokers]
        agent = site.agent("cam-1", site.brokers[0])
        grants = [upload(agent, "0.jpg")]
        for o in heard:
            wait_for(lambda: o.uploads() == grants)
        site.relay.cut()
        grants += [upload(agent, f"{n}.jpg") for n in (1, 2, 3)]
        for o in (heard[0], heard[2]):
            wait_for(lambda: o.uploads() == grants)
        assert heard[1].uploads() == grants[:1]
        site.relay.pass_on()
        wait_for(lambda: heard[1].uploads() == grants)
        for o in heard:
            o.client.disconnect()
            o.client.loop_stop()
    finally:
        site.stop()


class Observer:
    def __init__(self, port, token):
        self.heard, self.ready = [], queue.Queue()
        self.client = mqtt.Client(client_id="", clean_session=True)
        self.client.username_pw_set("$observer", token)
        self.client.on_connect = lambda c, u, f, rc: c.subscribe("evp/uploads/#", 1) if rc == 0 else None
        self.client.on_subscribe = lambda *_: self.ready.put(True)
        self.client.on_message = lambda c, u, m: self.heard.append(m.topic.rsplit("/", 1)[1])
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.ready.get(timeout=60)

    def uploads(self):
        """In order; each may be told more than once."""
        return list(dict.fromkeys(self.heard))
