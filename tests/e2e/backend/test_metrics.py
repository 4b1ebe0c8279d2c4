"""What Prometheus makes of /metrics: the page docs/metrics.md, the alerts, and each query of the dashboard on real scrapes."""

import contextlib
import json
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest
import requests
from conftest import LOCAL, Backend
from several import free_ports
from uploads import upload

SOURCE = pathlib.Path(__file__).parents[3]
PAGE = SOURCE / "docs/metrics.md"
ALERTS = SOURCE / "packaging/prometheus"
DASHBOARD = SOURCE / "packaging/grafana/openevp.json"


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A backend with a little of everything: uploads, refusals, a hook, a command, calls that fail."""
    b = Backend(tmp_path_factory.mktemp("evp") / "data", "--allowed-endpoint-networks", "127.0.0.0/8").start()
    b.ok("POST", "/v1/storage-access-services", LOCAL)
    b.agent_of_test = b.agent("cam-1", b.make_device("cam-1"))
    b.agent_of_test.begin()
    work(b)
    yield b
    b.agent_of_test.close()
    b.stop()


def work(b):
    upload(b.agent_of_test, "good")
    b.agent_of_test.token("x", "no-such-storage")
    b.rest("GET", "/v1/devices/nobody")


def documented():
    """name -> (type, labels) of the page's table."""
    rows = re.findall(r"^\| `(evp_\w+)` \| (\w+) \|([^|]*)\|", PAGE.read_text(), re.M)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def scraped(text):
    """The same of a scrape."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    labels = {name: set() for name in kinds}
    for name, inside in re.findall(r"^(evp_\w+)(?:\{(.*)\})? \S+$", text, re.M):
        family = name if name in kinds else re.sub(r"_(bucket|sum|count)$", "", name)
        labels[family] |= set(re.findall(r"(\w+)=", inside)) - {"le"}
    return {name: (kind, labels[name]) for name, kind in kinds.items()}


def test_the_page_and_a_scrape_name_the_same_metrics_types_and_labels(busy):
    text = busy.rest("GET", "/metrics").text
    page, real = documented(), scraped(text)
    assert len(page) > 20 and page == real, {n: (page.get(n), real.get(n)) for n in page.keys() | real.keys() if page.get(n) != real.get(n)}


def test_the_scrape_counts_what_was_done(busy):
    text = busy.rest("GET", "/metrics").text
    assert re.search(r'^evp_grants_total\{outcome="issued",type="LOCAL"\} [1-9]', text, re.M), text
    assert re.search(r'^evp_grants_total\{outcome="failed",type="none"\} [1-9]', text, re.M)
    assert re.search(r'^evp_report_seconds_count [1-9]', text, re.M)
    assert re.search(r'^evp_audit_records_total [1-9]', text, re.M) and "evp_broker_connected 1" in text
    assert "cam-1" not in text and "nobody" not in text  # no label is a name that somebody chose


def test_promtool_takes_the_scrape_and_the_alerts(busy):
    text = busy.rest("GET", "/metrics").text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run(["promtool", "check", "rules", ALERTS / "alerts.yml"], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0 and "rules found" in done.stdout, done.stdout + done.stderr
    done = subprocess.run(["promtool", "test", "rules", "alerts_test.yml"], cwd=ALERTS, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_asks_for_metrics_that_exist():
    names = re.findall(r"^      - alert: (\w+)$", (ALERTS / "alerts.yml").read_text(), re.M)
    tested = (ALERTS / "alerts_test.yml").read_text()
    assert len(names) >= 10 and [n for n in names if f'alertname="{n}"' not in tested] == []
    asked = {re.sub(r"_(bucket|sum|count)$", "", m) for m in re.findall(r"\b(evp_\w+)", (ALERTS / "alerts.yml").read_text())}
    assert asked - set(documented()) == set()


@contextlib.contextmanager
def prometheus(folder, backend):
    """Debian's Prometheus on loopback, which scrapes the backend each second."""
    program = shutil.which("prometheus")
    assert program, "prometheus is missing: run tools/install_packages test"
    port, = free_ports(1)
    (folder / "token").write_text(backend.token)
    (folder / "token").chmod(0o600)
    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s"},
        "rule_files": [str(ALERTS / "alerts.yml")],
        "scrape_configs": [{"job_name": "evp-backend", "authorization": {"credentials_file": str(folder / "token")},
                            "static_configs": [{"targets": [backend.url.removeprefix("http://")]}]}]}))
    with open(folder / "prometheus.log", "wb") as log:
        process = subprocess.Popen([program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                                    f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}/api/v1", lambda: process.poll() is None, folder / "prometheus.log"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def queries():
    dashboard = json.loads(DASHBOARD.read_text())
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]


def test_every_query_of_the_dashboard_finds_series_in_a_real_prometheus(busy, tmp_path):
    all_queries = queries()
    assert len(all_queries) > 20
    with prometheus(tmp_path, busy) as (api, running, log):
        empty, deadline = all_queries, time.monotonic() + 120
        while empty:
            assert running(), log.read_text()
            assert time.monotonic() < deadline, (empty, log.read_text()[-2000:])
            work(busy)  # rates want something that grows between two scrapes
            left = []
            for title, expression in empty:
                asked = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
                assert "$" not in asked, asked
                try:
                    answer = requests.get(api + "/query", params={"query": asked}, timeout=60)
                except (requests.ConnectionError, requests.Timeout):
                    left = empty  # it starts
                    break
                assert answer.status_code in (200, 503), (title, answer.text)
                if answer.status_code == 503 or not answer.json()["data"]["result"]:
                    left.append((title, expression))
            empty = left
        rules = requests.get(api + "/rules", timeout=60).json()["data"]["groups"]
        assert [r for g in rules for r in g["rules"] if r["health"] == "err"] == []
        firing = requests.get(api + "/alerts", timeout=60).json()["data"]["alerts"]
        assert [a for a in firing if a["state"] == "firing" and a["labels"]["severity"] == "critical"] == []
