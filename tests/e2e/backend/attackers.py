"""Clients that mean harm, a bystander who must not notice them, and what both leave in /metrics."""

import contextlib
import json
import re
import selectors
import socket
import ssl
import threading
import time
import urllib.parse

import requests


def number(backend, name, **labels):
    """The sum of a metric's samples with these labels."""
    total = 0
    for inside, value in re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", backend.ok_metrics(), re.M):
        given = dict(re.findall(r'(\w+)="([^"]*)"', inside))
        if all(given.get(k) == v for k, v in labels.items()):
            total += float(value)
    return total


def resident_mib(backend):
    status = open(f"/proc/{backend.process.pid}/status").read()
    return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.M)[1]) / 1024


class Bystander:
    """Another device and another user: each asks again and again, and each answer must be a good one."""

    def __init__(self, backend, device):
        self.backend, self.answers, self.trouble = backend, 0, []
        self.agent = backend.agent(device, backend.make_device(device))
        self.agent.begin()
        self.verify = backend.verify
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def ask(self):
        try:
            while not self.over.is_set():
                token = self.agent.token(f"f-{self.answers}")
                assert token["status"] == "ok", token
                health = requests.get(self.backend.url + "/healthz", timeout=90, verify=self.verify)
                assert health.status_code == 200, health.text
                self.answers += 1
                self.over.wait(0.12)
        except Exception as e:  # told by serving(), in the test's own thread
            self.trouble.append(repr(e))


@contextlib.contextmanager
def serving(backend, device):
    """While it lasts a bystander is served."""
    b = Bystander(backend, device)
    b.thread.start()
    try:
        yield b
        seen = b.answers  # also when all is over once more
        end = time.monotonic() + 90
        while b.answers < seen + 2 and not b.trouble and time.monotonic() < end:
            time.sleep(0.02)
        assert not b.trouble and b.answers >= seen + 2, (b.trouble, b.answers, seen)
    finally:
        b.over.set()
        b.thread.join()
        b.agent.close()


def connect(backend, source="127.0.0.1", tls=None):
    """A socket that speaks TLS where the backend does; tls=False: that does not."""
    at = urllib.parse.urlsplit(backend.url)
    plain = socket.create_connection((at.hostname, at.port), timeout=90, source_address=(source, 0))
    if at.scheme == "http" or tls is False:
        return plain
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


def answer_of(s, patience=90):
    """(status, JSON body) of what comes until the server closes."""
    s.settimeout(patience)
    text = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while piece := s.recv(65536):
            text += piece
    head, _, body = text.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1.1 (\d+)", head)
    return (int(found[1]), json.loads(body)) if found else (None, text)


class Drip:
    """One slow connection: a byte now and then, until it is ended or answered."""

    def __init__(self, s, at_once, then):
        self.socket, self.then, self.text, self.ended = s, then, b"", False
        s.sendall(at_once)
        s.setblocking(False)

    def look(self):
        try:
            while piece := self.socket.recv(65536):
                self.text += piece
            self.end()
        except (BlockingIOError, ssl.SSLWantReadError):
            self.ended = self.ended or b"\r\n\r\n" in self.text
        except OSError:
            self.end()

    def drip(self):
        if self.then and not self.ended:
            with contextlib.suppress(OSError):
                self.socket.send(self.then)

    def end(self):
        self.ended = True

    @property
    def status(self):
        found = re.match(rb"HTTP/1.1 (\d+)", self.text)
        return int(found[1]) if found else None


def drip_all(drips, patience):
    """Drips until each has been answered or closed. Those that have not."""
    wheel = selectors.DefaultSelector()
    for d in drips:
        wheel.register(d.socket, selectors.EVENT_READ, d)
    end = time.monotonic() + patience
    next_byte = 0
    while any(not d.ended for d in drips) and time.monotonic() < end:
        for key, _ in wheel.select(0.2):
            key.data.look()
            if key.data.ended:
                wheel.unregister(key.fileobj)
        if time.monotonic() >= next_byte:
            next_byte = time.monotonic() + 1
            for d in drips:
                d.drip()
    left = [d for d in drips if not d.ended]
    for d in drips:
        d.socket.close()
    return left
