"""Policies through the real backend and MQTT: what a device may use, how much, and that a second replica obeys at once."""

import requests
from conftest import LOCAL, stay_within_a_day
from several import Broker, database, postgresql, replicas, wait_for  # noqa: F401: fixtures


def put(b, path, **fields):
    return b.ok("PUT", path, fields)


def refusal(answer):
    assert answer["status"] == "error", answer
    return answer["errorCode"]


def upload(agent, name, data, **more):
    grant = agent.token(name, size=str(len(data)), accept=["report/1"], **more)
    assert grant["status"] == "ok", grant
    stored = requests.put(grant["URL"], data=data, headers=grant.get("headers") or {}, timeout=60)
    assert stored.ok, stored.text
    done = {"grantId": grant["grantId"], "result": "done", "httpStatus": stored.status_code, "bytes": str(len(data))}
    return agent.evp_d2c("transfer-report", done), grant


def test_from_nothing_to_a_policy_that_works(backend, agents):
    """The example of docs/policy.md."""
    backend.ok("POST", "/v1/storage-access-services", {**LOCAL, "name": "footage"})
    put(backend, "/v1/device-groups/gates", description="cameras at gates")
    agent = agents("gate-7")
    assert backend.ok("PUT", "/v1/devices/gate-7", {"group": "gates"})["group"] == "gates"
    put(backend, "/v1/device-groups/gates/policy", defaultStorage="footage", storages=["footage"], operations=["put"],
        nameTemplate="{group}/{device}/{name}", maxSize=1000, contentTypes=["image/jpeg", "video/*"],
        grantsPerMinute=100, bytesPerDay=2000)
    put(backend, "/v1/devices/gate-7/policy", maxSize=500)
    effective = backend.ok("GET", "/v1/devices/gate-7/policy?effective=true")
    assert effective["maxSize"] == 500 and effective["group"] == "gates"
    assert effective["sources"] == {**dict.fromkeys(
        ("defaultStorage", "storages", "operations", "nameTemplate", "contentTypes", "grantsPerMinute", "bytesPerDay"),
        "group"), "maxSize": "device"}
    agent.begin()
    report, grant = upload(agent, "a.jpg", b"x" * 400, contentType="image/jpeg")
    assert report["verified"]
    row = backend.ok("GET", "/v1/uploads/" + grant["grantId"])
    assert (row["service"], row["object"]) == ("footage", "gates/gate-7/a.jpg")

    assert refusal(agent.token("b.jpg", "default")) == "permission_denied"
    assert refusal(agent.token("b.jpg", size="501", accept=["report/1"])) == "too_large"
    assert refusal(agent.token("b.jpg", operation="get", accept=["report/1"])) == "permission_denied"
    assert refusal(agent.token("b.html", size="1", contentType="text/html", accept=["report/1"])) == "permission_denied"
    text = backend.rest("GET", "/metrics").text
    for field in ("storages", "operations", "maxSize", "contentTypes"):
        assert f'evp_policy_refusals_total{{field="{field}"}} 1' in text, text
    for method in ("DELETE", "GET"):
        answer = backend.rest(method, "/v1/device-groups/gates/policy")
        assert answer.status_code == (204 if method == "DELETE" else 404)
    upload(agent, "b.html", b"x" * 10, contentType="text/html", key="default")


def test_grants_of_a_minute_and_bytes_of_a_day_end(backend, agents):
    stay_within_a_day()
    agent = agents("meter-1")
    agent.begin()
    put(backend, "/v1/devices/meter-1/policy", bytesPerDay=1000)
    assert upload(agent, "a", b"x" * 700)[0]["verified"]
    over = agent.token("b", size="301", accept=["report/1"])
    assert refusal(over) == "rate_limited" and 0 < int(over["retryAfterMillis"]) <= 86_400_000 * 1.01
    assert refusal(agent.token("b", size="1001", accept=["report/1"])) == "too_large"
    unstated = agent.token("b")
    assert refusal(unstated) == "invalid_argument" and "maxSize" in unstated["errorMessage"]
    assert upload(agent, "b", b"x" * 300)[0]["verified"]
    # A minute may end within the test, so that a second one begins: of four at least two are refused.
    put(backend, "/v1/devices/meter-1/policy", grantsPerMinute=1)
    answers = [agent.token(f"m{i}", size="1", accept=["report/1"]) for i in range(4)]
    refused = [a for a in answers if a["status"] == "error"]
    assert len(refused) >= 2
    for a in refused:
        assert a["errorCode"] == "rate_limited" and 0 < int(a["retryAfterMillis"]) <= 70_000


def test_an_older_agent_obeys_too(backend, agents):
    agent = agents("old-1", protocol="EVP1")
    agent.begin()
    put(backend, "/v1/devices/old-1/policy", nameTemplate="old/{device}/{name}", contentTypes=["application/pdf"])
    grant = agent.token("a.pdf")
    assert "/old/old-1/a.pdf" in grant["URL"] and grant["headers"]["Content-Type"] == "application/pdf"
    put(backend, "/v1/devices/old-1/policy", operations=["get"])
    assert agent.token("a.pdf")["status"] == "error"


def test_what_is_wrong_is_refused_by_name_and_nothing_stored(backend):
    for body, field in (({"storages": ["nowhere"]}, "storages"), ({"defaultStorage": "nowhere"}, "defaultStorage"),
                        ({"storages": []}, "storages"), ({"storages": "default"}, "storages"), ({"storages": [1]}, "storages"),
                        ({"operations": ["list"]}, "operations"), ({"nameTemplate": "{nme}"}, "nameTemplate"),
                        ({"maxSize": 0}, "maxSize"), ({"maxSize": -5}, "maxSize"), ({"maxSize": "5"}, "maxSize"),
                        ({"contentTypes": ["x"]}, "contentTypes"), ({"grantsPerMinute": 1e9}, "grantsPerMinute"),
                        ({"bytesPerDay": 2**62}, "bytesPerDay"), ({"maxsize": 5}, "maxsize")):
        answer = backend.rest("PUT", "/v1/policy", body)
        assert answer.status_code == 400 and answer.json()["error"]["field"] == field, (body, answer.text)
    assert backend.rest("GET", "/v1/policy").status_code == 404
    assert backend.rest("PUT", "/v1/device-groups/nowhere/policy", {}).status_code == 404
    assert backend.rest("PUT", "/v1/devices/nobody/policy", {}).status_code == 404
    answer = backend.rest("POST", "/v1/devices", {"id": "lost", "group": "nowhere"})
    assert answer.status_code == 404 and answer.json()["error"]["field"] == "group"
    assert backend.rest("GET", "/v1/devices/lost").status_code == 404


def test_a_group_with_devices_cannot_be_removed(backend):
    put(backend, "/v1/device-groups/full")
    assert backend.ok("POST", "/v1/devices", {"id": "in-full", "group": "full"})["group"] == "full"
    assert [g["devices"] for g in backend.ok("GET", "/v1/device-groups")["deviceGroups"] if g["name"] == "full"] == [1]
    assert backend.rest("DELETE", "/v1/device-groups/full").status_code == 409
    assert "group" not in backend.ok("PUT", "/v1/devices/in-full", {})
    assert backend.rest("DELETE", "/v1/device-groups/full").status_code == 204
    assert backend.rest("GET", "/v1/device-groups/full").status_code == 404


def test_a_change_at_one_replica_is_obeyed_by_the_other_for_the_next_grant(tmp_path, database, replicas):  # noqa: F811
    broker = Broker(tmp_path)
    try:
        a = replicas("--database", database.url(), *broker.flags())
        a.ok("POST", "/v1/storage-access-services", LOCAL)
        credentials = a.make_device("cam-1")
        b = replicas("--database", database.url(), *broker.flags())
        agent = b.agent("cam-1", credentials)
        agent.begin()
        wait_for(lambda: agent.token("warm", accept=["report/1"])["status"] == "ok")
        for round_ in range(10):  # either of them may have each request
            put(a, "/v1/policy", maxSize=10)
            assert refusal(agent.token(f"{round_}", size="11", accept=["report/1"])) == "too_large"
            put(b, "/v1/policy", maxSize=20)
            # What forbids counts at once; what allows, when whoever answers has heard of it.
            wait_for(lambda: agent.token(f"{round_}", size="11", accept=["report/1"])["status"] == "ok")
        stay_within_a_day()
        put(a, "/v1/devices/cam-1/policy", bytesPerDay=40)
        answers = [agent.token(f"d{i}", size="10", accept=["report/1"]) for i in range(8)]
        assert [x["status"] for x in answers] == ["ok"] * 4 + ["error"] * 4, answers
        agent.close()
    finally:
        broker.stop()
