"""A real mosquitto, with or without the plugin, and a backend that has introduced devices a and b.

EVP_OTHER_BROKER names a program in its place, run by node with address, port and password file (docs/another-broker.md): what needs
MQTT 5 or certificates is then skipped.
"""
import os
import pathlib
import secrets
import signal
import subprocess

import pytest
from peer import Backend, Peer, V4

PLUGIN = os.environ.get("EVP_BROKER_PLUGIN") or str(
    pathlib.Path(__file__).resolve().parents[3] / "build/dev/lib/evp_broker_plugin.so")


def free_port():
    ports = pathlib.Path(__file__).resolve().parents[2] / "fixtures/ports.bash"
    return int(subprocess.run(["bash", "-c", f"source {ports}; free_ports 1"], capture_output=True, text=True, check=True).stdout)


OTHER = os.environ.get("EVP_OTHER_BROKER")


class Broker:
    def __init__(self, folder, settings, tls_settings=None):
        if OTHER and tls_settings:
            self.port, self.tls_port = free_port(), None
            self.process = subprocess.Popen(["node", OTHER, "127.0.0.1", str(self.port), folder / "password"], stderr=subprocess.PIPE, text=True)
            assert "running" in self.process.stderr.readline()
            self.drain = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL)
            return
        for _ in range(5):  # somebody else may take the port in between
            self.port, self.tls_port = free_port(), free_port()
            text = f"user root\npersistence false\nlog_type all\n{settings}listener {self.port} 127.0.0.1\n"
            if tls_settings:
                text += f"listener {self.tls_port} 127.0.0.1\n{tls_settings}"
            (folder / "mosquitto.conf").write_text(text)
            self.process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(folder / "mosquitto.conf")],
                                            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
            self.log = []
            for line in self.process.stderr:
                self.log.append(line)
                if line.rstrip().endswith(" running"):
                    break
            else:
                self.process.wait()
                if any("in use" in line for line in self.log):
                    continue
                raise RuntimeError("".join(self.log))
            # Nobody may leave the pipe full, or the broker stops.
            self.drain = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL)
            return
        raise RuntimeError("no free port")

    def hangup(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.drain.wait()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A CA with certificates for the broker, for devices, and one of a stranger's CA."""
    folder = tmp_path_factory.mktemp("ca")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for ca in ("ca", "strange-ca"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.pem")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    for name, subject, ca in (("broker", "/CN=broker", "ca"), ("cert-a", "/CN=cert-a", "ca"), ("cert-b", "/CN=cert-b", "ca"),
                              ("unknown", "/CN=unknown", "ca"), ("two-names", "/CN=unknown/CN=cert-a", "ca"),
                              ("forged", "/CN=cert-a", "strange-ca")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial",
                "-days", "2", "-extfile", "san", "-out", f"{name}.pem")
    return folder


@pytest.fixture(scope="module")
def broker(tmp_path_factory, certificates):
    folder = tmp_path_factory.mktemp("broker")
    password = secrets.token_hex(32)
    secret_file = folder / "password"
    secret_file.touch(mode=0o600)
    secret_file.write_text(password)
    # As embedded_broker writes it. With max_queued_messages 0 mosquitto 2.0.11 ends a connection at each denied publish.
    settings = (f"allow_anonymous false\nmax_queued_messages 1000000\nmessage_size_limit 131072\nmax_packet_size 262144\nset_tcp_nodelay true\n"
                f"plugin {PLUGIN}\nplugin_opt_backend_password_file {secret_file}\n")
    tls = (f"cafile {certificates}/ca.pem\ncertfile {certificates}/broker.pem\nkeyfile {certificates}/broker.key\n"
           "require_certificate true\n")
    b = Broker(folder, settings, tls)
    b.password = password
    yield b
    b.stop()


@pytest.fixture(scope="module")
def plain_broker(tmp_path_factory):
    """Without the plugin: shows that an attack works where nobody prevents it."""
    b = Broker(tmp_path_factory.mktemp("plain"), "allow_anonymous true\n")
    yield b
    b.stop()


@pytest.fixture
def peers():
    """Collects what a test connects, and disconnects it."""
    all_peers = []
    yield all_peers
    for p in all_peers:
        if not p.closed.is_set() and hasattr(p, "thread"):
            p.leave()


@pytest.fixture
def backend(broker, peers):
    b = Backend(broker)
    peers.append(b.connect())
    assert b.control("replace-begin", "replace-end") == "ok"
    for device in ("a", "b"):
        b.set(device, f"token-{device}")
    assert b.subscribe("evp/devices/#", 1)
    return b


@pytest.fixture
def device(broker, backend, peers):
    """device("a", version=..., ...) connects one."""

    def connect(name, client_id=None, version=V4, **more):
        p = Peer(broker.port, name if client_id is None else client_id, name, f"token-{name}", version, **more)
        peers.append(p)
        return p.connect()

    return connect


@pytest.fixture
def nothing_reached(backend):
    """nothing_reached(peer, "b"): what the backend sends the device now is the first thing that it receives.

    The broker serves a connection's messages in order, so whatever had leaked before would come first.
    """

    def check(p, name):
        mark = secrets.token_hex(8)
        backend.to(name, "mark", mark)
        assert p.receive() == ("v1/devices/me/mark", mark)

    return check
