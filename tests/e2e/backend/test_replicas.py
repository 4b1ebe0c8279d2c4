"""Two real backends on one real PostgreSQL: grants from both, a killed one, a block, and one that is cut off."""

import pathlib
import sys
import threading
import time

from conftest import LOCAL
from several import AT_ONCE, Broker, blocked_at, database, issued, postgresql, replicas, wait_for  # noqa: F401: fixtures

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from relay import Relay  # noqa: E402


def test_both_grant_and_a_killed_one_leaves_no_grant_without_its_row(tmp_path, database, replicas):
    broker = Broker(tmp_path)
    try:
        a = replicas("--database", database.url(), *broker.flags())
        b = replicas("--database", database.url(), *broker.flags())
        a.ok("POST", "/v1/storage-access-services", LOCAL)
        credentials = {f"cam-{i}": (a if i % 2 else b).make_device(f"cam-{i}") for i in range(4)}
        for name in credentials:
            wait_for(lambda: blocked_at(a, name) is False and blocked_at(b, name) is False)
        granted, unanswered, over, served = [], [], threading.Event(), {}

        def work(name):
            agent = b.agent(name, credentials[name])
            agent.patience = 5  # as the public agent
            agent.begin()
            number = 0
            while not over.is_set():
                number += 1
                try:
                    token = agent.token(f"{number}.jpg", accept=["report/1"])
                except Exception as lost:  # the replica that had the request is no more: a device asks again
                    unanswered.append(lost)
                    continue
                assert token["status"] == "ok", token
                granted.append(token["grantId"])
            agent.close()

        threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in credentials]
        for t in threads:
            t.start()
        wait_for(lambda: len(granted) >= 100, 120)
        served["a"], served["b"] = issued(a), issued(b)
        a.kill()
        before = len(granted)
        wait_for(lambda: len(granted) >= before + 100, 120)
        over.set()
        for t in threads:
            t.join()
        assert served["a"] > 20 and served["b"] > 20, served
        rows = set(database.psql("SELECT grant_id FROM uploads"))
        print(f"\n{len(granted)} grants, {served} before the kill, {len(unanswered)} requests without an answer, {len(rows)} rows")
        assert len(set(granted)) == len(granted) and set(granted) <= rows
        numbers = [int(n) for n in database.psql("SELECT sequence FROM upload_events ORDER BY sequence")]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) == len(rows)
        assert b.ok("GET", "/v1/uploads/" + granted[-1])["state"] == "issued"
    finally:
        broker.stop()


def test_a_block_at_one_ends_session_and_grants_at_the_other_at_once(database, replicas):
    """Each has a broker of its own here, so that only the database can have told the other."""
    a, b = replicas("--database", database.url()), replicas("--database", database.url())
    a.ok("POST", "/v1/storage-access-services", LOCAL)
    credentials = a.make_device("cam-1")
    times = []
    for _ in range(5):
        wait_for(lambda: blocked_at(b, "cam-1") is False)
        agent = b.agent("cam-1", credentials)
        agent.begin()
        assert agent.token("a.jpg")["status"] == "ok"
        began = time.monotonic()
        a.ok("POST", "/v1/devices/cam-1/block")
        agent.disconnected.get(timeout=60)
        times.append(time.monotonic() - began)
        agent.close()
        refused = b.agent("cam-1", credentials)
        assert refused.refused.get(timeout=60) != 0
        refused.close()
        a.ok("POST", "/v1/devices/cam-1/unblock")
    print("\nfrom the request that blocks to the end of the session at the other:", [f"{t * 1000:.0f} ms" for t in times])
    assert min(times) < AT_ONCE, times


def test_a_block_that_the_other_has_not_heard_of_is_found_in_the_database(database, replicas):
    b = replicas("--database", database.url())
    b.ok("POST", "/v1/storage-access-services", LOCAL)
    agent = b.agent("cam-1", b.make_device("cam-1"))
    agent.begin()
    assert agent.token("a.jpg")["status"] == "ok"
    database.psql("UPDATE devices SET blocked = 1")  # as a backend would that has died before it could tell
    began = time.monotonic()
    refused = agent.token("b.jpg", accept=["report/1"])
    print(f"\nrefused after {(time.monotonic() - began) * 1000:.0f} ms: {refused}")
    assert refused["status"] == "error" and refused["errorCode"] == "permission_denied"
    assert database.psql("SELECT count(*) FROM uploads") == ["1"]
    agent.close()


def test_one_that_is_cut_off_stops_granting_after_two_seconds_and_holds_up_nobody(database, replicas):
    relay = Relay("127.0.0.1", int(database.env["POSTGRESQL_PORT"]))
    a, b = replicas("--database", database.url()), replicas("--database", database.url(relay.port))
    a.ok("POST", "/v1/storage-access-services", LOCAL)
    credentials = {"cam-1": a.make_device("cam-1"), "cam-2": a.make_device("cam-2")}
    wait_for(lambda: blocked_at(b, "cam-2") is False)
    at_a, at_b = a.agent("cam-1", credentials["cam-1"]), b.agent("cam-2", credentials["cam-2"])
    at_a.begin(), at_b.begin()
    ask = {"accept": ["report/1"]}
    try:
        assert at_b.token("a.jpg", **ask)["status"] == "ok"
        relay.hold()
        cut = time.monotonic()
        answers = []
        while not answers or answers[-1][1]["errorCode"] != "unavailable":
            answer = at_b.token(f"{len(answers)}.jpg", **ask)
            assert answer["status"] == "error", "a grant that is in no ledger"
            answers.append((time.monotonic() - cut, answer))
            assert time.monotonic() < cut + 60, answers
        took, waits = [], []
        for n in range(7):
            began = time.monotonic()
            refused = at_b.token(f"later-{n}.jpg", **ask)
            took.append(time.monotonic() - began)
            assert refused["errorCode"] == "unavailable", refused
            waits.append(int(refused["retryAfterMillis"]))
        assert min(took) < 1.5, "it does not wait for the database"
        # ledger::unreachable_after, and at most as much again, by chance: devices shall not all return at once.
        assert len(set(waits)) > 1 and all(2000 <= w <= 4000 for w in waits), waits
        assert time.monotonic() - cut > 2
        print(f"\nunavailable {answers[-1][0]:.1f} s after the cut, then within {min(took) * 1000:.0f} to {max(took) * 1000:.0f} ms")
        began = time.monotonic()
        assert at_a.token("c.jpg", **ask)["status"] == "ok"
        print(f"the other went on: {(time.monotonic() - began) * 1000:.0f} ms")
        a.ok("POST", "/v1/devices/cam-2/block")

        relay.pass_on()
        at_b.disconnected.get(timeout=60)
        wait_for(lambda: blocked_at(b, "cam-2") is True)
    finally:
        relay.pass_on()
        at_a.close(), at_b.close()
        b.stop()
        relay.stop()
