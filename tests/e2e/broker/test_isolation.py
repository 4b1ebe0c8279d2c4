"""Device b can neither receive nor forge anything of device a."""
import secrets
import time

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from peer import V4, V5, Backend, Peer, Refused

versions = pytest.mark.parametrize("version", [V4, V5])
VIEW = "v1/devices/me/"


def will(topic, delay=None, retain=False):
    properties = None
    if delay is not None:
        properties = Properties(PacketTypes.WILLMESSAGE)
        properties.WillDelayInterval = delay
    return {"topic": topic, "payload": "last words", "qos": 1, "retain": retain, "properties": properties}


@pytest.fixture
def backend_heard_nothing(backend, device):
    """What b publishes now is the first thing that the backend receives."""

    def check(b):
        mark = secrets.token_hex(8)
        b.publish(VIEW + "mark", mark)
        assert backend.receive() == ("evp/devices/b/mark", mark)

    return check


@versions
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_publish_reaches_the_backend_under_the_devices_name_and_nobody_else(backend, device, nothing_reached, version, qos):
    a, b = device("a", version=version), device("b", version=version)
    assert b.subscribe(VIEW + "#", 1)
    a.publish(VIEW + "telemetry", "secret of a", qos)
    assert backend.receive() == ("evp/devices/a/telemetry", "secret of a")
    nothing_reached(b, "b")
    nothing_reached(a, "a")


@versions
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_an_answer_reaches_its_device_alone(backend, device, nothing_reached, version, qos):
    a, b = device("a", client_id="free-a", version=version), device("b", version=version)
    assert a.subscribe(VIEW + "#", 2) and b.subscribe(VIEW + "#", 2)
    backend.to("a", "rpc/response/1", "token of a", qos)
    assert a.receive() == (VIEW + "rpc/response/1", "token of a")
    nothing_reached(b, "b")


def test_an_answer_to_a_device_that_is_away_is_dropped(backend, device, nothing_reached):
    backend.to("a", "rpc/response/1", "late", 1)
    nothing_reached(device("a"), "a")


@versions
@pytest.mark.parametrize("topic", [
    "evp/devices/a/telemetry", "evp/to/a/v1/devices/me/attributes", "evp/presence/a", "evp/control/ack", "$CONTROL/evp/v1",
    "v1/devices/a/telemetry", "v1/devices/me", "v1/devices/me/", "evp/backend/x", "$SYS/x", "$share/g/v1/devices/me/x"])
def test_a_device_cannot_publish_outside_its_view(backend, device, nothing_reached, backend_heard_nothing, version, topic):
    a, b = device("a", version=version), device("b", version=version)
    try:
        b.publish(topic, "forged")
    except ConnectionError:
        b = device("b", version=version)
    nothing_reached(a, "a")
    backend_heard_nothing(b)


@versions
@pytest.mark.parametrize("topic", [
    "#", "+/#", "+/devices/#", "v1/#", "v1/+/me/#", "v1/devices/#", "v1/devices/+/attributes", "evp/#", "evp/devices/a/#",
    "evp/to/a/#", "evp/presence/+", "$SYS/#", "$CONTROL/#", "$share/evp-backend/evp/devices/#", "$share/g/v1/devices/me/#",
    "$share/g/#"])
def test_a_device_cannot_subscribe_outside_its_view(device, nothing_reached, version, topic):
    a, b = device("a", version=version), device("b", version=version)
    assert not b.subscribe(topic, 1)
    a.publish(VIEW + "telemetry", "secret of a")
    nothing_reached(b, "b")


def test_the_backend_cannot_speak_to_all_devices_at_once(backend, device, nothing_reached):
    a = device("a")
    assert a.subscribe(VIEW + "#")
    backend.publish(VIEW + "attributes", "to everybody")
    nothing_reached(a, "a")


def test_replicas_of_the_backend_share_what_devices_send(broker, backend, device, peers):
    replicas = [Backend(broker, f"replica-{i}") for i in range(2)]
    for r in replicas:
        peers.append(r.connect())
        assert r.subscribe("$share/evp-backend/evp/devices/#", 1)
    a = device("a")
    for i in range(20):
        a.publish(VIEW + "telemetry", str(i))
    heard = [backend.receive() for _ in range(20)]
    assert heard == [("evp/devices/a/telemetry", str(i)) for i in range(20)]
    shares = [0, 0]
    end = time.monotonic() + 60
    while sum(shares) < 20 and time.monotonic() < end:
        for i, r in enumerate(replicas):
            if not r.messages.empty():
                assert r.receive()[0] == "evp/devices/a/telemetry"
                shares[i] += 1
    assert sum(shares) == 20 and min(shares) > 0


WILL_TOPICS = [VIEW + "attributes", "evp/devices/b/telemetry", "evp/to/b/v1/devices/me/attributes", "$CONTROL/evp/v1"]


@versions
@pytest.mark.parametrize("topic", WILL_TOPICS)
@pytest.mark.parametrize("retain", [False, True])
def test_a_will_reaches_nobody(device, nothing_reached, backend_heard_nothing, version, topic, retain):
    b = device("b", version=version)
    assert b.subscribe(VIEW + "#", 1)
    a = device("a", version=version, will=will(topic, retain=retain))
    a.die()
    device("a")  # the broker has seen the end of the first
    nothing_reached(b, "b")
    backend_heard_nothing(b)
    late = device("b", version=version)
    assert late.subscribe(VIEW + "#", 1)
    nothing_reached(late, "b")


@versions
@pytest.mark.parametrize("topic", WILL_TOPICS)
@pytest.mark.parametrize("same_client_id", [True, False])
def test_a_will_set_free_by_a_take_over_reaches_nobody(device, nothing_reached, backend_heard_nothing, version, topic, same_client_id):
    b = device("b", version=version)
    assert b.subscribe(VIEW + "#", 1)
    first = device("a", version=version, will=will(topic))
    second = device("a", version=version, client_id="a" if same_client_id else "x")
    assert first.closed.wait(60)
    nothing_reached(b, "b")
    backend_heard_nothing(b)
    nothing_reached(second, "a")


@pytest.mark.parametrize("topic", WILL_TOPICS[:2])
@pytest.mark.parametrize("end", ["dies", "is taken over", "is blocked"])
def test_a_delayed_will_reaches_nobody(backend, device, nothing_reached, backend_heard_nothing, topic, end):
    b = device("b", version=V5)
    assert b.subscribe(VIEW + "#", 1)
    a = device("a", version=V5, will=will(topic, delay=1), expiry=60)
    if end == "dies":
        a.die()
    elif end == "is taken over":
        device("a", version=V5, client_id="other")
    else:
        backend.set("a", "token-a", "b")
    time.sleep(3)  # the broker looks for due wills once a second, and tells nobody
    nothing_reached(b, "b")
    backend_heard_nothing(b)


def test_the_will_attacks_work_where_nothing_prevents_them(plain_broker, peers):
    b = Peer(plain_broker.port, "b", version=V5).connect()
    peers.append(b)
    assert b.subscribe(VIEW + "#", 1)
    Peer(plain_broker.port, "a", version=V5, will=will(VIEW + "1")).connect().die()
    assert b.receive() == (VIEW + "1", "last words")
    first = Peer(plain_broker.port, "a", version=V5, will=will(VIEW + "2")).connect()
    peers.append(Peer(plain_broker.port, "a", version=V5).connect())
    assert b.receive() == (VIEW + "2", "last words") and first.closed.wait(60)
    took = []
    while not took or min(took) >= 3 and len(took) < 3:  # a machine that stands still for a moment delays one of them
        begun = time.monotonic()
        Peer(plain_broker.port, "c", version=V5, will=will(VIEW + "3", delay=1), expiry=60).connect().die()
        assert b.receive() == (VIEW + "3", "last words")
        took.append(time.monotonic() - begun)
    assert min(took) < 3, "test_a_delayed_will_reaches_nobody waits too short"
    Peer(plain_broker.port, "d").connect().publish(VIEW + "4", "kept", retain=True)
    late = Peer(plain_broker.port, "e").connect()
    peers.append(late)
    assert late.subscribe(VIEW + "4", 1)
    assert late.receive() == (VIEW + "4", "kept")


@versions
def test_nothing_is_retained(broker, backend, device, peers, nothing_reached, version):
    a = device("a", version=version)
    a.publish(VIEW + "telemetry", "keep me", retain=True)
    assert backend.receive() == ("evp/devices/a/telemetry", "keep me")
    backend.publish("evp/to/a/v1/devices/me/attributes", "keep me", retain=True)
    assert a.receive() == (VIEW + "attributes", "keep me")
    b = device("b", version=version)
    assert b.subscribe(VIEW + "#", 1)
    nothing_reached(b, "b")
    late = Backend(broker, "late")
    peers.append(late.connect())
    assert late.subscribe("evp/#", 1)
    a.publish(VIEW + "telemetry", "fresh")
    assert late.receive() == ("evp/devices/a/telemetry", "fresh")


def test_topic_aliases_stay_within_their_connection(backend, device, backend_heard_nothing):
    a, b = device("a", version=V5), device("b", version=V5)
    a.publish(VIEW + "telemetry", "1", alias=1)
    a.publish("", "2", alias=1)
    assert [backend.receive() for _ in range(2)] == [("evp/devices/a/telemetry", "1"), ("evp/devices/a/telemetry", "2")]
    with pytest.raises(ConnectionError):
        b.publish("", "forged", alias=1)
    b = device("b", version=V5)
    b.publish(VIEW + "telemetry", "3", alias=1)
    assert backend.receive() == ("evp/devices/b/telemetry", "3")
    b.publish("evp/devices/a/telemetry", "forged", alias=2)
    b.publish("", "forged", alias=2)
    backend_heard_nothing(b)
    a.publish("", "4", alias=1)
    assert backend.receive() == ("evp/devices/a/telemetry", "4")


@versions
@pytest.mark.parametrize("client_id", ["a", "free", "backend"])
def test_a_client_id_in_use_cannot_be_stolen(backend, device, nothing_reached, version, client_id):
    a = device("a", client_id="a" if client_id == "backend" else client_id, version=version)
    for clean in (True, False):
        with pytest.raises(Refused):
            device("b", client_id=client_id, version=version, clean=clean)
    nothing_reached(a, "a")
    assert not a.closed.is_set() and not backend.closed.is_set()


@versions
def test_the_id_of_a_device_that_is_away_cannot_be_used_either(device, version):
    for clean in (True, False):
        with pytest.raises(Refused):
            device("b", client_id="a", version=version, clean=clean)


@versions
def test_a_persistent_session_is_inherited_by_its_device_alone(device, nothing_reached, version):
    a = device("a", version=version, clean=False, expiry=60)
    assert a.subscribe(VIEW + "#", 1)
    a.die()
    with pytest.raises(Refused):
        device("b", client_id="a", version=version, clean=False, expiry=60)
    again = device("a", version=version, clean=False, expiry=60)
    nothing_reached(again, "a")


def test_what_was_left_under_a_free_client_id_is_not_handed_out(device, nothing_reached):
    a = device("a", client_id="free", version=V5, expiry=60)
    assert a.subscribe(VIEW + "#", 1)
    a.die()
    device("a", client_id="elsewhere")  # the broker has seen the end of the first
    with pytest.raises(Refused):
        device("b", client_id="free", version=V5, clean=False)
    b = device("b", client_id="free", version=V5, clean=True)
    nothing_reached(b, "b")


@versions
def test_a_message_has_a_bound_and_128_kib_pass(backend, device, backend_heard_nothing, version):
    a = device("a", version=version)
    a.publish(VIEW + "telemetry", "x" * 131072)
    assert backend.receive() == ("evp/devices/a/telemetry", "x" * 131072)
    backend.to("a", "attributes", "y" * 131072)
    assert a.receive() == (VIEW + "attributes", "y" * 131072)
    try:
        a.publish(VIEW + "telemetry", "x" * 131073)
    except ConnectionError:
        pass
    backend_heard_nothing(device("b"))
