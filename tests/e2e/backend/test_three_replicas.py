"""Three real backends on one real PostgreSQL behind haproxy: any of them killed during load, and all of them restarted one by one."""

import threading
import time

import pytest
from conftest import LOCAL
from raw_put import exchange
from several import Balancer, Broker, blocked_at, database, free_ports, make_password, postgresql, replicas, wait_for  # noqa: F401: fixtures


class Fleet:
    """Devices that ask for a grant, put a file by it and report, over and over, and ask again where nobody answers: as evp-runtime does."""

    def __init__(self, where, backend, names):
        self.where, self.backend = where, backend
        self.granted, self.reported, self.asked_again, self.lost, self.over = [], [], [], [], threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(n, backend.make_device(n)), daemon=True) for n in names]

    def start(self):
        for t in self.threads:
            t.start()

    def end(self):
        self.over.set()
        for t in self.threads:
            t.join()

    def ask(self, agent, question):
        """Asks until there is an answer, with the same words: three times at most."""
        for again in range(3):
            try:
                return question()
            except Exception as silence:  # the public agent waits 5 s
                self.asked_again.append((again, time.monotonic(), silence))
        self.lost.append(question)
        return None

    def put(self, url):
        """Until the store has it: the backend behind the balancer may have just ended."""
        deadline = time.monotonic() + 60
        while True:
            try:
                status = exchange("PUT", url, b"12345")[0]
                if status < 500:
                    return status
            except (OSError, ValueError, IndexError) as broken:
                assert time.monotonic() < deadline, broken
            time.sleep(0.05)

    def work(self, name, credentials):
        self.backend.ready = {**self.backend.ready, "mqtt": self.where}
        agent = self.backend.agent(name, credentials)
        agent.patience = 5  # as the public agent
        agent.begin()
        number = 0
        while not self.over.is_set():
            number += 1
            grant = self.ask(agent, lambda: agent.token(f"{number}.jpg", accept=["report/1"], size="5"))
            if not grant or grant["status"] != "ok":
                self.lost.append(grant)
                continue
            self.granted.append(grant["grantId"])
            status = self.put(grant["URL"])
            told = self.ask(agent, lambda: agent.evp_d2c("transfer-report", {"grantId": grant["grantId"], "result": "done",
                                                                             "httpStatus": status, "bytes": "5"}))
            if told and told["status"] == "ok":
                self.reported.append(grant["grantId"])
        agent.close()


@pytest.fixture
def three(tmp_path, database, replicas):
    """Three backends, one broker, and a balancer whose address is in the grants' URLs."""
    broker, rest, *listen = Broker(tmp_path), *free_ports(4)
    flags = ["--database", database.url(), *broker.flags(), "--public-url", f"http://127.0.0.1:{rest}"]
    made = [replicas(*flags, listen=f"127.0.0.1:{port}") for port in listen]
    balancer = Balancer(tmp_path, [broker] * 3, [f"127.0.0.1:{p}" for p in listen], rest)
    made[0].ok("POST", "/v1/storage-access-services", LOCAL)
    fleet = Fleet(balancer.mqtt, made[0], [f"cam-{i}" for i in range(6)])
    for b in made:
        wait_for(lambda: all(blocked_at(b, f"cam-{i}") is False for i in range(6)))
    wait_for(lambda: all(balancer.servers()[f"backends/{i}"][0] == "UP" for i in (1, 2, 3)))
    yield made, fleet, balancer
    fleet.over.set()
    balancer.stop()
    broker.stop()


def progress(fleet, count=40):
    """Until so many further uploads are reported."""
    before = len(fleet.reported)
    wait_for(lambda: len(fleet.reported) >= before + count, 120)


def end_and_check_ledger(fleet, database):
    progress(fleet)
    fleet.end()
    rows = dict(line.split("|") for line in database.psql("SELECT grant_id, state FROM uploads"))
    assert len(set(fleet.granted)) == len(fleet.granted)
    assert set(fleet.granted) <= set(rows), "a grant without its row"
    assert {rows[g] for g in fleet.reported} == {"verified"}
    print(f"\n{len(fleet.granted)} grants, {len(fleet.reported)} reported, {len(fleet.asked_again)} asked again, {len(rows)} rows")


def test_any_of_three_is_killed_and_no_granted_token_is_missing_from_the_ledger(three, database):
    backends, fleet, balancer = three
    fleet.start()
    progress(fleet)
    for i, b in enumerate(backends):
        b.kill()
        progress(fleet)
        b.start()
        wait_for(lambda: balancer.servers()[f"backends/{i + 1}"][0] == "UP")
    end_and_check_ledger(fleet, database)
    assert fleet.lost == [], "answered at last"


def test_all_three_are_restarted_one_by_one_and_every_request_is_answered(three, database):
    backends, fleet, balancer = three
    fleet.start()
    progress(fleet)
    for i, b in enumerate(backends):
        b.stop()
        wait_for(lambda: balancer.servers()[f"backends/{i + 1}"][0] == "DOWN")
        progress(fleet)
        b.start()
        wait_for(lambda: balancer.servers()[f"backends/{i + 1}"][0] == "UP")
    end_and_check_ledger(fleet, database)
    assert fleet.lost == []
