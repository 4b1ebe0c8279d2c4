"""A device whose key is on a PKCS #11 token (SoftHSM): it enrols, connects, uploads and renews, and the key is in no file."""
import json
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from harness import BIN, SOURCE, Process, Runtime, wait_until
from test_enrolment import backend  # noqa: F401, a fixture: on the certificates of the folder below
from test_tls import make_ca, openssl

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "27182818"


@pytest.fixture(scope="module")
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="evp-e2e-token-"))
    path.chmod(0o711)
    make_ca(path, "server-ca")
    # Both outlive the device's own certificate, for the runtime that is told of a later date.
    openssl("x509", "-in", path / "server-ca.pem", "-signkey", path / "server-ca.key", "-days", "500", "-out", path / "ca.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=server",
            "-keyout", path / "server.key", "-out", path / "server.csr")
    (path / "server.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", path / "server.csr", "-CA", path / "ca.pem", "-CAkey", path / "server-ca.key",
            "-CAcreateserial", "-days", "500", "-extfile", path / "server.ext", "-out", path / "server.pem")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def token(folder):
    """The environment that makes SoftHSM use a token with one key, as it is made at manufacture."""
    (folder / "tokens").mkdir(mode=0o700)
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    (folder / "pin").write_text(PIN + "\n")
    (folder / "pin").chmod(0o600)
    env = {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
    for command in (["softhsm2-util", "--init-token", "--free", "--label", "openevp", "--so-pin", "31415926", "--pin", PIN],
                    ["pkcs11-tool", "--module", MODULE, "--login", "--pin", PIN, "--token-label", "openevp", "--keypairgen",
                     "--key-type", "EC:prime256v1", "--label", "device", "--id", "01"]):
        subprocess.run(command, check=True, capture_output=True, env=env)
    return env


def uri(folder, key="device", pin="pin", module=MODULE):
    return f"pkcs11:token=openevp;object={key};type=private?pin-source=file:{folder}/{pin}&module-path={module}"


def ok(backend, folder, method, path, body=None, **more):
    return backend.ok(method, path, body, verify=folder / "ca.pem", **more)


def enrolment(backend, folder):
    token_file = folder / "enrolment-token"
    token_file.write_text(ok(backend, folder, "POST", "/v1/enrolment-tokens", {"uses": 5, "expirationDuration": "PT1H"})["token"])
    return {"EVP_ENROLL_URL": backend.url, "EVP_ENROLL_TOKEN_FILE": str(token_file), "EVP_MQTT_HOST": "localhost",
            "EVP_MQTT_PORT": str(backend.mqtt_port), "EVP_MQTT_TLS_CA_CERT": str(folder / "ca.pem"), "EVP_HTTPS_CA_CERT": str(folder / "ca.pem")}


def public_key(certificate):
    return subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], check=True, capture_output=True, text=True).stdout


def test_a_runtime_enrols_uploads_renews_and_restarts_with_a_key_that_stays_on_its_token(backend, folder, token):
    ok(backend, folder, "POST", "/v1/storage-access-services", {"type": "LOCAL", "certificate": (folder / "ca.pem").read_text()})
    ok(backend, folder, "PUT", "/v1/modules/camera-1", data=(BIN / "modules" / "camera").read_bytes(), headers={"Content-Type": "application/octet-stream"})
    data = folder / "device"
    runtime = Runtime(data, backend, "", "", start=False,
                      env={**token, **enrolment(backend, folder), "EVP_ENROLL_ID": "safe", "EVP_DEVICE_KEY": uri(folder)})
    del runtime.env["EVP_MQTT_USERNAME"], runtime.env["EVP_MQTT_PASSWORD"]
    online = lambda: any(d["id"] == "safe" and d["online"] for d in ok(backend, folder, "GET", "/v1/devices")["devices"])
    certificates = lambda: ok(backend, folder, "GET", "/v1/devices/safe/certificates")["certificates"]

    def picture():
        """Whether the camera has uploaded one: not before its instance runs."""
        said = backend.call("POST", "/v1/devices/safe/commands/camera/take-picture", {"params": {}, "timeLimit": "PT20S"}, verify=folder / "ca.pem")
        return said.ok and said.json()["response"]["result"] == "success"

    def nothing_is_told():
        for process_file in ("cmdline", "environ"):
            assert PIN.encode() not in pathlib.Path(f"/proc/{runtime.process.pid}/{process_file}").read_bytes()
        for file in (f for f in [*data.rglob("*"), data.with_suffix(".log"), folder / "backend.log"] if f.is_file()):
            bytes = file.read_bytes()
            assert PIN.encode() not in bytes, file
            assert file.name == "camera" or b"PRIVATE KEY" not in bytes, file

    runtime.start()
    wait_until(online, 60, "the device's first connection")
    ok(backend, folder, "PUT", "/v1/devices/safe/deployment", json.loads((SOURCE / "examples/camera/deployment.json").read_text()))
    wait_until(lambda: ((ok(backend, folder, "GET", "/v1/devices/safe/state")["deploymentStatus"] or {}).get("instances", {})
                        .get("camera", {}).get("status")) == "ok", 60, "the start of the camera")
    assert picture()
    (entry,) = ok(backend, folder, "GET", "/v1/uploads?device=safe")["uploads"]
    assert entry["state"] == "verified"
    nothing_is_told()
    kept = data / "identity/device.pem"
    assert [f.name for f in kept.parent.iterdir()] == ["device.pem"]
    assert kept.stat().st_mode & 0o077 == 0
    first, key = kept.read_bytes(), public_key(kept)
    runtime.stop()

    # 250 days later, by the device's clock: two thirds of the certificate's year are over.
    usual = dict(runtime.env)
    runtime.env.update({"LD_PRELOAD": next(str(f) for f in pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), "FAKETIME": "+250d",
                        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "ASAN_OPTIONS": "detect_leaks=0:exitcode=99:verify_asan_link_order=0"})
    runtime.start()
    wait_until(lambda: kept.read_bytes() != first, 60, "the renewal")
    assert public_key(kept) == key
    assert len(certificates()) == 2
    runtime.stop()

    runtime.env = usual
    runtime.start()
    wait_until(online, 60, "the device's return with the renewed certificate")
    wait_until(picture, 60, "another picture")
    assert len(ok(backend, folder, "GET", "/v1/uploads?device=safe")["uploads"]) == 2
    nothing_is_told()
    assert len(certificates()) == 2
    runtime.stop()


@pytest.mark.parametrize("wrong, code, says", [
    ({"key": "nobody"}, 1, "there is no such token, or no such key on it. Make the key: pkcs11-tool"),
    ({"pin": "wrong-pin"}, 2, "the token does not take the PIN"),
    ({"pin": "no-such-file"}, 1, "no-such-file"),
    ({"module": "/nonexistent.so"}, 1, "the PKCS #11 module cannot be loaded"),
])
def test_a_key_that_cannot_be_opened_is_told_in_words(backend, folder, token, wrong, code, says):
    (folder / "wrong-pin").write_text("99999999\n")
    process = Process([BIN / "evp-runtime"], folder / f"wrong-{says[:8]}.log", {
        **token, **enrolment(backend, folder), "EVP_DATA_DIR": str(folder / "wrong"), "EVP_DEVICE_KEY": uri(folder, **wrong)})
    assert process.child.wait(40) == code, process.text()
    assert says in process.text()
    assert PIN not in process.text() and "99999999" not in process.text()
    assert not (folder / "wrong/identity").exists()  # nobody was asked for a certificate
