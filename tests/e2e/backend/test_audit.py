"""The audit: what is in it, that manipulating the database is found out, and that a stranger can verify an export."""

import json
import pathlib
import re
import sqlite3
import subprocess
import sys

import pytest
import requests
from conftest import LOCAL, Backend, audited
from test_process import evpctl

DOCS = pathlib.Path(__file__).parents[3] / "docs/audit.md"


@pytest.fixture
def own(tmp_path):
    """A backend of the test's own with ten records; stopped and started by the tests that touch its database."""
    b = Backend(tmp_path / "data").start()
    b.ok("POST", "/v1/storage-access-services", LOCAL)
    for i in range(9):
        b.make_device(f"cam-{i}")
    yield b
    b.stop()


def manipulate(b, *statements):
    """Changes the database behind the backend's back."""
    b.stop()
    with sqlite3.connect(b.data / "backend.db") as db:
        for statement in statements:
            assert db.execute(statement).rowcount > 0, statement
    b.start()


def verify(b, *more):
    done = evpctl(b, "audit", "verify", *more)
    return done.returncode, done.stdout + done.stderr


def known(text):
    return re.search(r"--known: (\S+)", text).group(1)


def test_a_chain_that_nobody_touched_holds(own):
    code, text = verify(own)
    assert code == 0 and "verified: 10 records, 1 to 10" in text, text
    own.make_device("one-more")
    code, later = verify(own, "--known", known(text))
    assert code == 0 and "verified: 11 records" in later, later


@pytest.mark.parametrize("statements,complaint", [
    (["UPDATE audit SET object_name = 'cam-x' WHERE number = 5"], "record 5: its hash"),
    (["UPDATE audit SET outcome = 'not_found', at = at + 1 WHERE number = 5"], "record 5: its hash"),
    (["DELETE FROM audit WHERE number = 5"], "record 6: it comes after 4"),
    (["DELETE FROM audit WHERE number = 10"], "missing at the end"),
    (["DELETE FROM audit WHERE number = 10", "UPDATE audit_chain SET number = 9"], "not the one that the chain ends with"),
    (["UPDATE audit SET number = 99 WHERE number = 5", "UPDATE audit SET number = 5 WHERE number = 6",
      "UPDATE audit SET number = 6 WHERE number = 99"], "record 5: its hash"),
    (["UPDATE audit SET number = -number WHERE number > 5", "UPDATE audit SET number = 1 - number WHERE number < 0",
      "INSERT INTO audit SELECT 6, at, actor, action, object_kind, 'cam-y', peer, outcome, detail, hash FROM audit WHERE number = 5",
      "UPDATE audit_chain SET number = 11"], "record 6: its hash"),
    (["DELETE FROM audit WHERE number <= 3", "UPDATE audit_chain SET dropped_number = 3"], "record 4: its hash"),
], ids=["changed", "changed-outcome", "dropped", "dropped-at-the-end", "end-moved", "exchanged", "inserted", "dropped-at-the-beginning"])
def test_manipulating_the_database_is_found_out(own, statements, complaint):
    manipulate(own, *statements)
    code, text = verify(own)
    assert code == 1 and "does not hold" in text and complaint in text, text


def test_a_chain_written_anew_is_found_out_by_what_was_kept_elsewhere(own, tmp_path):
    _, before = verify(own)
    (tmp_path / "other").mkdir()
    other = Backend(tmp_path / "other/data").start()
    for i in range(10):
        other.make_device(f"forged-{i}")
    other.stop()
    own.stop()
    with sqlite3.connect(own.data / "backend.db") as db:
        db.execute("ATTACH ? AS other", (str(other.data / "backend.db"),))
        for table in ("audit", "audit_chain"):
            db.execute(f"DELETE FROM main.{table}")
            db.execute(f"INSERT INTO main.{table} SELECT * FROM other.{table}")
    own.start()
    assert verify(own)[0] == 0  # it is a chain
    code, text = verify(own, "--known", known(before))
    assert code == 1 and "written anew" in text, text


def test_an_export_verifies_with_evpctl_and_with_the_program_of_the_documentation(own, tmp_path):
    export = tmp_path / "audit.jsonl"
    export.write_text(evpctl(own, "audit", "export").stdout)
    done = evpctl(own, "audit", "verify", "--file", str(export))
    assert done.returncode == 0 and "verified: 10 records" in done.stdout, done
    program = re.search(r"```python\n(.*?)```", DOCS.read_text(), re.S).group(1)
    done = subprocess.run([sys.executable, "-c", program, export], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "verified 10" in done.stdout, done.stderr
    export.write_text(export.read_text().replace("cam-3", "cam-4", 1))
    done = subprocess.run([sys.executable, "-c", program, export], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "record 5 does not fit" in done.stderr, done.stderr


def test_changes_refusals_and_grants_are_told_with_their_actor_and_peer(own):
    agent = own.agent("asks", own.ok("POST", "/v1/devices", {"id": "asks"})["credentials"])
    agent.begin()
    assert "URL" in agent.token("a.jpg")
    agent.token("a.jpg", "no-such-storage")
    agent.close()
    assert own.rest("DELETE", "/v1/devices/nobody").status_code == 404
    assert own.rest("PUT", "/v1/devices/asks/configuration/up/a/b", {"value": 1}).status_code == 400
    assert requests.get(own.url + "/v1/devices", headers={"Authorization": "Bearer wrong"}, timeout=10).status_code == 401

    def find(**wanted):
        return audited(own, lambda r: all(r[k] == v for k, v in wanted.items()))

    grant = find(action="grant.put", outcome="ok")
    assert grant["actor"] == "device asks" and grant["objectName"] == "default/asks/up/a.jpg" and grant["peer"] == ""
    assert own.ok("GET", "/v1/uploads/" + grant["detail"].removeprefix("grant="))["object"] == "asks/up/a.jpg"
    assert find(action="grant.put", outcome="not_found")["objectName"] == ""
    refused = find(action="device.remove", outcome="not_found")
    assert refused["actor"] == "admin-token" and refused["objectName"] == "nobody" and refused["peer"] == "127.0.0.1"
    assert find(action="configuration.set", outcome="invalid_argument")["objectName"] == "asks/up/a/b"
    assert find(action="login")["actor"] == "nobody"
    assert own.token not in own.rest("GET", "/v1/audit/export").text
    assert [r["objectName"] for r in own.ok("GET", "/v1/audit?object=asks&actor=admin-token")["records"]] == ["asks/up/a/b", "asks"]
    assert own.rest("GET", "/v1/audit?cursor=x").json()["error"]["field"] == "cursor"
    assert verify(own)[0] == 0


def test_a_record_is_there_exactly_when_its_change_is_over_a_kill(own):
    own.session.headers["Connection"] = "close"
    for i in range(20):
        own.make_device(f"before-{i}")
    own.kill()
    own.start()
    devices = {d["id"] for d in own.ok("GET", "/v1/devices?limit=1000")["devices"]}
    told = {r["objectName"] for r in own.ok("GET", "/v1/audit?limit=1000")["records"] if r["action"] == "device.create"}
    assert devices == told
    assert verify(own)[0] == 0


def test_evpctl_lists_and_says_what_is_wrong_with_its_flags(own):
    rows = json.loads(evpctl(own, "audit", "list", "--object", "cam-3").stdout)["records"]
    assert [r["action"] for r in rows] == ["device.create"]
    code, text = verify(own, "--known", "nonsense")
    assert code == 2 and "NUMBER:HASH" in text
    code, text = verify(own, "--file", "/no/such/file")
    assert code == 2 and "/no/such/file" in text
