"""GET /v1/uploads/events: every change once and in order, also over broken connections and a killed backend."""

import json
import socket
import time

import pytest
import requests
from conftest import LOCAL, Backend
from uploads import grant, upload

EVENTS = "/v1/uploads/events"


class Stream:
    """A small reader of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    def __init__(self, backend, query="", last_id=None, timeout=90):
        fields = {} if last_id is None else {"Last-Event-ID": str(last_id)}
        self.answer = backend.session.get(backend.url + EVENTS + query, headers=fields, stream=True, timeout=timeout)
        self.last_id, self.lines = last_id, None
        if self.answer.ok:
            assert self.answer.headers["Content-Type"] == "text/event-stream"
            self.lines = self.answer.iter_lines(chunk_size=1, decode_unicode=True)
            assert self.block() is None, "the first block tells the place"

    def block(self):
        """The data of the next block, or None where it only moves the place on."""
        data, name = None, "message"
        for line in self.lines:
            if line == "":
                return (name, data) if name != "message" else data
            field, _, value = line.partition(": ")
            if field == "id":
                self.last_id = int(value)
            elif field == "event":
                name = value
            elif field == "data":
                data = json.loads(value)
        raise EOFError

    def next(self):
        while (found := self.block()) is None:
            pass
        return found

    def states(self, count):
        return [(e["grantId"], e["state"]) for e in (self.next() for _ in range(count))]

    def close(self):
        self.answer.close()


def test_each_change_is_one_event_with_the_upload_as_the_list_shows_it(backend, agents):
    agent = agents("ev-1")
    agent.begin()
    stream = Stream(backend, "?device=ev-1")
    other = agents("ev-other")
    other.begin()
    upload(other, "x")
    good, bad = upload(agent, "good"), upload(agent, "bad", reported="6")
    expected = [(g, s) for g, last in ((good, "verified"), (bad, "failed")) for s in ("issued", "uploaded", last)]
    assert stream.states(6) == expected
    stream.close()

    again = Stream(backend, "?device=ev-1&state=verified", last_id=0)
    event = again.next()
    sequence = event.pop("sequence")
    assert sequence == again.last_id
    assert event == backend.ok("GET", "/v1/uploads/" + good)
    again.close()


def test_a_reader_resumes_without_loss_over_a_kill(tmp_path):
    b = Backend(tmp_path / "data").start()
    b.ok("POST", "/v1/storage-access-services", LOCAL)
    credentials = b.make_device("cam-1")
    agent = b.agent("cam-1", credentials)
    agent.begin()
    stream = Stream(b)
    first = grant(agent, "a")["grantId"]
    assert stream.states(1) == [(first, "issued")]
    place = stream.last_id
    second = upload(agent, "b")  # nobody reads this
    agent.close()
    b.kill()
    with pytest.raises((EOFError, requests.exceptions.RequestException)):
        while True:
            stream.next()

    b.start()
    agent = b.agent("cam-1", credentials)
    agent.begin()
    resumed = Stream(b, last_id=place)
    third = upload(agent, "c")
    expected = [(g, s) for g in (second, third) for s in ("issued", "uploaded", "verified")]
    assert resumed.states(6) == expected
    agent.close()
    b.stop()


def test_a_stop_of_the_backend_ends_streams_in_order_and_at_once(tmp_path):
    b = Backend(tmp_path / "data")

    def stop_takes(streams):
        b.start()
        open_ones = [Stream(b) for _ in range(streams)]
        began = time.monotonic()
        b.stop()
        took = time.monotonic() - began
        for stream in open_ones:
            with pytest.raises(EOFError):  # the last chunk came: not a cut connection
                stream.next()
        return took

    without, took = stop_takes(0), []
    while not took or min(took) > without + 2 and len(took) < 3:  # what holds a stop up holds it up for 3 s
        took.append(stop_takes(1))
    print(f"\nstopped within {without:.2f} s without a stream, with one within", [f"{t:.2f}" for t in took])
    assert min(took) < without + 2, "the stream held the stop up"


def test_streams_are_bounded_and_a_closed_one_makes_room(backend):
    streams = [Stream(backend) for _ in range(32)]
    refused = Stream(backend).answer
    assert refused.status_code == 429 and refused.json()["error"]["code"] == "rate_limited"
    assert "Retry-After" in refused.headers
    for stream in streams:
        stream.close()
    deadline = time.monotonic() + 60
    for again in range(32):
        while not (stream := Stream(backend)).answer.ok:
            assert time.monotonic() < deadline, again
            time.sleep(0.1)
        streams[again] = stream
    for stream in streams:
        stream.close()


def test_a_reader_that_stops_reading_holds_up_nobody(backend, agents):
    host, port = backend.url.removeprefix("http://").split(":")
    lazy = socket.create_connection((host, int(port)))
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {backend.token}\r\n\r\n".encode())
    agent = agents("ev-lazy")
    agent.begin()
    stream = Stream(backend, "?device=ev-lazy")
    assert stream.answer.ok, stream.answer.text
    made = [grant(agent, f"f{i}")["grantId"] for i in range(50)]
    assert [g for g, _ in stream.states(50)] == made
    lazy.close()
    stream.close()


@pytest.mark.parametrize("last_id,query,status,field", [
    ("x", "", 400, "Last-Event-ID"), ("99999999", "", 400, "Last-Event-ID"), (None, "?state=done", 400, "state"),
    (None, "?limit=3", 400, "limit"), (None, "?since=now", 400, "since")])
def test_a_wrong_request_is_refused_at_its_field(backend, last_id, query, status, field):
    answer = Stream(backend, query, last_id).answer
    assert answer.status_code == status and answer.json()["error"]["field"] == field, answer.text


def test_a_stream_needs_the_token_and_http_1_1(backend):
    assert requests.get(backend.url + EVENTS, timeout=10).status_code == 401
    host, port = backend.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(f"GET {EVENTS} HTTP/1.0\r\nAuthorization: Bearer {backend.token}\r\n\r\n".encode())
        assert b" 400 " in s.recv(100)
