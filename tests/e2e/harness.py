"""Starts the real programs for end-to-end tests: free ports, a data folder of their own, stopped by process id."""
import contextlib
import json
import os
import pathlib
import signal
import stat
import subprocess
import tempfile
import time

import requests

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("EVP_BUILD_DIR", SOURCE / "build" / "sanitize"))
BIN = BUILD / "bin"
# The daemons refuse to be traced (so LeakSanitizer cannot look into them); its job is done in the unit tests.
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99", "UBSAN_OPTIONS": "print_stacktrace=1"}


def wait_until(condition, seconds=60, what="a condition"):
    """Polls until condition() is true and returns its value; fails the test with `what` when time is up. The time is for machines
    that stand still now and then: what must be fast is measured, not waited for."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {seconds} s"
        time.sleep(0.02)


@contextlib.contextmanager
def work_folder():
    """A new folder, open to modules: they run under users of their own."""
    with tempfile.TemporaryDirectory(prefix="evp-e2e-") as name:
        pathlib.Path(name).chmod(0o755)
        yield pathlib.Path(name)


@contextlib.contextmanager
def server(scripts, folder, *arguments):
    """A storage of the fixtures: started by `start` of these scripts, which tells in folder/env what it is; ended by `stop`.

    `start` gets the folder and the arguments.
    """
    with open(f"{folder}.log", "w") as log:  # a pipe would be kept open by what stays behind
        subprocess.run([scripts / "start", folder, *arguments], check=True, stdout=log, stderr=log)
    try:
        yield dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines() if "=" in line)
    finally:
        subprocess.run([scripts / "stop", folder], check=True, stdout=subprocess.DEVNULL)


def files_below(folder):
    """The files, and not those that went while we looked."""
    found = []
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                if stat.S_ISREG((pathlib.Path(path) / name).lstat().st_mode):
                    found.append(pathlib.Path(path) / name)
    return found


class Process:
    """A child with its output in a file; stop() demands a clean end."""

    def __init__(self, command, log, env=None):
        self.log = pathlib.Path(log)
        self.out = open(log, "ab")
        base = {k: v for k, v in os.environ.items() if not k.startswith("EVP_")}
        self.child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out,
                                      env={**base, **SANITIZERS, **(env or {})})

    @property
    def pid(self):
        return self.child.pid

    def text(self):
        return self.log.read_text(errors="replace")

    def running(self):
        return self.child.poll() is None

    def kill(self):
        if self.running():
            self.child.kill()
        self.child.wait()
        self.out.close()

    def stop(self, seconds=60):
        if self.running():
            self.child.send_signal(signal.SIGTERM)
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.child.args[0]} did not stop within {seconds} s of SIGTERM\n{self.text()[-4000:]}")
        self.out.close()
        assert code == 0, f"{self.child.args[0]} ended with {code}\n{self.text()[-4000:]}"


class Backend:
    """evp-backend with its embedded broker, on free loopback ports."""

    def __init__(self, data, *flags, start=True):
        self.data = pathlib.Path(data)
        self.flags = flags
        self.process = None
        if start:
            self.start()

    def start(self):
        self.data.mkdir(parents=True, exist_ok=True)
        ready = self.data / "ready.json"
        ready.unlink(missing_ok=True)
        self.process = Process([BIN / "evp-backend", "--data", self.data, "--listen", "127.0.0.1:0", "--mqtt-listen", "127.0.0.1:0",
                                "--allowed-endpoint-networks", "127.0.0.0/8", *self.flags], self.data.with_suffix(".log"))
        wait_until(lambda: ready.exists() or not self.process.running(), 60, "the start of evp-backend")
        assert self.process.running(), self.process.text()
        facts = json.loads(ready.read_text())
        self.url = facts["rest"]
        self.mqtt_host, self.mqtt_port = facts["mqtt"]["host"], facts["mqtt"]["port"]
        self.token_file = self.data / "admin.token"
        self.token = self.token_file.read_text().strip()

    def stop(self):
        self.process.stop()

    def call(self, method, path, body=None, **options):
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=90, **options)

    def ok(self, method, path, body=None, **options):
        answer = self.call(method, path, body, **options)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def make_device(self, name):
        """Registers the device and returns its MQTT token."""
        return self.ok("POST", "/v1/devices", {"id": name})["credentials"]["password"]

    def deploy(self, device, instance, program):
        """Gives the device one instance of a native module."""
        self.ok("PUT", "/v1/modules/program-1", data=pathlib.Path(program).read_bytes(),
                headers={"Content-Type": "application/octet-stream"})
        self.ok("PUT", f"/v1/devices/{device}/deployment",
                {"deploymentId": "d1", "instanceSpecs": {instance: {"moduleId": "program-1", "publish": {}, "subscribe": {}}},
                 "modules": {"program-1": {"moduleImpl": "spawn", "entryPoint": "main"}}})

    def instance_status(self, device, instance):
        """As the device reports it; None before it does."""
        told = self.ok("GET", f"/v1/devices/{device}/state").get("deploymentStatus") or {}
        return told.get("instances", {}).get(instance, {}).get("status")


class Runtime:
    """evp-runtime of one device."""

    def __init__(self, data, backend, device, token, env=None, start=True):
        self.data = pathlib.Path(data)
        self.env = {"EVP_MQTT_HOST": backend.mqtt_host, "EVP_MQTT_PORT": str(backend.mqtt_port), "EVP_MQTT_USERNAME": device,
                    "EVP_MQTT_PASSWORD": token, "EVP_DATA_DIR": str(self.data), **(env or {})}
        self.process = None
        if start:
            self.start()

    def start(self):
        self.data.mkdir(parents=True, exist_ok=True)
        self.process = Process([BIN / "evp-runtime"], self.data.with_suffix(".log"), self.env)

    def stop(self):
        self.process.stop()

    def workspace(self, instance):
        return self.data / "instances" / instance / "default_workspace"

    def module_pids(self):
        """Process ids of the runtime's children."""
        pids = []
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread that has ended meanwhile
                pids += [int(p) for p in (task / "children").read_text().split()]
        return sorted(pids)
