"""Attacks by strangers, users and devices: each gets a clear error, meets a bound and is counted, and others are served."""

import http.client
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.parse

import pytest
from attackers import Drip, answer_of, connect, drip_all, number, resident_mib, serving
from conftest import LOCAL, ME, Backend

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from harness import SOURCE, files_below as files_of, wait_until  # noqa: E402

RATE = 10  # grants a second of each device here, so that slow machines reach it; a bystander stays below
MEMORY_MIB = 64  # what an attack may leave behind, under AddressSanitizer too


class Attacked(Backend):
    """A backend that a test reads metrics of."""

    def ok_metrics(self):
        return self.session.get(self.url + "/metrics", timeout=90, verify=self.verify).text


def begin(folder, *flags, ca=None):
    before = os.environ.get("ASAN_OPTIONS", "")
    os.environ["ASAN_OPTIONS"] = before + ":quarantine_size_mb=4"  # freed memory counts as free
    b = Attacked(folder / "data", *flags, verify=ca or True)
    try:
        b.start()
    finally:
        os.environ["ASAN_OPTIONS"] = before
    try:
        b.ok("POST", "/v1/storage-access-services", LOCAL)
    except Exception:
        b.stop()
        raise
    return b


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    b = begin(tmp_path_factory.mktemp("plain"), "--device-grants-per-second", str(RATE))
    yield b
    b.stop()


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["bash", "-c", f'. {SOURCE}/tests/fixtures/certificates.bash; make_certificates "{folder}"'], check=True)
    b = begin(folder, "--tls-cert", folder / "server.pem", "--tls-key", folder / "server.key", ca=folder / "ca.pem")
    yield b
    b.stop()


# Slow clients


def test_slow_loris_over_http_and_tls_is_answered_counted_and_leaves_no_connection(backend, tls):
    many = 30
    drips = {}
    with serving(backend, "bystander-http"), serving(tls, "bystander-tls"):
        before = {(b, reason): number(b, "evp_http_connections_ended_total", reason=reason)
                  for b, reasons in ((backend, ("slow_head", "slow_body")), (tls, ("slow_head", "slow_body", "handshake"))) for reason in reasons}
        for b in (backend, tls):
            post = (f"POST /v1/devices HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {b.token}\r\n"
                    "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n").encode()
            drips[b, "slow_head"] = [Drip(connect(b), b"GET /healthz HTTP/1.1\r\nHost: h\r\nX-Slow: ", b"x") for _ in range(many)]
            drips[b, "slow_body"] = [Drip(connect(b), post, b" ") for _ in range(many)]
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # of 512 bytes, the rest of which never comes
        drips[tls, "handshake"] = [Drip(connect(tls, tls=False), hello, None) for _ in range(many)]
        wait_until(lambda: number(tls, "evp_http_connections") > many, 60, "the slow connections")
        left = drip_all([d for group in drips.values() for d in group], 120)
        assert left == []
        for (b, reason), group in drips.items():
            if reason == "handshake":
                assert {d.status for d in group} == {None}  # no HTTP there to answer in
            else:
                assert {d.status for d in group} == {408}, reason
                assert all(b"deadline_exceeded" in d.text and b"too slowly" in d.text for d in group)
            assert number(b, "evp_http_connections_ended_total", reason=reason) - before[b, reason] == many, reason
    for b in (backend, tls):
        wait_until(lambda: number(b, "evp_http_connections") <= 3, 60, "the end of the slow connections")


def test_who_takes_all_connections_loses_his_own_and_nobody_elses(tmp_path):
    most = 64
    b = begin(tmp_path, "--max-connections", str(most))
    try:
        at = urllib.parse.urlsplit(b.url)
        idle = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
        idle.request("GET", "/healthz")
        idle.getresponse().read()
        idle.auto_open = 0  # this connection or none
        with serving(b, "bystander-taken"):
            thieves = []
            for _ in range(4 * most):
                thieves.append(connect(b, source="127.0.0.2"))
                thieves[-1].sendall(b"G")
            wait_until(lambda: number(b, "evp_http_connections_ended_total", reason="displaced") >= 2 * most, 60, "room for others")
            assert number(b, "evp_http_connections") <= most
            idle.request("GET", "/healthz")
            assert idle.getresponse().status == 200
        for t in thieves:
            t.close()
        assert "connections are taken" in b.log.read_text()
    finally:
        b.stop()


# Heads


def field(size):
    return b"X: " + b"x" * size + b"\r\n"


@pytest.mark.parametrize("name,line,fields,reason", [
    ("many fields", b"GET /healthz HTTP/1.1\r\n", b"".join(b"X-%d: 1\r\n" % i for i in range(1000)), "large_head"),
    ("one huge field", b"GET /healthz HTTP/1.1\r\n", field(1 << 20), "large_head"),
    ("a long URL", b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\n", b"", "large_head"),
    ("two lengths", b"POST /v1/devices HTTP/1.1\r\n", b"Content-Length: 1\r\nContent-Length: 2\r\n", "malformed"),
    ("length and chunks", b"POST /v1/devices HTTP/1.1\r\n", b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "malformed"),
    ("no HTTP", b"\x00\xff\x00\r\n", b"", "malformed")], ids=lambda v: v if isinstance(v, str) else "")
def test_header_bombs_are_refused(backend, tls, name, line, fields, reason):
    for b in (backend, tls):
        with serving(b, "bystander-" + name.replace(" ", "-")):
            memory, before = resident_mib(b), number(b, "evp_http_connections_ended_total", reason=reason)
            for _ in range(20):
                with connect(b) as s:
                    try:
                        s.sendall(line + b"Host: h\r\nConnection: close\r\n" + fields + b"\r\n")
                    except OSError:
                        pass  # the server has closed by now; its answer may be there all the same
                    status, body = answer_of(s)
                    assert status == (431 if reason == "large_head" else 400), (status, body)
                    assert body["error"]["code"] == ("too_large" if reason == "large_head" else "invalid_argument")
                    assert body["error"]["message"]
            assert number(b, "evp_http_connections_ended_total", reason=reason) - before == 20
            assert resident_mib(b) - memory < MEMORY_MIB


def test_a_head_without_end_is_cut_off(backend):
    with serving(backend, "bystander-endless"), connect(backend) as s:
        memory, sent = resident_mib(backend), 0
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n")
        s.settimeout(30)
        try:
            while sent < 1 << 30:
                sent += s.send(field(60_000))
        except OSError:
            pass
        assert sent < 100 << 20, sent
        assert resident_mib(backend) - memory < MEMORY_MIB


# JSON

BOMBS = {
    "33 levels": b'{"a":' + b"[" * 32 + b"]" * 32 + b"}",
    "deep objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "deep arrays": b'{"a":' + b"[" * 100_000,
    "a key twice": b'{"id":"x","id":"y"}',
    "a key twice inside": b'{"id":{"k":1,"k":2}}',
    "no UTF-8": b'{"id":"\xff\xfe"}',
    "overlong UTF-8": b'{"id":"\xc0\xae"}',
    "half a surrogate": b'{"id":"\\ud800"}',
    "a number beyond all": b'{"id":1e999999}',
    "text after the end": b'{"id":"x"}{',
    "a list": b"[]",
    "nothing but a brace": b"{",
    "a huge key": b'{"' + b"k" * 100_000 + b'":1}',
    "9,000 keys": b"{" + b",".join(b'"k%d":1' % i for i in range(9000)) + b"}"}
ROUTES = [("POST", "/v1/storage-access-services"), ("POST", "/v1/devices"), ("PUT", "/v1/hooks/h"), ("PUT", "/v1/policy"),
          ("PUT", "/v1/device-groups/g"), ("POST", "/v1/api-keys"), ("POST", "/v1/tenants"),
          ("PUT", "/v1/devices/target/deployment"), ("PUT", "/v1/devices/target/configuration/up/t")]


def test_json_bombs_over_rest_are_refused_at_every_route(backend):
    backend.make_device("target")
    for method, path in ROUTES:  # each is measured by a good request first: the names are right
        assert backend.rest(method, path, data=b"7").status_code == 400, path
    with serving(backend, "bystander-json"):
        memory, before = resident_mib(backend), number(backend, "evp_http_requests_total", status="4xx")
        sent = 0
        for method, path in ROUTES:
            for name, bomb in BOMBS.items():
                answer = backend.rest(method, path, data=bomb)
                sent += 1
                assert answer.status_code in (400, 413), (method, path, name, answer.status_code, answer.text)
                assert answer.json()["error"]["message"] and len(answer.content) < 8192, (path, name)
            for oversized in (b'{"id":"' + b"x" * (3 << 20) + b'"}', iter([b'{"id":"'] + [b"x" * 65536] * 48)):
                answer = backend.rest(method, path, data=oversized)  # announced, and in chunks
                sent += 1
                assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large"), (path, answer.text)
        assert number(backend, "evp_http_requests_total", status="4xx") - before == sent
        assert resident_mib(backend) - memory < MEMORY_MIB
    assert [d["id"] for d in backend.ok("GET", "/v1/devices?limit=1000")["devices"] if d["id"] in ("x", "y")] == []
    assert backend.ok("GET", "/v1/hooks")["hooks"] == []


def in_dialect(protocol, bomb):
    """Bombs inside of a request, where the answer must come in its dialect."""
    if protocol == "EVP1":
        return b'{"method":"StorageToken","params":' + bomb + b"}"
    return b'{"method":"evp-d2c","params":{"storagetoken-request":' + bomb + b"}}"


@pytest.mark.parametrize("protocol", ["EVP2-TB", "EVP1"])
def test_json_bombs_of_a_device_are_refused_on_every_topic(backend, protocol):
    with serving(backend, "bystander-of-" + protocol):
        attacker = backend.agent("json-" + protocol, backend.make_device("json-" + protocol), protocol=protocol)
        attacker.begin()
        memory, before = resident_mib(backend), number(backend, "evp_device_messages_refused_total", reason="decode")
        bombs = [in_dialect(protocol, b) for b in BOMBS.values()] + [in_dialect(protocol, b'{"filename":7}'), b"no json", b"[" * 5000]
        bombs += [b'{"method":"evp-d2c","params":{"unknown":{}}}', b'{"method":"evp-d2c","method":"evp-d2c"}'] if protocol != "EVP1" else []
        bombs.append(in_dialect(protocol, b'{"filename":"' + b"x" * 125_000 + b'"}'))
        for bomb in bombs:
            answer = attacker.ask(bomb)
            inner = answer["params"] if protocol == "EVP1" else answer["storagetoken-response"]
            assert inner["errorMessage"] and "URL" not in inner and len(inner["errorMessage"]) < 1024, (bomb[:80], answer)
        silent = [b for b in BOMBS.values() if len(b) < 120_000]
        for bomb in silent:  # what no answer belongs to is counted all the same
            attacker.client.publish(ME + "telemetry", bomb, 0)
        wait_until(lambda: number(backend, "evp_device_messages_refused_total", reason="decode") - before >= len(bombs) + 1, 60, "refusals")
        assert attacker.token("after")["status"] == "ok"
        assert resident_mib(backend) - memory < MEMORY_MIB
        attacker.client.publish(ME + "telemetry", b"x" * (1 << 20), 0)  # beyond what the broker takes of anybody
        attacker.disconnected.get(timeout=60)
        attacker.close()


# Too many


def test_a_device_that_asks_a_thousand_tokens_a_second_is_held_to_its_rate(backend):
    greedy = backend.agent("greedy", backend.make_device("greedy"))
    greedy.begin()
    limited = lambda: number(backend, "evp_grants_total", outcome="rate_limited")
    with serving(backend, "bystander-of-greedy") as other:
        memory, rows, first = resident_mib(backend), number(backend, "evp_ledger_rows"), other.answers
        began, asked = time.monotonic(), 0
        while limited() < 1000:
            assert time.monotonic() - began < 300
            for _ in range(1000):
                asked += 1
                request = {"reqid": str(asked), "filename": f"f-{asked}", "moduleInstanceId": "up"}
                greedy.client.publish(ME + f"rpc/request/{asked}", json.dumps({"method": "evp-d2c", "params": {"storagetoken-request": request}}), 0)
            time.sleep(max(0.0, began + asked / 1000 - time.monotonic()))
        refusal = None
        while refusal is None:
            topic, payload = greedy.inbox.get(timeout=60)
            answer = json.loads(payload).get("storagetoken-response", {}) if "rpc/response" in topic else {}
            refusal = answer if answer.get("status") == "error" else None
        assert "rate allows" in refusal["errorMessage"] and "URL" not in refusal, refusal
        granted = number(backend, "evp_ledger_rows") - rows - (other.answers - first)
        # The one that may be more: of the bystander, granted, and its answer on the way.
        assert granted <= 5 * RATE + RATE * (time.monotonic() - began) + 1, granted
        assert resident_mib(backend) - memory < MEMORY_MIB
    greedy.close()


# Names

NAMES = ["../../x", "..", "/etc/passwd", "a/../../x", "a\0b", "a\nb", "a\r\nSet-Cookie: x", "a\x7fb", "x" * 200]


def files_below(folder):
    """But the database's own, which come and go."""
    return {str(f) for f in files_of(folder) if ".db" not in f.name and f.suffix != ".log"}


def test_names_that_lead_outside_are_refused_wherever_a_user_gives_one(backend):
    backend.make_device("named")
    quoted = lambda n: urllib.parse.quote(n, safe="")
    manifest = lambda instance, module: {"instanceSpecs": {instance: {"moduleId": module, "publish": {}, "subscribe": {}}},
                                         "modules": {module: {"moduleImpl": "spawn", "entryPoint": "x"}}}
    attempts = [
        ("POST", lambda n: "/v1/devices", lambda n: {"id": n}),
        ("POST", lambda n: "/v1/storage-access-services", lambda n: {"type": "LOCAL", "name": n}),
        ("POST", lambda n: "/v1/storage-access-services", lambda n: {"type": "LOCAL", "name": "s", "container": n}),
        ("PUT", lambda n: "/v1/modules/" + quoted(n), lambda n: {"any": "bytes"}),
        ("PUT", lambda n: "/v1/hooks/" + quoted(n), lambda n: {"url": "https://example.com/", "secret": "s" * 32}),
        ("PUT", lambda n: "/v1/device-groups/" + quoted(n), lambda n: {"description": "d"}),
        ("POST", lambda n: "/v1/tenants", lambda n: {"id": n}),
        ("PUT", lambda n: f"/v1/devices/{quoted(n)}/deployment", lambda n: manifest("up", "m")),
        ("PUT", lambda n: "/v1/devices/named/deployment", lambda n: manifest(n, "m")),
        ("PUT", lambda n: "/v1/devices/named/deployment", lambda n: manifest("up", n)),
        ("PUT", lambda n: f"/v1/devices/named/configuration/{quoted(n)}/t", lambda n: {"value": "v"}),
        ("POST", lambda n: f"/v1/devices/named/commands/{quoted(n)}/c", lambda n: {"params": {}})]
    with serving(backend, "bystander-names"):
        stored, before, sent = files_below(backend.data), number(backend, "evp_http_requests_total", status="4xx"), 0
        for method, path, body in attempts:
            for name in NAMES:
                answer = backend.rest(method, path(name), body(name))
                sent += 1
                assert 400 <= answer.status_code < 500, (method, path(name), name, answer.status_code, answer.text)
                error = answer.json()["error"]
                assert error["code"] and error["message"] and "Set-Cookie" not in answer.headers, answer.text
                if path(name) == path("x") and name != "..":
                    assert error.get("field"), (path(name), name, error)
        assert number(backend, "evp_http_requests_total", status="4xx") - before == sent
        assert {f for f in files_below(backend.data) - stored if "bystander" not in f} == set()
    assert backend.rest("GET", "/v1/devices/named/deployment").status_code == 404


@pytest.mark.parametrize("protocol", ["EVP2-TB", "EVP1"])
def test_names_that_lead_outside_are_refused_when_a_device_gives_one(backend, protocol):
    attacker = backend.agent("names-" + protocol, backend.make_device("names-" + protocol), protocol=protocol)
    attacker.begin()
    with serving(backend, "bystander-names-of-" + protocol):
        failed = lambda: number(backend, "evp_grants_total", outcome="failed") + number(backend, "evp_device_messages_refused_total")
        before, stored = failed(), files_below(backend.data)
        took = []
        wanted = [(n, "up") for n in [*NAMES, "", "a//b", "x" * 1500]] + [("f", n) for n in NAMES]
        for filename, instance in wanted:
            if filename == "x" * 200:  # a long name of a file is one
                continue
            began = time.monotonic()
            answer = attacker.token(filename, instance=instance)
            took.append(time.monotonic() - began)
            assert answer["status"] == "error" and answer["errorMessage"] and "URL" not in answer, (filename, instance, answer)
        assert sorted(took)[len(took) // 2] < 5, took  # after that an agent gives up
        assert failed() - before >= len(wanted) - 1
        assert {f for f in files_below(backend.data) - stored if "bystander" not in f} == set()
    attacker.close()
