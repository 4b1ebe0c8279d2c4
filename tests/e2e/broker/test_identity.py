"""Who gets in: token or certificate, and no other way."""
import hashlib
import ssl
import subprocess

import pytest
from peer import V4, V5, Backend, Peer, Refused

NOT_AUTHORISED = {V4: 5, V5: 0x87}


@pytest.mark.parametrize("version", [V4, V5])
@pytest.mark.parametrize("username, password", [
    ("a", "token-b"), ("a", ""), ("a", None), ("stranger", "token-a"), (None, None), ("", ""), ("$backend", "guess"),
    ("$backend", None), ("#", "x"), ("a/b", "x")])
def test_wrong_credentials_are_refused(broker, backend, version, username, password):
    with pytest.raises(Refused) as refusal:
        Peer(broker.port, "x", username, password, version).connect()
    assert refusal.value.args[0] == NOT_AUTHORISED[version]


@pytest.mark.parametrize("client_id", ["a", "something-else", ""])
def test_a_device_may_choose_its_client_id(device, nothing_reached, client_id):
    nothing_reached(device("a", client_id=client_id), "a")


def test_a_device_that_the_backend_has_not_told_about_is_refused_until_it_does(broker, backend, peers):
    newcomer = Peer(broker.port, "c", "c", "token-c")
    with pytest.raises(Refused):
        newcomer.connect()
    backend.set("c", "token-c")
    peers.append(Peer(broker.port, "c", "c", "token-c").connect())


def certified(broker, certificates, name, **more):
    tls = {"ca_certs": f"{certificates}/ca.pem", "certfile": f"{certificates}/{name}.pem",
           "keyfile": f"{certificates}/{name}.key"}
    return Peer(broker.tls_port, more.pop("client_id", "tls"), tls=tls, **more)


def test_a_certificate_is_its_devices_identity(broker, backend, certificates, peers):
    backend.set("cert-a")
    a = certified(broker, certificates, "cert-a").connect()
    peers.append(a)
    a.publish("v1/devices/me/telemetry", "t")
    assert backend.receive() == ("evp/devices/cert-a/telemetry", "t")


@pytest.mark.parametrize("name", ["unknown", "two-names"])
def test_a_certificate_of_no_known_device_is_refused(broker, backend, certificates, name):
    backend.set("cert-a")
    with pytest.raises(Refused):
        certified(broker, certificates, name).connect()


def test_a_certificate_of_another_issuer_ends_in_the_handshake(broker, backend, certificates):
    backend.set("cert-a")
    with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        certified(broker, certificates, "forged").connect()
    tls = {"ca_certs": f"{certificates}/ca.pem"}
    with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
        Peer(broker.tls_port, "tls", "a", "token-a", tls=tls).connect()


def certificate_id(certificates, name):
    """As base/certificate_id.h says."""
    def say(*what):
        return subprocess.run(["openssl", "x509", "-noout", *what, "-in", f"{certificates}/{name}.pem"], check=True, capture_output=True, text=True).stdout
    issuer = say("-issuer", "-nameopt", "RFC2253").removeprefix("issuer=").strip()
    return hashlib.sha256(f"{issuer.lower()}\n{say('-serial').removeprefix('serial=').strip()}".encode()).hexdigest()


def test_a_revoked_certificate_ends_its_session_and_is_refused_until_it_is_restored(broker, backend, certificates, peers):
    backend.set("cert-a")
    backend.set("cert-b")
    a, b = (certified(broker, certificates, name, client_id=name).connect() for name in ("cert-a", "cert-b"))
    peers.extend((a, b))
    assert backend.control("revoke " + certificate_id(certificates, "cert-a")) == "ok"
    assert a.closed.wait(60)
    with pytest.raises(Refused):
        certified(broker, certificates, "cert-a").connect()
    b.publish("v1/devices/me/telemetry", "t")
    assert backend.receive() == ("evp/devices/cert-b/telemetry", "t")
    assert "64 hexadecimal digits" in backend.control("revoke 00")
    assert backend.control("restore " + certificate_id(certificates, "cert-a")) == "ok"
    peers.append(certified(broker, certificates, "cert-a").connect())


@pytest.mark.parametrize("username, password", [("cert-b", ""), ("a", "token-a"), ("$backend", None)])
def test_a_certificate_cannot_be_combined_with_another_name(broker, backend, certificates, username, password):
    backend.set("cert-a")
    backend.set("cert-b")
    if username == "$backend":
        password = broker.password
    with pytest.raises(Refused):
        certified(broker, certificates, "cert-a", username=username, password=password).connect()


def test_a_device_without_a_token_cannot_use_a_password(broker, backend):
    backend.set("cert-a")
    for password in ("", "-", None):
        with pytest.raises(Refused):
            Peer(broker.port, "x", "cert-a", password).connect()


def test_asking_all_clients_again_disconnects_nobody(broker, backend, device, nothing_reached):
    a = device("a", client_id="free")
    broker.hangup()
    nothing_reached(a, "a")
    a.publish("v1/devices/me/telemetry", "t")
    assert backend.receive() == ("evp/devices/a/telemetry", "t")


def test_only_the_backend_controls(broker, backend, device):
    b = device("b", version=V5)
    b.publish("$CONTROL/evp/v1", "batch 9\nremove a\n")
    device("a")


def test_a_batch_that_cannot_be_read_is_answered_with_its_reason(backend):
    assert "line 2" in backend.control("nonsense")
    assert backend.control("replace-end").startswith("replace-end without")
    assert backend.control("set c - -") == "ok"


def presence(message, name, what):
    """The number of the session that a message of presence names; ages are in milliseconds."""
    topic, payload = message
    words = payload.split(" ")
    assert topic == "evp/presence/" + name and words[0] == what and len(words) == (3 if what == "online" else 2), message
    assert what == "offline" or 0 <= int(words[2]) < 60_000
    return int(words[1])


def test_presence_is_told_to_the_backend(broker, backend, device, peers):
    watcher = Backend(broker, "watcher")
    peers.append(watcher.connect())
    assert watcher.subscribe("evp/presence/+", 1)
    a = device("a")
    first = presence(watcher.receive(), "a", "online")
    again = device("a", client_id="other")
    assert a.closed.wait(60)
    second = presence(watcher.receive(), "a", "online")
    assert second > first, "each session is told, under a number of its own"
    again.leave()
    assert presence(watcher.receive(), "a", "offline") == second
    device("b")
    of_b = presence(watcher.receive(), "b", "online")
    assert watcher.control("replace-begin", watcher.line("b", "token-b"), "replace-end") == "ok"
    told = [m for m in watcher.kept if m[0] == "evp/presence/b"]
    assert [presence(m, "b", "online") for m in told] == [of_b], "who is connected is told at each synchronisation"


def test_a_kick_that_names_a_session_ends_that_one_and_no_later_one(broker, backend, device, peers):
    assert backend.subscribe("evp/presence/+", 1)
    a = device("a")
    elder = presence(backend.receive(), "a", "online")
    a.leave()
    assert presence(backend.receive(), "a", "offline") == elder
    a = device("a")
    newer = presence(backend.receive(), "a", "online")
    assert backend.control(f"kick a {elder}") == "ok"
    backend.to("a", "mark", "still here")
    assert a.receive() == ("v1/devices/me/mark", "still here")
    assert backend.control(f"kick a {newer}") == "ok"
    assert a.closed.wait(60)
