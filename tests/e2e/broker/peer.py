"""MQTT clients of the tests: devices, and the backend's side of the plugin."""
import hashlib
import os
import queue
import socket
import threading
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

V4, V5 = paho.MQTTv311, paho.MQTTv5
LIMIT = 60  # seconds until a test that waits for something that must come gives up


class Refused(Exception):
    """CONNACK said no; args[0] is its code."""


class Peer:
    """One connection. It never reconnects by itself, so that a test sees each end of a connection."""

    def __init__(self, port, client_id="", username=None, password=None, version=V4, clean=True, expiry=0, will=None, tls=None):
        kwargs = {} if version == V5 else {"clean_session": clean}
        self.mqtt = paho.Client(client_id=client_id, protocol=version, **kwargs)
        self.version, self.clean, self.expiry, self.port = version, clean, expiry, port
        if username is not None:
            self.mqtt.username_pw_set(username, password)
        if will:
            self.mqtt.will_set(**will)
        if tls:
            self.mqtt.tls_set(**tls)
        self.messages, self.acks = queue.Queue(), queue.Queue()
        self.connack, self.closed = queue.Queue(), threading.Event()
        self.closed_at = self.reason = None
        self.mqtt.on_connect = lambda _c, _u, _f, rc, _p=None: self.connack.put(rc)
        self.mqtt.on_subscribe = lambda _c, _u, _mid, codes, _p=None: self.acks.put(codes[0])
        self.mqtt.on_message = lambda _c, _u, m: self.messages.put(m)
        handle = self.mqtt._handle_disconnect
        self.mqtt._handle_disconnect = lambda: self._note_reason(handle)

    def _note_reason(self, handle):
        """The reason of the broker's DISCONNECT (MQTT 5); paho 1.6 overlooks it in a packet without properties."""
        packet = self.mqtt._in_packet["packet"]
        self.reason = packet[0] if packet else 0
        return handle()

    def connect(self):
        if os.environ.get("EVP_OTHER_BROKER") and (self.version == V5 or self.port is None):
            pytest.skip("the other broker has no MQTT 5 and no TLS")
        kwargs = {}
        if self.version == V5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = self.expiry
            kwargs = {"clean_start": self.clean, "properties": properties}
        self.mqtt.connect("127.0.0.1", self.port, 60, **kwargs)
        self.mqtt.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the times are the broker's
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.mqtt._thread = self.thread  # as loop_start() does: paho then leaves all writing to this thread
        self.thread.start()
        code = self._next(self.connack, "CONNACK")
        code = code if isinstance(code, int) else code.value
        if code:
            raise Refused(code)
        return self

    def _run(self):
        try:
            while self.mqtt.loop(timeout=0.2) == paho.MQTT_ERR_SUCCESS:
                pass
        finally:
            self.closed_at = time.monotonic()
            self.closed.set()

    def _next(self, source, what):
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            try:
                return source.get(timeout=0.05)
            except queue.Empty:
                if self.closed.is_set() and source.empty():
                    raise ConnectionError(f"the connection ended, {what} did not come") from None
        raise TimeoutError(f"{what} did not come")

    def subscribe(self, topic, qos=0):
        """True: granted."""
        self.mqtt.subscribe(topic, qos)
        code = self._next(self.acks, "SUBACK")
        return (code if isinstance(code, int) else code.value) < 0x80

    def publish(self, topic, payload="x", qos=1, retain=False, alias=None):
        """With qos 1 the broker has dealt with it when this returns."""
        properties = None
        if alias is not None:
            properties = Properties(PacketTypes.PUBLISH)
            properties.TopicAlias = alias
        info = self.mqtt.publish(topic, payload, qos, retain, properties)
        if qos:
            end = time.monotonic() + LIMIT
            while info.rc != paho.MQTT_ERR_SUCCESS or not info.is_published():
                if self.closed.is_set():
                    raise ConnectionError("closed before PUBACK")
                if time.monotonic() > end:
                    raise TimeoutError("PUBACK did not come")
                time.sleep(0.002)

    def receive(self):
        """The next message as (topic, payload)."""
        m = self._next(self.messages, "a message")
        return m.topic, m.payload.decode()

    def die(self):
        """Ends the connection without DISCONNECT, so that the broker publishes the will."""
        self.mqtt.socket().shutdown(socket.SHUT_RDWR)
        assert self.closed.wait(LIMIT)

    def leave(self):
        self.mqtt.disconnect()
        assert self.closed.wait(LIMIT)


class Backend(Peer):
    """Plays evp-backend: pushes devices, hears all of them, answers one."""

    def __init__(self, broker, client_id="backend"):
        super().__init__(broker.port, client_id, "$backend", broker.password)
        self.number = 0

    def control(self, *lines):
        """Applies a batch; returns what the plugin says about it. Messages that come before the answer stay queued."""
        self.number += 1
        self.publish("$CONTROL/evp/v1", f"batch {self.number}\n" + "".join(line + "\n" for line in lines))
        kept = []
        while True:
            topic, payload = self.receive()
            if topic == "evp/control/ack":
                break
            kept.append((topic, payload))
        self.kept = kept
        number, _, verdict = payload.partition(" ")
        assert int(number) in (self.number, 0)
        return verdict

    @staticmethod
    def line(device, token=None, flags="-"):
        digest = hashlib.sha256(token.encode()).hexdigest() if token else "-"
        return f"set {device} {digest} {flags}"

    def set(self, device, token=None, flags="-"):
        assert self.control(self.line(device, token, flags)) == "ok"

    def to(self, device, topic, payload="x", qos=0):
        self.publish(f"evp/to/{device}/v1/devices/me/{topic}", payload, qos)
