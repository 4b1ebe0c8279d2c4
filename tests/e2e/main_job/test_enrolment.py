"""Enrolment: a device that has nothing but a token gets a certificate, and connects with it."""
import base64
import json
import pathlib
import shutil
import subprocess
import tempfile

import pytest
import requests

from harness import BIN, SOURCE, Backend, Runtime, wait_until
from test_tls import connect, make_ca, make_certificate, openssl


@pytest.fixture(scope="module")
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="evp-e2e-enrol-"))
    path.chmod(0o711)
    make_ca(path, "server-ca")
    make_certificate(path, "server-ca", "server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def backend(folder):
    b = Backend(folder / "backend", "--tls-cert", folder / "server.pem", "--tls-key", folder / "server.key", "--mqtt-tls-cert", folder / "server.pem",
                "--mqtt-tls-key", folder / "server.key", "--device-authority")
    yield b
    b.stop()


def request_of(folder, name, subject="somebody-else"):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={subject}",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
    return (folder / f"{name}.csr").read_text()


def ok(backend, folder, method, path, body=None):
    return backend.ok(method, path, body, verify=folder / "server-ca.pem")


def enrol(backend, folder, **body):
    return requests.post(backend.url + "/v1/enroll", json=body, verify=folder / "server-ca.pem", timeout=60)


def test_a_token_becomes_a_certificate_and_the_certificate_a_connection(backend, folder):
    token = ok(backend, folder, "POST", "/v1/enrolment-tokens", {"device": "cam-1"})["token"]
    made = enrol(backend, folder, token=token, csr=request_of(folder, "cam-1"))
    assert made.status_code == 201, made.text
    assert made.json()["id"] == made.json()["username"] == "cam-1"
    (folder / "cam-1.pem").write_text(made.json()["certificate"])
    (folder / "issuer.pem").write_text(made.json()["issuer"])
    openssl("verify", "-purpose", "sslclient", "-CAfile", folder / "issuer.pem", folder / "cam-1.pem")
    shutil.copy(folder / "server-ca.pem", folder / "fleet-ca.pem")  # whom connect() trusts
    assert connect(backend, folder, "cam-1", "cam-1") == 0
    (entry,) = ok(backend, folder, "GET", "/v1/devices/cam-1/certificates")["certificates"]
    assert entry["expiresAt"] == made.json()["expiresAt"]
    assert token not in (folder / "backend.log").read_text() if (folder / "backend.log").exists() else True

    used_up = enrol(backend, folder, token=token, csr=request_of(folder, "thief"))
    assert used_up.status_code == 401, used_up.text
    ok(backend, folder, "POST", "/v1/devices/cam-1/block")
    assert connect(backend, folder, "cam-1", "cam-1") != 0
    ok(backend, folder, "POST", "/v1/devices/cam-1/unblock")


def test_a_certificate_of_another_issuer_is_nobody(backend, folder):
    make_ca(folder, "other-ca")
    make_certificate(folder, "other-ca", "forged", "extendedKeyUsage=clientAuth")
    assert connect(backend, folder, "forged", "forged") != 0


def test_est_clients_get_the_same(backend, folder):
    token = ok(backend, folder, "POST", "/v1/enrolment-tokens", {"uses": 1})["token"]
    pem = request_of(folder, "est")
    lines = pem.split("-----")[2]
    url = backend.url + "/.well-known/est/"
    ca = folder / "server-ca.pem"
    answer = requests.post(url + "simpleenroll", data=lines, auth=("device", token), verify=ca, timeout=60,
                           headers={"Content-Type": "application/pkcs10"})
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("application/pkcs7-mime"), answer.text
    (folder / "est.p7").write_bytes(base64.b64decode(answer.text))
    openssl("pkcs7", "-inform", "DER", "-in", folder / "est.p7", "-print_certs", "-out", folder / "est.pem")
    (folder / "est-ca.p7").write_bytes(base64.b64decode(requests.get(url + "cacerts", verify=ca, timeout=60).text))
    openssl("pkcs7", "-inform", "DER", "-in", folder / "est-ca.p7", "-print_certs", "-out", folder / "est-ca.pem")
    openssl("verify", "-CAfile", folder / "est-ca.pem", folder / "est.pem")
    name = subprocess.run(["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline", "-in", folder / "est.pem"], check=True,
                          capture_output=True, text=True).stdout.split("=")[-1].strip()
    assert name.startswith("device-")
    assert name in [d["id"] for d in ok(backend, folder, "GET", "/v1/devices")["devices"]]
    refused = requests.post(url + "simpleenroll", data=lines, auth=("device", "wrong"), verify=ca, timeout=60)
    assert refused.status_code == 401


def test_a_runtime_enrols_itself_and_uploads(backend, folder):
    ca = folder / "server-ca.pem"
    ok(backend, folder, "POST", "/v1/storage-access-services", {"type": "LOCAL", "certificate": ca.read_text()})
    token_file = folder / "token"
    token_file.write_text(ok(backend, folder, "POST", "/v1/enrolment-tokens", {"uses": 5, "expirationDuration": "PT1H"})["token"] + "\n")
    token_file.chmod(0o600)
    backend.ok("PUT", "/v1/modules/camera-1", data=(BIN / "modules" / "camera").read_bytes(), verify=ca,
               headers={"Content-Type": "application/octet-stream"})
    runtime = Runtime(folder / "device", backend, "fresh", "", start=False, env={
        "EVP_MQTT_HOST": "localhost", "EVP_MQTT_TLS_CA_CERT": str(ca), "EVP_HTTPS_CA_CERT": str(ca),
        "EVP_ENROLL_URL": backend.url, "EVP_ENROLL_TOKEN_FILE": str(token_file), "EVP_ENROLL_ID": "fresh"})
    del runtime.env["EVP_MQTT_USERNAME"], runtime.env["EVP_MQTT_PASSWORD"]
    runtime.start()
    online = lambda: any(d["id"] == "fresh" and d["online"] for d in ok(backend, folder, "GET", "/v1/devices")["devices"])
    wait_until(online, 60, "the device's first connection")
    kept = folder / "device/identity/device.pem"
    assert kept.stat().st_mode & 0o077 == 0 and b"PRIVATE KEY" in kept.read_bytes()
    before = kept.read_bytes()

    backend.ok("PUT", "/v1/devices/fresh/deployment", json.loads((SOURCE / "examples/camera/deployment.json").read_text()), verify=ca)
    status = lambda: ((ok(backend, folder, "GET", "/v1/devices/fresh/state")["deploymentStatus"] or {}).get("instances", {}).get("camera", {}).get("status"))
    wait_until(lambda: status() == "ok", 90, "the start of the camera")
    said = ok(backend, folder, "POST", "/v1/devices/fresh/commands/camera/take-picture", {"params": {}, "timeLimit": "PT40S"})["response"]
    assert said["result"] == "success", said
    runtime.stop()

    token_file.unlink()  # it has served
    runtime.start()
    wait_until(online, 60, "the device's return")
    assert kept.read_bytes() == before
    assert len(ok(backend, folder, "GET", "/v1/devices/fresh/certificates")["certificates"]) == 1
    runtime.stop()
