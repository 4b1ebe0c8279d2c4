"""What tests of certificates share: issuers, keys and requests made by openssl, and MQTT connections that show a certificate."""

import ssl
import subprocess
import threading

import paho.mqtt.client as mqtt

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*arguments, **more):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **more).stdout


def make_issuer(folder, name):
    openssl("req", "-x509", *KEY, "-days", "2", "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")


def make_certificate(folder, issuer, name, extension="extendedKeyUsage=clientAuth", common_name=None):
    make_request(folder, name, common_name or name)
    (folder / f"{name}.ext").write_text(extension + "\n")
    openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{issuer}.pem", "-CAkey", folder / f"{issuer}.key",
            "-CAcreateserial", "-days", "2", "-extfile", folder / f"{name}.ext", "-out", folder / f"{name}.pem")


def make_server(folder):
    """An issuer "server-ca", and flags for a backend whose MQTT listener shows its certificate."""
    make_issuer(folder, "server-ca")
    make_certificate(folder, "server-ca", "server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    return "--mqtt-tls-cert", str(folder / "server.pem"), "--mqtt-tls-key", str(folder / "server.key")


def make_request(folder, name, common_name="whoever"):
    openssl("req", "-new", *KEY, "-subj", f"/CN={common_name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
    return (folder / f"{name}.csr").read_text()


def enrol(backend, folder, device, name):
    """Gives the device a certificate, in <name>.pem; its serial number."""
    token = backend.ok("POST", "/v1/enrolment-tokens", {"device": device})["token"]
    before = {c["serial"] for c in listed(backend, device)}
    made = backend.ok("POST", "/v1/enroll", {"token": token, "csr": make_request(folder, name)})
    (folder / f"{name}.pem").write_text(made["certificate"])
    (serial,) = {c["serial"] for c in listed(backend, device)} - before
    return serial


def listed(backend, device):
    answer = backend.rest("GET", f"/v1/devices/{device}/certificates")
    return answer.json()["certificates"] if answer.ok else []


def renew(backend, folder, name):
    csr = make_request(folder, "fresh")
    (folder / "to-sign").write_text(csr)
    signature = openssl("base64", "-A", input=openssl("dgst", "-sha256", "-sign", folder / f"{name}.key", folder / "to-sign"))
    return backend.rest("POST", "/v1/enroll/renew", {"certificate": (folder / f"{name}.pem").read_text(), "csr": csr, "signature": signature.decode()})


class Session:
    """A connection with the certificate <name>.pem. `code` is the CONNACK's, or None where there was none."""

    def __init__(self, port, folder, name, client_id=""):
        self.code, self.ended, answered = None, threading.Event(), threading.Event()
        self.client = mqtt.Client(client_id=client_id, clean_session=True)
        self.client.tls_set(ca_certs=str(folder / "server-ca.pem"), certfile=str(folder / f"{name}.pem"), keyfile=str(folder / f"{name}.key"))

        def on_connect(client, userdata, flags, code):
            self.code = code
            answered.set()

        self.client.on_connect = on_connect
        try:
            self.client.connect("localhost", port, keepalive=60)
        except (ssl.SSLError, OSError):
            self.ended.set()
            return
        self.thread = threading.Thread(target=self.run, args=(answered,), daemon=True)
        self.client._thread = self.thread  # as loop_start() does: paho then leaves all writing to this thread
        self.thread.start()
        assert answered.wait(60)

    def run(self, answered):
        try:
            while self.client.loop(timeout=0.1) == mqtt.MQTT_ERR_SUCCESS:
                pass
        except (ssl.SSLError, OSError):
            pass
        self.ended.set()
        answered.set()

    def lives(self):
        """The broker has acknowledged what it published just now."""
        info = self.client.publish("v1/devices/me/telemetry", "{}", 1)
        try:
            info.wait_for_publish(60)
        except (RuntimeError, ValueError):
            return False
        return info.is_published() and not self.ended.is_set()

    def close(self):
        if not self.ended.is_set():
            self.client.disconnect()
            assert self.ended.wait(60)


def admits(port, folder, name):
    one = Session(port, folder, name)
    one.close()
    return one.code == 0
