"""What tests of several backends share: a real PostgreSQL, Debian's mosquitto with our plugin, haproxy, replicas with the same keys."""

import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time

import pytest
from conftest import BIN, Backend

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from harness import server  # noqa: E402

SOURCE = pathlib.Path(__file__).parents[3]
FIXTURES = pathlib.Path(__file__).parents[2] / "fixtures"
# What others have said counts within milliseconds (the tests print them, docs/revocation.md has figures). Without their announcements
# it would take seconds: a slow machine does not, in the best of several rounds.
AT_ONCE = 1.0


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    with server(FIXTURES / "postgresql", tmp_path_factory.mktemp("pg") / "server") as env:
        yield env


class Database:
    """A database of its own, and how to reach it."""

    def __init__(self, env):
        self.env, self.name = env, "e2e_" + secrets.token_hex(6)
        self.psql("CREATE DATABASE " + self.name, database=env["POSTGRESQL_USER"])

    def psql(self, text, database=None):
        return subprocess.run(
            ["psql", "-AtX", "-h", self.env["POSTGRESQL_SOCKET"], "-p", self.env["POSTGRESQL_PORT"], "-U",
             self.env["POSTGRESQL_USER"], "-v", "ON_ERROR_STOP=1", "-c", text, database or self.name],
            check=True, capture_output=True, text=True).stdout.splitlines()

    def url(self, port=None):
        """Over TCP, with the password in a file."""
        e = self.env
        return (f"postgresql://{e['POSTGRESQL_USER']}@127.0.0.1:{port or e['POSTGRESQL_PORT']}/{self.name}"
                f"?passfile={e['POSTGRESQL_PASSFILE']}")


@pytest.fixture
def database(postgresql):
    return Database(postgresql)


def free_ports(count):
    probe = subprocess.run(["bash", "-c", f"source {FIXTURES}/ports.bash; free_ports {count}"], capture_output=True, text=True, check=True)
    return [int(p) for p in probe.stdout.split()]


def make_password(folder):
    """A file with the password of $backend."""
    file = folder / "broker.password"
    file.write_text(secrets.token_hex(32) + "\n")
    file.chmod(0o600)
    return file


class Broker:
    """Debian's mosquitto with our plugin, as docs/operations.md says; may be killed and started again."""

    def __init__(self, folder, name="mosquitto", password_file=None, program="/usr/sbin/mosquitto"):
        self.password_file = password_file or make_password(folder)
        self.port, = free_ports(1)
        self.address = f"127.0.0.1:{self.port}"
        self.program, self.configuration = program, folder / f"{name}.conf"
        self.configuration.write_text(
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous false\npersistence false\n"
            f"max_queued_messages 1000000\nset_tcp_nodelay true\nplugin {BIN.parent / 'lib' / 'evp_broker_plugin.so'}\n"
            f"plugin_opt_backend_password_file {self.password_file}\n")
        self.log = open(folder / f"{name}.log", "a")
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.program, "-c", self.configuration], stdout=self.log, stderr=self.log)

    def flags(self):
        return "--broker", self.address, "--broker-password-file", str(self.password_file)

    @property
    def mqtt(self):
        """Where an agent connects."""
        return {"host": "127.0.0.1", "port": self.port}

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.kill()
        self.log.close()


class Balancer:
    """Debian's haproxy with the configuration of the examples."""

    def __init__(self, folder, brokers, backends, rest_port=None):
        """backends: their addresses, at most three; where there are fewer, haproxy finds the others dead."""
        self.rest_port, self.mqtt_port = free_ports(2)
        self.rest_port, self.socket = rest_port or self.rest_port, folder / "haproxy.sock"
        env = {"EVP_REST_BIND": f"127.0.0.1:{self.rest_port}", "EVP_MQTT_BIND": f"127.0.0.1:{self.mqtt_port}", "EVP_STATS_SOCKET": str(self.socket)}
        env |= {f"EVP_BROKER_{i}": b.address for i, b in enumerate(brokers, 1)}
        env |= {f"EVP_BACKEND_{i}": address for i, address in enumerate([*backends, *["127.0.0.1:1"] * 3][:3], 1)}
        self.log = open(folder / "haproxy.log", "w")
        self.process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", SOURCE / "examples/several-brokers/haproxy.cfg"], env=env,
                                        stdout=self.log, stderr=self.log)
        wait_for(lambda: self.socket.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, (folder / "haproxy.log").read_text()

    @property
    def mqtt(self):
        return {"host": "127.0.0.1", "port": self.mqtt_port}

    def servers(self):
        """Of each server, as "devices/1": its state and connections, by haproxy's own statistics."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.socket))
            s.sendall(b"show stat\n")
            text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        names, *rows = [line.split(",") for line in text.removeprefix("# ").splitlines() if line]
        table = [dict(zip(names, row)) for row in rows]
        return {f"{r['pxname']}/{r['svname']}": (r["status"].split()[0], int(r["scur"])) for r in table if r["svname"] not in ("FRONTEND", "BACKEND")}

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def replicas(tmp_path):
    """Starts backends with the same keys, tokens and object store; ends them."""
    made, store = [], tmp_path / "objects"
    store.mkdir(mode=0o700)

    def start(*flags, listen="127.0.0.1:0", **more):
        folder = tmp_path / f"replica-{len(made)}"
        (folder / "data").mkdir(mode=0o700, parents=True)
        (folder / "data" / "local").symlink_to(store)
        if made:
            for name in ("master.key", "admin.token", "observer.token"):
                shutil.copy(made[0].data / name, folder / "data" / name)
        made.append(Backend(folder / "data", "--allowed-endpoint-networks", "127.0.0.0/8", *flags, listen=listen, **more).start())
        return made[-1]

    yield start
    for b in made:
        b.stop()


def wait_for(condition, timeout=60):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def blocked_at(b, device):
    """None while the replica has not heard of the device."""
    answer = b.rest("GET", "/v1/devices/" + device)
    return answer.json()["blocked"] if answer.ok else None


def issued(b):
    return sum(int(n) for n in re.findall(r'evp_grants_total\{[^}]*outcome="issued"[^}]*\} (\d+)', b.rest("GET", "/metrics").text))


