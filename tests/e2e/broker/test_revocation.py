"""Blocking takes effect at once; so do removal and a new token."""
import statistics
import time

import pytest
from peer import V4, V5, Peer, Refused


@pytest.mark.parametrize("version", [V4, V5])
@pytest.mark.parametrize("client_id", ["a", "free", ""])
def test_a_blocked_device_is_disconnected_at_once_and_refused_after(backend, device, record_property, version, client_id):
    b = device("b")
    times = []
    for _ in range(5):
        a = device("a", client_id=client_id, version=version)
        begun = time.monotonic()
        backend.set("a", "token-a", "b")
        assert a.closed.wait(60)
        times.append((a.closed_at - begun) * 1000)
        if version == V5:
            assert a.reason == 0x98  # administrative action
        with pytest.raises(Refused):
            device("a", client_id=client_id, version=version)
        backend.set("a", "token-a")
    record_property("milliseconds until disconnected", statistics.median(times))
    print(f"disconnected after {statistics.median(times):.1f} ms (median of 5)")
    assert statistics.median(times) < 1000
    assert not b.closed.is_set()
    device("a", client_id=client_id, version=version)


@pytest.mark.parametrize("lines", [["remove a"], ["kick a"], ["replace-begin", "set b - -", "replace-end"]])
def test_removing_and_kicking_disconnect(backend, device, lines):
    a = device("a")
    assert backend.control(*lines) == "ok"
    assert a.closed.wait(60)
    if lines == ["kick a"]:
        device("a")
    else:
        with pytest.raises(Refused):
            device("a")


def test_a_new_token_ends_the_session_of_the_old_one(broker, backend, device, peers):
    a = device("a")
    backend.set("a", "token-new")
    assert a.closed.wait(60)
    with pytest.raises(Refused):
        device("a")
    peers.append(Peer(broker.port, "a", "a", "token-new").connect())


def test_telling_the_same_again_disturbs_nobody(backend, device, nothing_reached):
    a = device("a")
    backend.set("a", "token-a")
    nothing_reached(a, "a")


def test_a_device_that_is_named_like_anothers_client_id_can_connect(backend, device, broker, peers):
    squatter = device("b", client_id="c")
    backend.set("c", "token-c")
    assert squatter.closed.wait(60)
    peers.append(Peer(broker.port, "c", "c", "token-c").connect())
