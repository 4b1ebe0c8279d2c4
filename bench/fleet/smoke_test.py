"""evp-fleet works: with tiny numbers it gives all its figures, and it leaves nothing behind. Says nothing about speed."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]


def run(arguments, folder):
    return subprocess.run([PROGRAM, *arguments], env={**os.environ, "TMPDIR": folder}, capture_output=True, text=True,
                          timeout=600)


def prints_every_figure(folder, version):
    done = run(["--devices", "3,8", "--outstanding", "5", "--seconds", "1", "--rounds", "1", "--registered", "50",
                "--reads", "100", "--mqtt", version], folder)
    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout.splitlines()[-1])
    tokens, registry = report["tokens"], report["registry"]
    assert [row["devices"] for row in tokens["rates"]] == [3, 8]
    for row in tokens["rates"]:
        assert row["perSecond"] > 0 and row["echoPerSecond"] > 0 and row["share"] > 0 and row["missing"] == 0, row
    assert tokens["liveGrant"]["grants"] > 0 and {"pssBytes", "rssBytes"} <= tokens["liveGrant"].keys()
    for key in ("aloneMedianMs", "echoAloneMedianMs", "halfPerSecond", "halfP50Ms", "halfP99Ms", "echoHalfP99Ms"):
        assert tokens["latency"][key] > 0, key
    assert tokens["latency"]["halfP50Ms"] <= tokens["latency"]["halfP99Ms"]
    assert tokens["reads"]["device"]["perSecond"] > 0 and tokens["reads"]["service"]["perSecond"] > 0
    assert registry["devices"] == 50 and registry["startSeconds"] > 0 and registry["aloneMedianMs"] > 0
    assert {"knownDeviceBytes", "brokerDeviceBytes", "fewStartSeconds", "fewAloneMedianMs"} <= registry.keys()
    assert "devices, 5 requests outstanding" in done.stdout, "the table"


def ends_clean_when_interrupted(folder):
    running = subprocess.Popen([PROGRAM, "--devices", "5", "--seconds", "600"], env={**os.environ, "TMPDIR": folder},
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    ready = lambda: list(pathlib.Path(folder).glob("evp-fleet-*/echo/ready.json"))
    end = time.monotonic() + 180
    while not ready():
        assert running.poll() is None and time.monotonic() < end, running.stdout.read()
        time.sleep(0.05)
    backend = json.loads(next(pathlib.Path(folder).glob("evp-fleet-*/backend/ready.json")).read_text())["pid"]
    running.send_signal(signal.SIGINT)
    assert running.wait(120) == 130
    assert not os.path.exists(f"/proc/{backend}"), "evp-backend was left behind"


def refuses_what_makes_no_sense(folder):
    for arguments in (["--devices", "5,3"], ["--devices", ""], ["--seconds", "x"], ["--what"], ["--mqtt"]):
        done = run(arguments, folder)
        assert done.returncode == 2 and "Usage:" in done.stderr, arguments
    assert "Usage:" in run(["--help"], folder).stdout


with tempfile.TemporaryDirectory() as folder:
    os.chmod(folder, 0o755)
    refuses_what_makes_no_sense(folder)
    prints_every_figure(folder, "3")
    prints_every_figure(folder, "5")
    ends_clean_when_interrupted(folder)
    assert os.listdir(folder) == [], os.listdir(folder)
