"""A real backend and an issuer of OpenID Connect tokens with TLS of its own authority: who gets in, and as whom."""

import base64
import datetime
import http.server
import ipaddress
import json
import ssl
import subprocess
import threading
import time

import pytest
import requests
from conftest import BIN, Backend
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n):
    return b64(n.to_bytes((n.bit_length() + 7) // 8, "big"))


class Issuer:
    def __init__(self, folder):
        self.keys, self.fetched = {}, 0
        self.add_key("first")
        self.ca = folder / "issuer.pem"
        pair = folder / "issuer-key.pem"
        self.make_certificate(self.ca, pair)
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                known = {"/realms/fleet/.well-known/openid-configuration":
                         {"issuer": issuer.url, "jwks_uri": issuer.url + "/keys"},
                         "/realms/fleet/keys": {"keys": [issuer.published(k) for k in issuer.keys]}}
                if self.path not in known:
                    return self.send_error(404)
                issuer.fetched += self.path.endswith("/keys")
                body = json.dumps(known[self.path]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.ca, pair)
        self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/realms/fleet"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def make_certificate(file, key_file):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer of tests")])
        now = datetime.datetime.utcnow()
        made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
                .not_valid_after(now + datetime.timedelta(days=1))
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
                .sign(key, hashes.SHA256()))
        file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))

    def add_key(self, kid):
        self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def published(self, kid):
        n = self.keys[kid].public_key().public_numbers()
        return {"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": number(n.n), "e": number(n.e)}

    def token(self, kid="first", **claims):
        claims = {"iss": self.url, "aud": "openevp", "sub": "ann", "exp": int(time.time()) + 300,
                  "roles": ["evp:default:viewer"], **claims}
        signed = b64(json.dumps({"alg": "RS256", "kid": kid}).encode()) + "." + b64(json.dumps(claims).encode())
        return signed + "." + b64(self.keys[kid].sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    i = Issuer(tmp_path_factory.mktemp("issuer"))
    yield i
    i.stop()


@pytest.fixture(scope="module")
def backend(tmp_path_factory, issuer):
    b = Backend(tmp_path_factory.mktemp("evp") / "data", "--oidc-issuer", issuer.url, "--oidc-audience", "openevp",
                "--oidc-ca", str(issuer.ca)).start()
    b.ok("POST", "/v1/tenants", {"id": "acme"})
    deadline = time.monotonic() + 90
    while ask(b, issuer.token()).status_code == 503:  # it fetches the keys meanwhile
        assert time.monotonic() < deadline, b.log.read_text()
        time.sleep(0.05)
    yield b
    b.stop()


def ask(b, token, method="GET", path="/v1/caller", body=None, tenant=None):
    headers = {"Authorization": "Bearer " + token, **({"X-EVP-Tenant": tenant} if tenant else {})}
    return requests.request(method, b.url + path, headers=headers, data=json.dumps(body) if body else None, timeout=90)


def test_a_token_says_whose_it_is_and_what_he_may(backend, issuer):
    assert ask(backend, issuer.token()).json() == {"actor": "oidc:ann", "role": "viewer", "tenant": "default", "allTenants": False}
    assert ask(backend, issuer.token(roles=["evp:*:admin"])).json()["allTenants"] is True
    both = issuer.token(roles=["evp:acme:operator", "evp:default:viewer", "offline_access"])
    assert ask(backend, both).status_code == 403
    assert ask(backend, both, tenant="acme").json()["role"] == "operator"
    assert ask(backend, both, "POST", "/v1/devices", {"id": "cam-1"}, "acme").status_code == 201
    assert ask(backend, both, "POST", "/v1/devices", {"id": "cam-1"}, "default").status_code == 403
    records = backend.ok("GET", "/v1/audit?limit=100", headers={"X-EVP-Tenant": "acme"})
    assert any(r["actor"] == "acme:oidc:ann" for r in records["records"]), records


@pytest.mark.parametrize("claims, why", [
    ({"iss": "https://id.example"}, "another issuer"),
    ({"aud": "shop"}, "another audience"),
    ({"exp": 1}, "has ended"),
    ({"exp": None}, "exp"),
    ({"nbf": 32503680000}, "not good yet"),
    ({"sub": ""}, "sub"),
])
def test_a_token_that_is_not_for_here_and_now_is_refused_with_the_reason(backend, issuer, claims, why):
    token = issuer.token(**claims)
    answer = ask(backend, token)
    assert answer.status_code == 401 and why in answer.json()["error"]["message"], answer.text
    assert token not in answer.text


def test_forged_and_broken_tokens_are_refused_and_none_reaches_the_log(backend, issuer):
    good = issuer.token(roles=["evp:*:admin"])
    head, payload, signature = good.split(".")
    none = b64(json.dumps({"alg": "none", "kid": "first"}).encode())
    elsewhere = b64(json.dumps({"alg": "RS256", "jku": issuer.url + "/keys", "kid": "other"}).encode())
    forged = [f"{head}.{payload}.{signature[:-8]}AAAAAAAA", f"{none}.{payload}.", f"{none}.{payload}.{signature}",
              f"{elsewhere}.{payload}.{signature}", f"{head}.{payload[:-4]}.{signature}", "..", "a.b.c",
              f"{head}.{payload}." + "A" * 6000]
    for token in forged:
        assert ask(backend, token).status_code in (401, 431, 503), token
    assert ask(backend, good).ok
    log = backend.log.read_text()
    assert payload not in log and signature not in log


def test_an_issuer_that_changes_its_key_is_followed(backend, issuer):
    issuer.add_key("second")
    token = issuer.token("second")
    deadline = time.monotonic() + 90
    while not ask(backend, token).ok:  # the keys are asked for anew at most every 10 s
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert ask(backend, issuer.token("first")).ok


def test_half_a_configuration_is_refused(tmp_path):
    for flags, why in ((["--oidc-issuer", "https://id.example"], "--oidc-audience"),
                       (["--oidc-issuer", "http://id.example", "--oidc-audience", "x"], "https"),
                       (["--oidc-ca", "/x"], "--oidc-issuer")):
        ended = subprocess.run([BIN / "evp-backend", "--data", tmp_path / "data", "--listen", "127.0.0.1:0", *flags],
                               capture_output=True, text=True, timeout=60)
        assert ended.returncode != 0 and why in ended.stderr + ended.stdout, ended.stderr
