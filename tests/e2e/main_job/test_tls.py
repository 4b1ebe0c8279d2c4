"""TLS everywhere: REST over https, the device over mutual TLS, its identity made by its certificate alone."""
import json
import pathlib
import shutil
import ssl
import subprocess
import tempfile

import paho.mqtt.client as mqtt
import pytest
import requests

from harness import BIN, SOURCE, Backend, Runtime, wait_until


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_ca(folder, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")


def make_certificate(folder, ca, name, extension):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
    (folder / f"{name}.ext").write_text(extension + "\n")
    openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{ca}.pem", "-CAkey", folder / f"{ca}.key",
            "-CAcreateserial", "-days", "2", "-extfile", folder / f"{name}.ext", "-out", folder / f"{name}.pem")


@pytest.fixture(scope="module")
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="evp-e2e-tls-"))
    path.chmod(0o711)
    make_ca(path, "fleet-ca")
    make_ca(path, "other-ca")
    make_certificate(path, "fleet-ca", "server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    for device, ca in (("cam-1", "fleet-ca"), ("cam-2", "fleet-ca"), ("stranger", "other-ca")):
        make_certificate(path, ca, device, "extendedKeyUsage=clientAuth")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def backend(folder):
    b = Backend(folder / "backend", "--tls-cert", folder / "server.pem", "--tls-key", folder / "server.key", "--mqtt-tls-cert", folder / "server.pem",
                "--mqtt-tls-key", folder / "server.key", "--mqtt-tls-ca", folder / "fleet-ca.pem")
    assert b.url.startswith("https://")
    yield b
    b.stop()


def test_a_device_with_a_certificate_uploads_over_mutual_tls(backend, folder):
    ca = folder / "fleet-ca.pem"
    ok = lambda *a, **k: backend.ok(*a, verify=ca, **k)
    with pytest.raises(requests.exceptions.SSLError):
        backend.call("GET", "/v1/devices", verify=folder / "other-ca.pem")
    ok("POST", "/v1/storage-access-services", {"type": "LOCAL", "certificate": ca.read_text()})
    ok("POST", "/v1/devices", {"id": "cam-1"})
    ok("PUT", "/v1/modules/camera-1", data=(BIN / "modules" / "camera").read_bytes(), headers={"Content-Type": "application/octet-stream"})
    ok("PUT", "/v1/devices/cam-1/deployment", json.loads((SOURCE / "examples/camera/deployment.json").read_text()))
    runtime = Runtime(folder / "device", backend, "cam-1", "", start=False, env={
        "EVP_MQTT_HOST": "localhost", "EVP_MQTT_TLS_CA_CERT": str(ca), "EVP_MQTT_TLS_CLIENT_CERT": str(folder / "cam-1.pem"),
        "EVP_MQTT_TLS_CLIENT_KEY": str(folder / "cam-1.key"), "EVP_HTTPS_CA_CERT": str(ca)})
    del runtime.env["EVP_MQTT_USERNAME"], runtime.env["EVP_MQTT_PASSWORD"]
    runtime.start()
    status = lambda: ((ok("GET", "/v1/devices/cam-1/state")["deploymentStatus"] or {}).get("instances", {}).get("camera", {}).get("status"))
    wait_until(lambda: status() == "ok", 90, "the start of the camera")
    said = ok("POST", "/v1/devices/cam-1/commands/camera/take-picture", {"params": {}, "timeLimit": "PT40S"})["response"]
    assert said["result"] == "success", said
    (entry,) = ok("GET", "/v1/uploads?device=cam-1")["uploads"]
    assert entry["state"] == "verified" and entry["sizeBytes"] == said["size"]
    runtime.stop()


def connect(backend, folder, name, certificate):
    """The CONNACK's code, or None when the TLS handshake is refused."""
    answers = []
    client = mqtt.Client(client_id=name, clean_session=True)
    client.tls_set(ca_certs=str(folder / "fleet-ca.pem"), certfile=str(folder / f"{certificate}.pem"), keyfile=str(folder / f"{certificate}.key"))
    client.on_connect = lambda c, u, f, code: answers.append(code)
    try:
        client.connect("localhost", backend.mqtt_port)
        for _ in range(1000):
            if answers or client.loop(0.05) != mqtt.MQTT_ERR_SUCCESS:
                break
        client.disconnect()
    except (ssl.SSLError, ConnectionError):
        return None
    return answers[0] if answers else None


def test_a_certificate_of_another_authority_or_of_an_unknown_device_is_refused(backend, folder):
    backend.ok("POST", "/v1/devices", {"id": "stranger"}, verify=folder / "fleet-ca.pem")
    assert connect(backend, folder, "stranger", "stranger") is None  # registered, but its certificate is another authority's
    assert connect(backend, folder, "cam-2", "cam-2") not in (None, 0)  # the fleet's authority, but not registered
    backend.ok("POST", "/v1/devices", {"id": "cam-2"}, verify=folder / "fleet-ca.pem")
    assert connect(backend, folder, "cam-2", "cam-2") == 0
