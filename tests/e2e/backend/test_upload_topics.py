"""evp/uploads/<device>/<grantId>: finished uploads at the broker, for observers and for nobody else."""

import json
import queue

import paho.mqtt.client as mqtt
import pytest
from conftest import LOCAL, Backend
from uploads import upload


class Client:
    """An MQTT client with what it is answered."""

    def __init__(self, backend, username, password, client_id="", clean=True):
        self.accepted, self.granted, self.inbox, self.ended = queue.Queue(), queue.Queue(), queue.Queue(), queue.Queue()
        self.client = mqtt.Client(client_id=client_id, clean_session=clean, protocol=mqtt.MQTTv311)
        self.client.username_pw_set(username, password)
        self.client.reconnect_delay_set(60, 60)
        self.client.on_connect = lambda c, u, f, rc: self.accepted.put(rc)
        self.client.on_subscribe = lambda c, u, mid, granted: self.granted.put(granted[0])
        self.client.on_message = lambda c, u, m: self.inbox.put((m.topic, m.qos, json.loads(m.payload)))
        self.client.on_disconnect = lambda c, u, rc: self.ended.put(rc)
        self.client.connect(backend.ready["mqtt"]["host"], backend.ready["mqtt"]["port"])
        self.client.loop_start()
        self.status = self.accepted.get(timeout=60)

    def subscribe(self, pattern):
        self.client.subscribe(pattern, 1)
        return self.granted.get(timeout=60)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def observers():
    made = []

    def make(backend, password=None, **more):
        token = (backend.data / "observer.token").read_text().strip()
        made.append(Client(backend, "$observer", token if password is None else password, **more))
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_an_observer_hears_of_finished_uploads_at_qos_1(backend, agents, observers):
    all_of_them, one = observers(backend), observers(backend)
    assert all_of_them.status == 0 and all_of_them.subscribe("evp/uploads/#") == 1
    assert one.subscribe("evp/uploads/top-2/+") == 1
    for name in ("top-1", "top-2"):
        agent = agents(name)
        agent.begin()
        for reported in ("5", "6"):
            upload(agent, f"f{reported}", reported)
    for client, devices in ((all_of_them, ("top-1", "top-2")), (one, ("top-2",))):
        for device in devices:
            for state in ("verified", "failed"):
                topic, qos, told = client.inbox.get(timeout=60)
                assert qos == 1 and topic == f"evp/uploads/{device}/{told['grantId']}" and told["state"] == state
                del told["sequence"]
                assert told == backend.ok("GET", "/v1/uploads/" + told["grantId"])
        assert client.inbox.empty()


def test_an_observer_can_do_nothing_else(backend, agents, observers):
    observer = observers(backend)
    for pattern in ("#", "evp/#", "evp/+/x/y", "evp/devices/#", "evp/to/#", "$share/g/evp/uploads/#", "v1/devices/me/#"):
        assert observer.subscribe(pattern) == 128, pattern
    assert observer.subscribe("evp/uploads/#") == 1
    observer.client.publish("evp/uploads/x/y", "{}", 1).wait_for_publish(60)
    with pytest.raises(queue.Empty):
        observer.inbox.get(timeout=0.5)


def test_who_has_no_token_or_wants_to_stay_is_refused(backend, observers):
    for wrong in ("", "x" * 43, backend.token):
        assert observers(backend, wrong).status != 0
    assert observers(backend, client_id="stays", clean=False).status != 0
    assert (backend.data / "observer.token").stat().st_mode & 0o077 == 0
    answer = backend.session.get(backend.url + "/v1/devices", timeout=10, headers={
        "Authorization": "Bearer " + (backend.data / "observer.token").read_text().strip()})
    assert answer.status_code == 401, "it opens the REST API to nobody"


def test_no_device_can_read_or_write_the_topic(backend, agents, observers):
    observer = observers(backend)
    observer.subscribe("evp/uploads/#")
    credentials = backend.make_device("top-spy")
    spy = Client(backend, credentials["username"], credentials["password"], "top-spy")
    for pattern in ("evp/uploads/#", "evp/#", "#", "+/uploads/#"):
        assert spy.subscribe(pattern) == 128, pattern
    spy.client.publish("evp/uploads/top-spy/g", json.dumps({"state": "verified"}), 0)
    agent = agents("top-3")
    agent.begin()
    made = upload(agent, "f")
    assert observer.inbox.get(timeout=60)[2]["grantId"] == made, "and not what the device said"
    assert spy.inbox.empty()
    spy.close()


def test_what_could_not_be_told_before_a_kill_is_told_after_it(tmp_path, observers):
    b = Backend(tmp_path / "data").start()
    b.ok("POST", "/v1/storage-access-services", LOCAL)
    agent = b.agent("cam-1", b.make_device("cam-1"))
    agent.begin()
    made = [upload(agent, "a")]
    b.kill()  # before or after it was told: at least once
    agent.close()
    b.start()
    observer = observers(b)
    observer.subscribe("evp/uploads/#")
    agent = b.agent("cam-2", b.make_device("cam-2"))
    agent.begin()
    made.append(upload(agent, "b"))
    heard = []
    while made[1] not in heard:
        heard.append(observer.inbox.get(timeout=60)[2]["grantId"])
    assert heard[-1] == made[1] and set(heard) <= set(made)
    agent.close()
    b.stop()
