"""The public agent, byte for byte, against the backend: EVP2 and EVP1."""

import base64
import json
import time

import pytest
from conftest import check_schema, wait_until
from harness import files_below
from raw_put import exchange

MANIFEST = {"deploymentId": "dep-0001",
            "instanceSpecs": {"up": {"moduleId": "m1", "publish": {}, "subscribe": {}}},
            "modules": {"m1": {"moduleImpl": "spawn", "entryPoint": "main", "downloadUrl": "http://127.0.0.1:1/m1",
                               "hash": "ab" * 32}},
            "publishTopics": {}, "subscribeTopics": {}}


def test_a_device_without_a_deployment_is_told_to_run_nothing(agents):
    deployment = agents("fresh").begin()["shared"]["deployment"]
    assert deployment["instanceSpecs"] == {} and deployment["modules"] == {}


def test_deployment_and_configuration_reach_an_evp2_agent(backend, agents):
    agent = agents("evp2")
    backend.ok("PUT", "/v1/devices/evp2/deployment", MANIFEST)
    backend.ok("PUT", "/v1/devices/evp2/configuration/up/upload", {"value": "dir/remote-file.bin"})
    shared = agent.begin()["shared"]
    assert shared["deployment"] == MANIFEST
    assert shared["configuration/up/upload"] == "dir/remote-file.bin"

    assert backend.ok("PUT", "/v1/devices/evp2/configuration/up/again", {"value": "42"})["sent"]
    assert agent.wait("attributes") == {"configuration/up/again": "42"}
    assert backend.ok("DELETE", "/v1/devices/evp2/configuration/up/again")["sent"]
    assert agent.wait("attributes") == {"deleted": ["configuration/up/again"]}
    changed = {**MANIFEST, "deploymentId": "dep-0002"}
    backend.ok("PUT", "/v1/devices/evp2/deployment", changed)
    assert agent.wait("attributes") == {"deployment": changed}
    assert backend.ok("GET", "/v1/devices/evp2/deployment") == changed


def test_an_evp1_agent_gets_strings_and_base64(backend, agents):
    agent = agents("evp1", protocol="EVP1")
    backend.ok("PUT", "/v1/devices/evp1/deployment", MANIFEST)
    backend.ok("PUT", "/v1/devices/evp1/configuration/up/upload", {"value": "dir/remote-file.bin"})
    shared = agent.begin()["shared"]
    deployment = json.loads(shared["deployment"])
    assert deployment["instanceSpecs"]["up"]["version"] == 1
    assert deployment["instanceSpecs"]["up"]["entryPoint"] == "main"
    assert base64.b64decode(shared["configuration/up/upload"]) == b"dir/remote-file.bin"


@pytest.mark.parametrize("protocol", ["EVP2-TB", "EVP1"])
def test_a_file_lands_in_the_storage_and_in_the_ledger(backend, agents, protocol):
    name = "cam-" + protocol
    agent = agents(name, protocol=protocol)
    agent.begin()
    token = agent.token("dir/写真 1.bin")
    assert token["status"] == "ok" and "errorMessage" not in token, token
    assert token["expiresAtMillis"].isdigit() and token["responseType"] == "singlefile"
    assert len(token["URL"]) < 2000
    content = b"\xff\xd8 a picture of " + name.encode() * 1000
    status, fields, _ = exchange("PUT", token["URL"], content, token.get("headers", {}).items())
    assert status == 201, (status, fields)

    uploads = backend.ok("GET", f"/v1/uploads?device={name}")["uploads"]
    assert len(uploads) == 1
    assert uploads[0]["object"] == f"{name}/up/dir/写真 1.bin"
    assert uploads[0]["state"] in ("issued", "verified")
    stored = [f for f in files_below(backend.data / "local") if f.read_bytes() == content]
    assert len(stored) == 1
    assert not {"grantId", "certificateId", "expiresInMillis", "plan"} & token.keys()  # it did not say accept


def test_our_own_runtime_reports_and_the_backend_checks(backend, agents):
    agent = agents("ours")
    agent.begin()
    accept = ["certificate/1", "report/1"]
    token = agent.token("a.bin", accept=accept, size="5")
    assert token["grantId"] and int(token["expiresInMillis"]) > 0
    status, _, _ = exchange("PUT", token["URL"], b"12345")
    assert status == 201
    report = {"grantId": token["grantId"], "result": "done", "httpStatus": 201, "bytes": "5"}
    assert agent.evp_d2c("transfer-report", report)["verified"] is True
    unknown = agent.evp_d2c("certificate-request", {"certificateId": "sha256:" + "0" * 64})
    assert unknown["errorCode"] == "not_found"
    assert agent.evp_d2c("transfer-report", report)["verified"] is True  # idempotent
    assert backend.ok("GET", "/v1/uploads/" + token["grantId"])["state"] == "verified"

    lied = agent.token("b.bin", accept=accept)
    exchange("PUT", lied["URL"], b"12345")
    answer = agent.evp_d2c("transfer-report", {"grantId": lied["grantId"], "result": "done", "httpStatus": 201, "bytes": "6"})
    assert answer["verified"] is False and answer["errorCode"] == "data_corrupt", answer
    assert backend.ok("GET", "/v1/uploads/" + lied["grantId"])["state"] == "failed"


def test_a_repeated_request_gets_the_same_grant(backend, agents):
    agent = agents("again")
    agent.begin()
    body = {"method": "evp-d2c", "params": {"storagetoken-request": {
        "reqid": "77", "filename": "f", "moduleInstanceId": "up", "accept": ["report/1"]}}}
    first, second = agent.ask(json.dumps(body)), agent.ask(json.dumps(body))
    assert first["storagetoken-response"]["grantId"] == second["storagetoken-response"]["grantId"]
    assert len(backend.ok("GET", "/v1/uploads?device=again")["uploads"]) == 1


@pytest.mark.parametrize("protocol", ["EVP2-TB", "EVP1"])
def test_a_storage_that_does_not_exist_is_named_in_time(agents, protocol):
    agent = agents("bad-" + protocol, protocol=protocol)
    agent.begin()
    took = []
    for _ in range(3):  # before the agent gives up; a machine that stands still for a moment delays one of them
        started = time.monotonic()
        answer = agent.token("ok", "no-such-storage")
        took.append(time.monotonic() - started)
    assert min(took) < 4, took
    assert answer["status"] == "error" and "URL" not in answer
    assert "no-such-storage" in answer["errorMessage"], answer


def test_states_status_and_telemetry_are_shown(backend, agents):
    agent = agents("talks")
    agent.begin()
    agent.client.publish("v1/devices/me/attributes", json.dumps({"state/up/status": "g_step = 0"}), 0)
    agent.client.publish("v1/devices/me/telemetry", json.dumps({"tele/test": {"k": [1, 2, 3]}}), 0)
    state = wait_until(lambda: (s := backend.ok("GET", "/v1/devices/talks/state"))["telemetry"] and s)
    assert state["online"] and state["protocol"] == "EVP2-TB" and state["systemInfo"]["arch"] == "x86_64"
    assert state["states"]["up/status"]["value"] == "g_step = 0"
    assert state["telemetry"] == {"tele/test": {"k": [1, 2, 3]}}
    agent.close()
    wait_until(lambda: not backend.ok("GET", "/v1/devices/talks/state")["online"])


def test_a_direct_command_is_answered_in_both_dialects(backend, agents):
    for protocol in ("EVP2-TB", "EVP1"):
        name = "cmd-" + protocol
        agent = agents(name, protocol=protocol)
        agent.begin()

        def reply(client, userdata, m):
            body = json.loads(m.payload)
            if protocol == "EVP1":
                assert body["method"] == "ModuleMethodCall" and body["params"]["params"] == {"hello": "world"}
                answer = {"moduleInstance": "rpc", "response": body["params"]["params"], "status": 0}
            else:
                assert check_schema(body)
                request = body["params"]["direct-command-request"]
                assert json.loads(request["params"]) == {"hello": "world"}
                answer = {"direct-command-response": {"status": "ok", "reqid": request["reqid"], "response": request["params"]}}
            assert protocol == "EVP1" or check_schema(answer)
            client.publish(m.topic.replace("request", "response"), json.dumps(answer), 0)

        agent.client.on_message = reply
        answer = backend.ok("POST", f"/v1/devices/{name}/commands/rpc/echo", {"params": {"hello": "world"}})
        assert answer == {"status": "ok", "response": {"hello": "world"}}


def test_a_command_that_nobody_answers_times_out(backend, agents):
    agents("silent").begin()
    started = time.monotonic()
    answer = backend.rest("POST", "/v1/devices/silent/commands/nobody/x", {"timeLimit": "PT0.5S"})
    assert answer.status_code == 504 and answer.json()["error"]["code"] == "deadline_exceeded"
    assert 0.4 < time.monotonic() - started < 9, "not the 10 s of who gives none"
    assert backend.rest("POST", "/v1/devices/silent/commands/x/y", {"timeLimit": "PT1H"}).json()["error"]["field"] == "timeLimit"
    backend.make_device("offline")
    assert backend.rest("POST", "/v1/devices/offline/commands/x/y").status_code == 503


def test_an_offline_grant_is_for_who_asks_and_a_block_tells_until_when_it_lives(backend, agents):
    backend.ok("POST", "/v1/storage-access-services", {"type": "LOCAL", "name": "patient", "offlineGrantDuration": "P1D"})
    assert backend.ok("GET", "/v1/storage-access-services/patient")["offlineGrantDuration"] == "P1D"
    agent = agents("keeper")
    agent.begin()
    ours = {"size": "3", "accept": ["report/1", "offline/1"], "offline": True}
    kept = agent.token("a", "patient", **ours)
    assert kept["offline"] is True and 86_000_000 < int(kept["expiresInMillis"]) <= 86_400_000
    refused = agent.token("a", **ours)
    assert refused["status"] == "error" and refused["errorCode"] == "unsupported"
    assert "offline" not in agent.token("b", "patient")
    row = backend.ok("GET", f"/v1/uploads/{kept['grantId']}")
    assert row["offline"] is True and row["state"] == "issued"
    live = backend.ok("POST", "/v1/devices/keeper/block")["liveGrants"]
    assert live == {"count": 2, "offline": 1, "lastExpiresAt": row["expiresAt"]}


def test_block_disconnects_at_once_and_refuses_after(backend, agents):
    credentials = backend.make_device("naughty")
    agent = backend.agent("naughty", credentials)
    agent.begin()
    assert backend.ok("POST", "/v1/devices/naughty/block")["blocked"]
    agent.disconnected.get(timeout=60)
    agent.close()
    again = backend.agent("naughty", credentials)
    assert again.refused.get(timeout=60) != 0
    again.close()
    assert not backend.ok("POST", "/v1/devices/naughty/unblock")["blocked"]
    third = backend.agent("naughty", credentials)
    third.begin()
    assert third.token("f")["status"] == "ok"
    third.close()


def test_a_removed_device_is_gone(backend, agents):
    credentials = backend.make_device("gone")
    agent = backend.agent("gone", credentials)
    agent.begin()
    backend.ok("DELETE", "/v1/devices/gone")
    agent.disconnected.get(timeout=60)
    agent.close()
    assert backend.rest("GET", "/v1/devices/gone").status_code == 404
    again = backend.agent("gone", credentials)
    assert again.refused.get(timeout=60) != 0
    again.close()


def test_a_module_is_fetched_by_its_signed_url(backend, agents):
    agent = agents("fetch")
    content = bytes(range(256)) * 4096
    made = backend.ok("PUT", "/v1/modules/mod-1", data=content)
    backend.ok("PUT", "/v1/devices/fetch/deployment", {
        "instanceSpecs": {"up": {"moduleId": "mod-1", "publish": {}, "subscribe": {}}},
        "modules": {"mod-1": {"moduleImpl": "spawn", "entryPoint": "main"}}})
    module = agent.begin()["shared"]["deployment"]["modules"]["mod-1"]
    assert module["hash"] == made["sha256"]
    assert exchange("GET", module["downloadUrl"])[2] == content
    assert exchange("GET", module["downloadUrl"][:-1])[0] == 403
    assert exchange("GET", module["downloadUrl"].split("?")[0])[0] == 403
    assert "downloadUrl" not in backend.ok("GET", "/v1/devices/fetch/deployment")["modules"]["mod-1"]
    assert backend.rest("PUT", "/v1/modules/mod-1", data=b"other").json()["error"]["code"] == "already_exists"
    assert backend.rest("DELETE", "/v1/modules/mod-1").status_code == 409
