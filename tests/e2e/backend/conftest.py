"""A real evp-backend on a temporary data folder and free ports, and an agent that speaks as the public one does."""

import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import time

import jsonschema
import openapi
import paho.mqtt.client as mqtt
import pytest
import requests

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from harness import wait_until  # noqa: E402

BIN = pathlib.Path(os.environ.get("EVP_BIN_DIR", pathlib.Path(__file__).parents[3] / "build/dev/bin"))
ME = "v1/devices/me/"
SCHEMAS = {f.name.removesuffix(".schema.json"): json.loads(f.read_text())
           for f in (pathlib.Path(__file__).parents[3] / "docs/protocol").glob("*.schema.json")}


def check_schema(message):
    """Messages of EVP2 are as docs/protocol/ says."""
    name = next(iter(message if "method" not in message else message["params"]))
    if name in SCHEMAS:
        jsonschema.validate(message, SCHEMAS[name])
    return name in SCHEMAS


class Backend:
    """One data folder; the process on it can be stopped and started again."""

    log_level = "debug"

    def __init__(self, data, *flags, listen="127.0.0.1:0", verify=True):
        self.data, self.flags, self.process, self.listen = pathlib.Path(data), list(flags), None, listen
        self.verify = verify if verify is True else str(verify)
        self.log = self.data.parent / "backend.log"

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [BIN / "evp-backend", "--data", self.data, "--listen", self.listen, "--mqtt-listen", "127.0.0.1:0",
                 "--log-level", self.log_level, *self.flags], stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not (self.data / "ready.json").exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "not ready: " + self.log.read_text()
            time.sleep(0.02)
        self.ready = json.loads((self.data / "ready.json").read_text())
        assert self.ready["pid"] == self.process.pid
        self.url = self.ready["rest"]
        self.token = (self.data / "admin.token").read_text().strip()
        self.session = requests.Session()
        self.session.headers["Authorization"] = "Bearer " + self.token
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(60) == 0, self.log.read_text()

    def kill(self):
        """As a power cut would end it."""
        self.process.kill()
        self.process.wait(20)
        (self.data / "ready.json").unlink()

    def rest(self, method, path, body=None, **more):
        if body is not None:
            more["data"] = json.dumps(body)
        more.setdefault("verify", self.verify)
        answer = self.session.request(method, self.url + path, timeout=90, **more)
        openapi.check(method, path, answer, streamed=more.get("stream", False))
        return answer

    def ok(self, method, path, body=None, **more):
        answer = self.rest(method, path, body, **more)
        assert answer.ok, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def make_device(self, name):
        return self.ok("POST", "/v1/devices", {"id": name})["credentials"]

    def agent(self, name, credentials, **more):
        return Agent(self.ready["mqtt"], name, credentials, **more)


class Agent:
    """The public agent's order of things: CONNECT, four SUBSCRIBEs at QoS 0, status (QoS 1), states, GET 10000."""

    patience = 30

    def __init__(self, address, name, credentials, protocol="EVP2-TB"):
        self.protocol, self.inbox, self.disconnected = protocol, queue.Queue(), queue.Queue()
        self.refused = queue.Queue()
        self.next_id = 10000
        self.client = mqtt.Client(client_id=name, clean_session=True, protocol=mqtt.MQTTv311)
        self.client.username_pw_set(credentials["username"], credentials["password"])
        self.client.reconnect_delay_set(60, 60)
        self.client.on_message = lambda c, u, m: self.inbox.put((m.topic, m.payload))
        self.client.on_disconnect = lambda c, u, rc: self.disconnected.put(rc)
        self.accepted = queue.Queue()
        self.client.on_connect = lambda c, u, f, rc: (self.accepted if rc == 0 else self.refused).put(rc)
        self.client.connect(address["host"], address["port"], keepalive=400)
        self.client.loop_start()

    def begin(self):
        assert self.accepted.get(timeout=60) == 0
        for topic in ("attributes", "attributes/response/+", "rpc/request/+", "rpc/response/+"):
            self.client.subscribe(ME + topic, 0)
        info = ({"utsname": {"sysname": "Linux"}, "protocolVersion": "EVP1"} if self.protocol == "EVP1"
                else {"os": "Linux", "arch": "x86_64", "evp_agent": "v1.48.5", "protocolVersion": "EVP2-TB"})
        status = {"instances": {}, "modules": {}}
        report = {"systemInfo": info,
                  "deploymentStatus": json.dumps(status) if self.protocol == "EVP1" else status}
        self.client.publish(ME + "attributes", json.dumps(report), 1)
        self.client.publish(ME + "attributes", "{}", 0)
        self.client.publish(ME + "attributes/request/10000", "{}", 0)
        return self.wait("attributes/response/10000")

    def wait(self, topic, timeout=60):
        """The next message on that topic; others before it are dropped."""
        deadline = time.monotonic() + timeout
        while True:
            got, payload = self.inbox.get(timeout=max(0.01, deadline - time.monotonic()))
            if got == ME + topic:
                return json.loads(payload)

    def ask(self, body):
        """Publishes a client-side RPC and waits for its answer: longer than the 5 s that the public agent waits, for machines that
        stand still now and then. Tests of devices that ask again set `patience`."""
        self.next_id += 1
        number = str(self.next_id)
        if callable(body):
            body = body(number)
            assert self.protocol == "EVP1" or check_schema(body), body
            body = json.dumps(body)
        self.client.publish(ME + "rpc/request/" + number, body, 0)
        answer = self.wait("rpc/response/" + number, self.patience)
        assert self.protocol == "EVP1" or check_schema(answer), answer
        return answer

    def token(self, filename, key=None, instance="up", **ours):
        if self.protocol == "EVP1":
            params = {"filename": filename, "moduleInstanceName": instance, **({"storageName": key} if key else {})}
            return self.ask(lambda n: {"method": "StorageToken", "params": params})["params"]
        params = {"filename": filename, "moduleInstanceId": instance, **({"key": key} if key else {}), **ours}
        answer = self.ask(lambda n: {"method": "evp-d2c", "params": {"storagetoken-request": {"reqid": n, **params}}})
        return answer["storagetoken-response"]

    def evp_d2c(self, name, fields):
        answer = self.ask(lambda n: {"method": "evp-d2c", "params": {name: {"reqid": n, **fields}}})
        return next(iter(answer.values()))

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


LOCAL = {"type": "LOCAL"}


def audited(backend, wanted, path="/v1/audit?limit=1000"):
    """The first record that wanted() likes, of those that are there once it is: refusals are written a moment later."""
    return wait_until(lambda: next((r for r in backend.ok("GET", path)["records"] if wanted(r)), None), what="a record of the audit")


def stay_within_a_day(seconds=120):
    """Bytes are counted by days of UTC: a test that must not see one end waits where it is about to."""
    left = 86_400 - time.time() % 86_400
    if left < seconds:
        time.sleep(left + 1)


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    b = Backend(tmp_path_factory.mktemp("evp") / "data", "--allowed-endpoint-networks", "127.0.0.0/8").start()
    b.ok("POST", "/v1/storage-access-services", LOCAL)
    yield b
    b.stop()


@pytest.fixture
def agents(backend):
    """Makes connected agents and closes them."""
    made = []

    def make(name, **more):
        agent = backend.agent(name, backend.make_device(name), **more)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.close()
