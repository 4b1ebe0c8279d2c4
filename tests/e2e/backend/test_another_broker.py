"""Another broker in mosquitto's place (docs/another-broker.md): the real backend on the one of the examples."""

import subprocess

import pytest
from conftest import LOCAL
from several import SOURCE, Broker, blocked_at, database, postgresql, replicas, wait_for  # noqa: F401: fixtures


class Aedes(Broker):
    def start(self):
        program = SOURCE / "examples/another-broker/broker.js"
        self.process = subprocess.Popen(["node", program, "127.0.0.1", str(self.port), self.password_file], stdout=self.log, stderr=self.log,
                                        env={"NODE_PATH": str(SOURCE / "build/another-broker/node_modules"), "PATH": "/usr/bin:/usr/local/bin"})


@pytest.fixture
def broker(tmp_path):
    b = Aedes(tmp_path, "aedes")
    yield b
    b.stop()


def test_grants_pushes_and_a_block_work_as_on_mosquitto(broker, replicas):
    b = replicas(*broker.flags())
    b.ok("POST", "/v1/storage-access-services", LOCAL)
    agent = b.agent("cam-1", b.make_device("cam-1"))
    agent.begin()
    assert agent.token("a.jpg")["status"] == "ok"
    wait_for(lambda: b.ok("GET", "/v1/devices/cam-1")["online"])
    b.ok("PUT", "/v1/devices/cam-1/configuration/up/x", {"value": "1"})
    assert agent.wait("attributes") == {"configuration/up/x": "1"}
    b.ok("POST", "/v1/devices/cam-1/block")
    agent.disconnected.get(timeout=60)
    wait_for(lambda: not b.ok("GET", "/v1/devices/cam-1")["online"])
    agent.close()


def test_it_learns_all_again_after_its_end(broker, replicas):
    b = replicas(*broker.flags())
    b.ok("POST", "/v1/storage-access-services", LOCAL)
    credentials = b.make_device("cam-1")
    broker.kill()
    wait_for(lambda: b.rest("GET", "/healthz").status_code == 503)
    broker.start()
    wait_for(lambda: b.rest("GET", "/healthz").ok)
    agent = b.agent("cam-1", credentials)
    agent.begin()
    assert agent.token("a.jpg")["status"] == "ok"
    agent.close()


def test_two_backends_share_requests_on_it(broker, database, replicas):
    both = [replicas("--database", database.url(), *broker.flags()) for _ in range(2)]
    both[0].ok("POST", "/v1/storage-access-services", LOCAL)
    credentials = both[0].make_device("cam-1")
    wait_for(lambda: blocked_at(both[1], "cam-1") is False)
    agent = both[0].agent("cam-1", credentials)
    agent.begin()
    granted = [agent.token(f"{n}.jpg", accept=["report/1"])["grantId"] for n in range(10)]
    agent.close()
    assert set(granted) == set(database.psql("SELECT grant_id FROM uploads"))
    for b in both:
        assert 'outcome="issued"' in b.rest("GET", "/metrics").text, "each had its share"
