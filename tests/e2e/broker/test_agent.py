"""The public agent: empty client id, four subscriptions and the first publishes without waiting for any answer."""
import socket
import struct

import pytest
from conftest import OTHER


def text(s):
    return struct.pack("!H", len(s)) + s.encode()


def packet(kind, body):
    size, length = len(body), b""
    while True:
        size, digit = size >> 7, size & 127
        length += bytes([digit | (128 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def read_packet(stream):
    kind = stream.read(1)[0]
    size = shift = 0
    while True:
        digit = stream.read(1)[0]
        size |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return kind, stream.read(size)


@pytest.mark.parametrize("client_id", ["", "a", "agent-17"])
def test_the_agents_first_bytes_in_one_piece_are_understood(broker, backend, client_id):
    if OTHER:
        pytest.skip("aedes acknowledges a publish before the subscriptions that came before it")
    flags = 0x80 | 0x40 | 0x02  # user name, password, clean session
    connect = packet(0x10, text("MQTT") + bytes([4, flags]) + struct.pack("!H", 400) + text(client_id) + text("a") + text("token-a"))
    topics = ("attributes", "attributes/response/+", "rpc/request/+", "rpc/response/+")
    subscribe = b"".join(packet(0x82, struct.pack("!H", i + 1) + text("v1/devices/me/" + t) + b"\0") for i, t in enumerate(topics))
    report = packet(0x32, text("v1/devices/me/attributes") + struct.pack("!H", 10) + b'{"systemInfo":{}}')
    get = packet(0x30, text("v1/devices/me/attributes/request/10000") + b"{}")
    with socket.create_connection(("127.0.0.1", broker.port), 10) as s:
        s.sendall(connect + subscribe + report + get)
        stream = s.makefile("rb")
        assert read_packet(stream) == (0x20, b"\0\0")
        assert [read_packet(stream) for _ in range(4)] == [(0x90, struct.pack("!HB", i + 1, 0)) for i in range(4)]
        assert read_packet(stream) == (0x40, struct.pack("!H", 10))
        assert backend.receive() == ("evp/devices/a/attributes", '{"systemInfo":{}}')
        assert backend.receive() == ("evp/devices/a/attributes/request/10000", "{}")
        backend.to("a", "attributes/response/10000", '{"shared":{}}')
        assert read_packet(stream) == (0x30, text("v1/devices/me/attributes/response/10000") + b'{"shared":{}}')
