"""Revocation of one certificate: at each broker and each backend, in open sessions, and after whatever was started anew."""

import os
import re
import signal
import subprocess
import time

import pytest
from certificates import Session, admits, enrol, listed, make_certificate, make_issuer, make_request, make_server, openssl, renew
from several import AT_ONCE, Broker, database, free_ports, make_password, postgresql, replicas, wait_for  # noqa: F401: fixtures

ROUNDS = 3


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "pki"
    path.mkdir(mode=0o755)
    return path


def mqtt_port(backend):
    return backend.ready["mqtt"]["port"]


def revoke(backend, device, serial):
    answer = backend.ok("DELETE", f"/v1/devices/{device}/certificates/{serial}")
    assert answer["serial"] == serial and answer["revokedAt"] and "brokerError" not in answer, answer
    return answer


def test_a_revoked_certificate_ends_at_once_at_all_backends_and_the_others_go_on(folder, database, replicas):  # noqa: F811
    flags = (*make_server(folder), "--device-authority", "--database", database.url())
    a, b = replicas(*flags), replicas(*flags)
    kept = enrol(a, folder, "cam-1", "kept")
    wait_for(lambda: admits(mqtt_port(b), folder, "kept"))
    other = Session(mqtt_port(a), folder, "kept")
    took = []
    for i in range(ROUNDS):
        stolen = enrol(a, folder, "cam-1", f"stolen-{i}")
        session = Session(mqtt_port(b), folder, f"stolen-{i}")
        assert session.code == 0 and session.lives()
        began = time.monotonic()
        revoke(a, "cam-1", stolen)
        assert session.ended.wait(60)
        took.append(time.monotonic() - began)
        for backend in (a, b):
            assert not admits(mqtt_port(backend), folder, f"stolen-{i}")
            assert renew(backend, folder, f"stolen-{i}").status_code == 403
            by_serial = {c["serial"]: "revokedAt" in c for c in listed(backend, "cam-1")}
            assert by_serial[stolen] and not by_serial[kept]
    print("sessions at the other backend ended after", [f"{t:.3f}" for t in took])
    assert min(took) < AT_ONCE
    assert other.lives() and renew(b, folder, "kept").status_code == 201
    other.close()

    # A broker that was started anew, and then a backend: neither lets it in.
    brokers = lambda: subprocess.run(["pgrep", "-P", str(b.process.pid), "mosquitto"], capture_output=True, text=True).stdout.split()
    (broker,) = brokers()
    os.kill(int(broker), signal.SIGKILL)
    wait_for(lambda: brokers() not in ([], [broker]))  # not by /healthz: that may be good again before we have looked
    wait_for(lambda: admits(mqtt_port(b), folder, "kept") and b.rest("GET", "/healthz").ok)
    assert not admits(mqtt_port(b), folder, "stolen-0")
    b.stop()
    b.start()
    assert admits(mqtt_port(b), folder, "kept") and not admits(mqtt_port(b), folder, "stolen-0")

    (record,) = [r for r in a.ok("GET", "/v1/audit?object=cam-1")["records"] if r["action"] == "certificate.revoke" and stolen in r["detail"]]
    assert record["outcome"] == "ok" and record["objectName"] == "cam-1"


def test_what_a_removed_device_had_admits_no_later_one_of_its_name(folder, database, replicas):  # noqa: F811
    flags = (*make_server(folder), "--device-authority", "--database", database.url())
    a, b = replicas(*flags), replicas(*flags)
    enrol(a, folder, "cam-1", "before")
    wait_for(lambda: admits(mqtt_port(b), folder, "before"))
    assert a.rest("DELETE", "/v1/devices/cam-1").status_code == 204
    enrol(a, folder, "cam-1", "after")
    wait_for(lambda: admits(mqtt_port(b), folder, "after"))
    for backend in (a, b):
        assert not admits(mqtt_port(backend), folder, "before")


class TlsBroker(Broker):
    """A second listener, which asks devices for certificates of these issuers."""

    def __init__(self, folder, name, password_file, issuers):
        self.tls_port, = free_ports(1)
        self.listener = (f"listener {self.tls_port} 127.0.0.1\ncafile {issuers}\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
                         "require_certificate true\n")
        super().__init__(folder, name, password_file)

    def start(self):
        text = self.configuration.read_text()
        if self.listener not in text:
            self.configuration.write_text(text + self.listener)
        super().start()


def test_brokers_that_are_shared_keep_the_list_whichever_is_started_anew(folder, tmp_path, replicas):  # noqa: F811
    make_server(folder)
    password = make_password(tmp_path)
    issuers = folder / "issuers.pem"
    issuers.write_text((folder / "server-ca.pem").read_text())  # until the authority is there
    brokers = [TlsBroker(folder, f"broker-{i}", password, issuers) for i in range(2)]
    try:
        a = replicas("--device-authority", "--broker-password-file", str(password), *(f for b in brokers for f in ("--broker", b.address)))
        pkcs7 = openssl("base64", "-d", "-A", input=a.rest("GET", "/.well-known/est/cacerts").content)
        issuers.write_bytes(openssl("pkcs7", "-inform", "DER", "-print_certs", input=pkcs7))
        for b in brokers:
            b.kill()
            b.start()
        stolen = enrol(a, folder, "cam-1", "stolen")
        enrol(a, folder, "cam-1", "kept")
        wait_for(lambda: all(admits(b.tls_port, folder, "stolen") for b in brokers))
        session = Session(brokers[1].tls_port, folder, "stolen")
        assert session.code == 0
        revoke(a, "cam-1", stolen)
        assert session.ended.wait(60)
        for again in (brokers[0], brokers[1], a):
            if again is a:
                a.kill()
            else:
                again.kill()
            again.start()
            wait_for(lambda: all(admits(b.tls_port, folder, "kept") for b in brokers))
            assert not any(admits(b.tls_port, folder, "stolen") for b in brokers), again
    finally:
        for b in brokers:
            b.stop()


class Issuer:
    """An operator's authority that makes lists of what it has revoked."""

    def __init__(self, folder, name="fleet-ca"):
        self.folder, self.name, self.index = folder, name, folder / f"{name}.index"
        make_issuer(folder, name)
        (folder / f"{name}.conf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.index}\ncrlnumber={folder}/{name}.number\ndefault_md=sha256\n[e]\nauthorityKeyIdentifier=keyid:always\n")
        (folder / f"{name}.number").write_text("01\n")
        self.index.write_text("")

    def revoke(self, name):
        serial = openssl("x509", "-noout", "-serial", "-in", self.folder / f"{name}.pem", text=True).strip().removeprefix("serial=")
        with open(self.index, "a") as index:
            an_hour_ago, later = (time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + s)) for s in (-3600, 86_400))
            index.write(f"R\t{later}\t{an_hour_ago}\t{serial}\tunknown\t/CN={name}\n")

    def write_list(self, file, *form):
        fresh = self.folder / "fresh.crl"
        openssl("ca", "-config", self.folder / f"{self.name}.conf", "-gencrl", "-crldays", "2", "-cert", self.folder / f"{self.name}.pem",
                "-keyfile", self.folder / f"{self.name}.key", "-crlexts", "e", "-out", fresh)
        openssl("crl", "-in", fresh, *form, "-out", fresh)
        fresh.rename(file)


def of_list(backend, metric, number=1):
    return float(re.search(rf'^{metric}{{list="{number}"}} (\S+)', backend.rest("GET", "/metrics").text, re.M)[1])


def test_a_list_of_the_operators_issuer_is_heeded_whenever_it_changes(folder, replicas):  # noqa: F811
    server, fleet, other = make_server(folder), Issuer(folder), Issuer(folder, "other-ca")
    for name in ("cam-1", "cam-2", "cam-3"):
        make_certificate(folder, "fleet-ca", name)
    fleet.revoke("cam-1")
    file = folder / "fleet.crl"
    fleet.write_list(file)
    a = replicas(*server, "--mqtt-tls-ca", str(folder / "fleet-ca.pem"), "--mqtt-tls-crl", str(file))
    for name in ("cam-1", "cam-2", "cam-3"):
        a.make_device(name)
    assert [admits(mqtt_port(a), folder, f"cam-{i}") for i in (1, 2, 3)] == [False, True, True]
    assert of_list(a, "evp_revocation_list_good") == of_list(a, "evp_revocation_list_entries") == 1

    session, kept = Session(mqtt_port(a), folder, "cam-2", "cam-2"), Session(mqtt_port(a), folder, "cam-3", "cam-3")
    fleet.revoke("cam-2")
    fleet.write_list(file, "-outform", "DER")
    assert session.ended.wait(60) and not admits(mqtt_port(a), folder, "cam-2")
    assert kept.lives() and of_list(a, "evp_revocation_list_entries") == 2

    other.write_list(file)  # which has revoked nothing, and has no say
    wait_for(lambda: of_list(a, "evp_revocation_list_good") == 0)
    wait_for(lambda: "its issuer is none of those" in a.log.read_text())
    assert not any(admits(mqtt_port(a), folder, name) for name in ("cam-1", "cam-2")) and kept.lives()
    kept.close()
    a.stop()
    with pytest.raises(AssertionError, match="fleet.crl"):  # without a list it does not start
        a.start()
    fleet.write_list(file)
    a.start()
    assert [admits(mqtt_port(a), folder, f"cam-{i}") for i in (1, 2, 3)] == [False, False, True]
    assert of_list(a, "evp_revocation_list_good") == 1 and "evp_revoked_certificates 2" in a.rest("GET", "/metrics").text


def reenroll(backend, folder, csr, name=None):
    """By curl, as an EST client would: the status, and the certificate's PEM where there is one."""
    (folder / "body").write_text("".join(csr.splitlines()[1:-1]))
    shown = ("--cert", folder / f"{name}.pem", "--key", folder / f"{name}.key") if name else ()
    done = subprocess.run(["curl", "-s", "--cacert", folder / "server-ca.pem", *shown, "-H", "Content-Type: application/pkcs10", "--data-binary",
                           f"@{folder}/body", "-o", folder / "answer", "-w", "%{http_code} %{content_type}",
                           backend.url + "/.well-known/est/simplereenroll"], capture_output=True, text=True, check=True).stdout
    status, kind = done.split(" ", 1)
    if status != "200":
        return int(status), (folder / "answer").read_text()
    assert kind.startswith("application/pkcs7-mime"), kind
    pkcs7 = openssl("base64", "-d", "-A", "-in", folder / "answer")
    return 200, openssl("pkcs7", "-inform", "DER", "-print_certs", input=pkcs7).decode()


def test_an_est_client_renews_with_the_certificate_of_its_handshake(folder, replicas):  # noqa: F811
    a = replicas(*make_server(folder), "--tls-cert", str(folder / "server.pem"), "--tls-key", str(folder / "server.key"), "--device-authority", verify=folder / "server-ca.pem")
    serial = enrol(a, folder, "cam-1", "first")
    status, pem = reenroll(a, folder, make_request(folder, "second", "cam-2"), "first")
    assert status == 200, pem
    (folder / "second.pem").write_text(pem)
    assert openssl("x509", "-noout", "-subject", "-in", folder / "second.pem", text=True).strip() == "subject=CN = cam-1", "who it is its certificate says"
    assert admits(mqtt_port(a), folder, "second") and len(listed(a, "cam-1")) == 2

    csr = make_request(folder, "third")
    assert reenroll(a, folder, csr)[0] == 401, "without a certificate"
    make_issuer(folder, "OpenEVP devices")
    make_certificate(folder, "OpenEVP devices", "forged", common_name="cam-1")
    assert reenroll(a, folder, csr, "forged")[0] == 401, "of another authority that goes by the same name"
    answer = subprocess.run(["curl", "-s", "--cacert", folder / "server-ca.pem", "--cert", folder / "first.pem", "--key", folder / "first.key", a.url + "/v1/devices"],
                            capture_output=True, text=True, check=True).stdout
    assert '"unauthenticated"' in answer, "a certificate opens no other route"

    revoke(a, "cam-1", serial)
    status, text = reenroll(a, folder, csr, "first")
    assert status == 403 and "revoked" in text
    a.ok("POST", "/v1/devices/cam-1/block")
    assert reenroll(a, folder, csr, "second")[0] == 403
    a.ok("POST", "/v1/devices/cam-1/unblock")
    assert reenroll(a, folder, csr, "second")[0] == 200
