#!/usr/bin/python3
"""Measures several brokers behind haproxy, with several backends on PostgreSQL: docs/benchmarks.md.

Usage: several.py [--brokers 3] [--backends 2] [--devices 10000] [--outstanding 1000] [--seconds 5] BIN
BIN is the folder of evp-backend and evp-fleet-several. All of it runs on loopback, and ends with this program.
"""

import argparse
import hashlib
import math
import os
import pathlib
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile

options = argparse.ArgumentParser(usage=__doc__)
options.add_argument("--brokers", type=int, choices=range(1, 4), default=3)
options.add_argument("--backends", type=int, choices=range(1, 4), default=2)
options.add_argument("--devices", type=int, default=10_000)
options.add_argument("--outstanding", type=int, default=1_000)
options.add_argument("--seconds", type=int, default=5)
options.add_argument("bin", type=pathlib.Path)
given = options.parse_args()
os.environ["EVP_BIN_DIR"] = str(given.bin.resolve())
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[2] / "tests/e2e" / name) for name in ("backend", "")]

from conftest import LOCAL, Backend  # noqa: E402
from harness import server  # noqa: E402
from several import FIXTURES, Balancer, Broker, Database, make_password, wait_for  # noqa: E402


Backend.log_level = "warning"


def insert_devices(database, count, file):
    """Straight into the table: a device for each line of the file, with its token."""
    with open(file, "w") as devices, open(f"{file}.csv", "w") as rows:
        for i in range(count):
            token = secrets.token_hex(16)
            devices.write(f"cam-{i} {token}\n")
            rows.write(f"cam-{i},{hashlib.sha256(token.encode()).hexdigest()},0,1763900000000\n")
    database.psql(f"\\copy devices (id, token_sha256, blocked, created_at) from '{file}.csv' csv")


def main(folder):
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    balancers = math.ceil((2 * given.devices + 200) / files)  # each needs two for a device
    with server(FIXTURES / "postgresql", folder / "pg") as env:
        database, password, made, before = Database(env), make_password(folder), [], []
        brokers = [Broker(folder, f"mosquitto-{i}", password) for i in range(given.brokers)]
        flags = ["--database", database.url(), "--broker-password-file", str(password)]
        flags += [f for b in brokers for f in ("--broker", b.address)]
        try:
            for i in range(given.backends):
                data = folder / f"backend-{i}" / "data"
                data.mkdir(parents=True, mode=0o700)
                if i == 0:  # makes the tables
                    first = Backend(data, *flags).start()
                    first.ok("POST", "/v1/storage-access-services", {**LOCAL, "name": "fleet", "expirationDuration": "PT1H"})
                    first.stop()
                    insert_devices(database, given.devices, folder / "devices")
                else:
                    for name in ("master.key", "admin.token", "observer.token"):
                        shutil.copy(made[0].data / name, data / name)
                made.append(Backend(data, *flags).start())
            for i in range(balancers):
                (folder / f"haproxy-{i}").mkdir()
                before.append(Balancer(folder / f"haproxy-{i}", (brokers * 3)[:3], [b.url.removeprefix("http://") for b in made]))
                wait_for(lambda: sum(state == "UP" for state, _ in before[i].servers().values()) == 3 + given.backends)
            load = os.getloadavg()
            print(f"{given.brokers} brokers, {given.backends} backends, {balancers} balancers, {given.devices} devices; load {load[0]:.1f} on {os.cpu_count()} cores before it", flush=True)
            done = subprocess.run([given.bin / "evp-fleet-several", ",".join(str(b.mqtt_port) for b in before), folder / "devices", str(given.outstanding), str(given.seconds)])
            return done.returncode
        finally:
            for b in made:
                b.process.kill()
            for b in [*before, *brokers]:
                b.stop()


with tempfile.TemporaryDirectory(prefix="evp-several-") as name:
    sys.exit(main(pathlib.Path(name)))
