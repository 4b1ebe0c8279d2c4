"""Tenants and API keys: each route of the API is tried with a stranger's key and with too small a role."""

import json
import os
import pathlib
import re
import subprocess
import time

import pytest
import requests
from conftest import BIN, LOCAL

SOURCES = pathlib.Path(__file__).parents[3] / "src/api"
ROUTES = sorted({(m[1], m[2], m[0]) for f in SOURCES.glob("*.cc") for m in re.findall(
    r'add_route\(to, context, level::(\w+), "(\w+)",\s*"([^"]+)"', f.read_text())})
ROLES = {"view": "viewer", "operate": "operator", "administer": "admin"}


class Party:
    """A tenant with a key of each role, and one of everything that a tenant can have."""

    def __init__(self, backend, tenant, number):
        self.backend, self.tenant, self.number = backend, tenant, str(number)
        backend.ok("POST", "/v1/tenants", {"id": tenant})
        self.keys = {role: self.admin("POST", "/v1/api-keys", {"name": role, "role": role}).json()
                     for role in ("viewer", "operator", "admin")}
        made = self.admin("POST", "/v1/devices", {"id": "cam-" + self.number}).json()
        assert made["id"] == "cam-" + self.number and made["credentials"]["username"] == f"{tenant}:cam-{number}"
        self.device = made["credentials"]
        assert self.admin("POST", "/v1/storage-access-services", LOCAL).status_code == 201
        assert self.admin("POST", "/v1/storage-access-services", {**LOCAL, "name": "st-" + self.number}).status_code == 201
        assert self.admin("PUT", "/v1/modules/mod-" + self.number, data=b"module of " + tenant.encode()).status_code == 201
        hook = {"url": "http://127.0.0.1:1/" + tenant, "secret": "s" * 32}
        assert self.admin("PUT", "/v1/hooks/hook-" + self.number, hook).status_code == 201
        assert self.admin("PUT", "/v1/device-groups/group-" + self.number, {"description": tenant}).status_code == 201
        for path in ("/v1/policy", f"/v1/device-groups/group-{number}/policy", f"/v1/devices/cam-{number}/policy"):
            assert self.admin("PUT", path, {"storages": ["default", "st-" + self.number]}).status_code == 201
        manifest = {"deploymentId": "d-" + tenant, "instanceSpecs": {}, "modules": {
            "mod-" + self.number: {"moduleImpl": "spawn", "entryPoint": "main"}}}
        assert self.admin("PUT", f"/v1/devices/cam-{number}/deployment", manifest).status_code == 200

    def admin(self, method, path, body=None, **more):
        return self.backend.rest(method, path, body, headers={"X-EVP-Tenant": self.tenant}, **more)

    def ask(self, role, method, path, **more):
        fields = {"Authorization": "Bearer " + self.keys[role]["key"], **more.pop("headers", {})}
        return requests.request(method, self.backend.url + path, headers=fields, timeout=90, **more)


@pytest.fixture(scope="module")
def parties(backend):
    return Party(backend, "acme", 1), Party(backend, "globex", 2)


def filled(pattern, of, scoped=False):
    """The route's path with the names of that tenant's things."""
    last = (pattern + "/").split("/")[2]
    prefix = of.tenant + ":" if scoped else ""
    names = {"devices": "cam-", "modules": "mod-", "hooks": "hook-", "storage-access-services": "st-",
             "device-groups": "group-"}
    path = re.sub(r"\{(id|name)\}", prefix + names.get(last, "x-") + of.number, pattern)
    path = path.replace("{key}", of.keys["viewer"]["id"]).replace("{tenant}", of.tenant)
    path = path.replace("{grantId}", getattr(of, "grant", "none"))
    return re.sub(r"\{[^}]+\}", "main", path)


def test_the_routes_are_all_there():
    assert len(ROUTES) > 40 and {r[2] for r in ROUTES} >= {"open", "view", "operate", "administer", "administer_all"}


def test_a_tenants_file_is_its_own(backend, parties):
    acme, globex = parties
    for party in parties:
        agent = backend.agent(party.device["username"], party.device)
        agent.begin()
        grant = agent.token("a.jpg", accept=["certificate/1", "report/1"])
        put = requests.put(grant["URL"], data=b"of " + party.tenant.encode(), headers=grant.get("headers") or {}, timeout=60)
        assert put.status_code in (200, 201), put.text
        agent.evp_d2c("transfer-report", {"grantId": grant["grantId"], "result": "done", "bytes": str(3 + len(party.tenant))})
        party.grant = grant["grantId"]
        agent.close()
    for party in parties:
        rows = party.ask("viewer", "GET", "/v1/uploads").json()["uploads"]
        assert [(r["device"], r["tenant"], r["object"], r["state"]) for r in rows] == [
            ("cam-" + party.number, party.tenant, f"cam-{party.number}/up/a.jpg", "verified")]
        assert party.ask("viewer", "GET", "/v1/uploads/" + party.grant).status_code == 200
    stored = {f.name: f.read_bytes() for f in (backend.data / "local").rglob("*") if f.is_file()}
    assert {b"of acme", b"of globex"} <= set(stored.values())
    assert backend.ok("GET", "/v1/uploads")["uploads"] == []


@pytest.mark.parametrize("method,pattern,level", [r for r in ROUTES if r[2] != "open"])
def test_a_stranger_finds_nothing(parties, method, pattern, level):
    acme, globex = parties
    for victim, thief in ((acme, globex), (globex, acme)):
        for scoped in (False, True):
            path = filled(pattern, victim, scoped)
            if pattern == "/v1/uploads/events":  # it never ends; what it tells is asked below
                continue
            answer = thief.ask("admin", method, path, json={} if method in ("POST", "PUT") else None)
            if "{tenant}" not in pattern:
                assert victim.tenant not in answer.text, (path, answer.text)
            if path != pattern and level not in ("view_all", "administer_all") and method != "PUT":
                assert answer.status_code == 404, (method, path, answer.status_code, answer.text)
            with_header = thief.ask("admin", method, path, headers={"X-EVP-Tenant": victim.tenant})
            assert with_header.status_code == 403, (path, with_header.status_code)
    for party in parties:  # and nothing has gone
        assert party.ask("viewer", "GET", f"/v1/devices/cam-{party.number}").status_code == 200
        assert party.ask("viewer", "GET", f"/v1/storage-access-services/st-{party.number}").status_code == 200
        assert party.ask("viewer", "GET", f"/v1/hooks/hook-{party.number}").status_code == 200
        assert party.ask("viewer", "GET", f"/v1/modules/mod-{party.number}").status_code == 200


def test_a_stranger_hears_of_nothing(parties):
    acme, globex = parties
    with requests.get(acme.backend.url + "/v1/uploads/events", stream=True, timeout=60, headers={
            "Authorization": "Bearer " + globex.keys["viewer"]["key"], "Last-Event-ID": "0"}) as stream:
        heard = b""
        for piece in stream.iter_content(None):
            heard += piece
            if b"verified" in heard:
                break
    assert b"globex" in heard and b"acme" not in heard


@pytest.mark.parametrize("method,pattern,level", [r for r in ROUTES if r[2] != "open"])
def test_a_role_reaches_as_far_as_it_says(parties, method, pattern, level):
    party = parties[0]
    enough = ROLES.get(level)
    for role in ("viewer", "operator", "admin"):
        order = ["viewer", "operator", "admin"]
        if enough and order.index(role) >= order.index(enough):
            continue
        answer = party.ask(role, method, filled(pattern, party))
        assert answer.status_code == 403, (role, method, pattern, answer.status_code)
        assert answer.json()["error"]["code"] == "permission_denied"


def test_a_removed_key_is_refused_at_once(parties):
    party = parties[0]
    key = party.admin("POST", "/v1/api-keys", {"name": "short", "role": "viewer"}).json()
    fields = {"Authorization": "Bearer " + key["key"]}
    url = party.backend.url
    assert requests.get(url + "/v1/caller", headers=fields, timeout=60).json()["actor"] == key["id"]
    assert party.ask("admin", "DELETE", "/v1/api-keys/" + key["id"]).status_code == 204
    assert requests.get(url + "/v1/caller", headers=fields, timeout=60).status_code == 401, "the very next request"
    assert key["key"] not in party.backend.log.read_text()


def audit_of(party, path, role="viewer", **headers):
    answer = party.ask(role, "GET", path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def test_a_tenants_audit_is_its_own(backend, parties):
    for party, other in (parties, parties[::-1]):
        kinds = set()
        for text in (audit_of(party, "/v1/audit?limit=1000").text, audit_of(party, "/v1/audit/export", "admin").text,
                     backend.rest("GET", "/v1/audit?limit=1000", headers={"X-EVP-Tenant": party.tenant}).text,
                     backend.rest("GET", "/v1/audit/export", headers={"X-EVP-Tenant": party.tenant}).text):
            assert other.tenant not in text and '"hash"' not in text
            records = json.loads(text)["records"] if "records" in text[:12] else [json.loads(line) for line in text.splitlines()][1:-1]
            for r in records:
                assert party.tenant in (r["objectName"].split(":")[0], r["actor"].split(":")[0], r["actor"].split(":")[0].removeprefix("device ")) or (
                    r["objectKind"] == "tenant" and r["objectName"] == party.tenant), r
                assert r["actor"] != "admin-token" or r["peer"] == "", r  # where the operator sits is not the tenant's to know
            kinds |= {r["objectKind"] for r in records}
        assert kinds >= {"device", "service", "module", "hook", "group", "policy", "deployment", "key", "tenant"}, kinds
        whole = {r["number"]: r for r in backend.ok("GET", "/v1/audit?limit=1000")["records"]}
        for r in records:  # what the tenant is told is what the chain has
            assert all(whole[r["number"]][k] == v for k, v in r.items() if k != "peer"), r
        of_tenant = [n for n, r in whole.items() if party.tenant + ":" in r["objectName"] + " " + r["actor"]
                     or (r["objectKind"], r["objectName"]) == ("tenant", party.tenant)]
        assert {r["number"] for r in records} >= set(of_tenant)


def test_a_tenants_audit_has_the_same_filters_and_none_leads_to_another_tenant(backend, parties):
    acme, globex = parties
    assert acme.ask("admin", "DELETE", "/v1/hooks/no-such").status_code == 404  # a refusal is the tenant's too
    ask = lambda query: audit_of(acme, "/v1/audit?" + query).json()["records"]
    assert "device.create" in {r["action"] for r in ask("object=cam-1")}
    assert ask("object=cam-1") == ask("object=acme:cam-1")
    deadline = time.monotonic() + 60
    while not [r for r in ask("actor=" + acme.keys["admin"]["id"]) if (r["action"], r["outcome"]) == ("hook.remove", "not_found")]:
        assert time.monotonic() < deadline  # refusals are written a moment later
    assert {r["actor"].split(":")[0] for r in ask("object=cam-2")} <= {"acme"}  # its own attempts
    for theirs in ("object=globex:cam-2", "object=globex", "actor=device%20globex:cam-2", "actor=device%20cam-2",
                   "actor=" + globex.keys["admin"]["id"], "actor=globex:" + globex.keys["admin"]["id"], "actor=nobody", "until=2000-01-01T00:00:00Z"):
        assert ask(theirs) == [], theirs
    numbers, cursor = [], ""
    while True:
        page = audit_of(acme, "/v1/audit?limit=2" + cursor).json()
        numbers += [r["number"] for r in page["records"]]
        if "nextCursor" not in page:
            break
        cursor = "&cursor=" + page["nextCursor"]
    assert numbers == [r["number"] for r in ask("limit=1000")][-len(numbers):] and len(numbers) == len(set(numbers)) > 10
    assert acme.ask("viewer", "GET", "/v1/audit?cursor=x").json()["error"]["field"] == "cursor"


def test_the_installations_own_viewer_sees_nothing_of_tenants_or_of_the_whole(backend, parties):
    made = backend.ok("POST", "/v1/api-keys", {"name": "own", "role": "viewer"})
    backend.ok("POST", "/v1/devices", {"id": "own-cam"})
    fields = {"Authorization": "Bearer " + made["key"]}
    records = requests.get(backend.url + "/v1/audit?limit=1000", headers=fields, timeout=60).json()["records"]
    assert {"own-cam", "default", made["id"]} <= {r["objectName"] for r in records}
    assert [r for r in records if ":" in r["objectName"] or r["objectKind"] in ("", "tenant", "master-key", "audit")] == []


def test_the_chain_with_all_tenants_verifies_for_the_operator_and_a_tenant_is_told_why_it_cannot(backend, parties):
    def verify(token):
        (backend.data / "key").write_text(token)
        (backend.data / "key").chmod(0o600)
        return subprocess.run([BIN / "evpctl", "audit", "verify"], capture_output=True, text=True, timeout=60, env={
            "PATH": os.environ["PATH"], "EVP_SERVER": backend.url, "EVP_TOKEN_FILE": str(backend.data / "key")})
    done = verify(backend.token)
    assert done.returncode == 0 and "verified: " in done.stdout, done
    done = verify(parties[0].keys["admin"]["key"])
    assert done.returncode == 1 and "one tenant's records" in done.stderr, done


def test_a_key_for_all_tenants_is_the_installations_to_give(backend, parties):
    refused = parties[0].ask("admin", "POST", "/v1/api-keys?allTenants=true", json={"name": "n", "role": "viewer"})
    assert refused.status_code == 403
    made = backend.ok("POST", "/v1/api-keys?allTenants=true", {"name": "prometheus", "role": "viewer"})
    fields = {"Authorization": "Bearer " + made["key"]}
    assert requests.get(backend.url + "/metrics", headers=fields, timeout=60).status_code == 200
    there = requests.get(backend.url + "/v1/devices", headers={**fields, "X-EVP-Tenant": "acme"}, timeout=60).json()
    assert [d["id"] for d in there["devices"]] [:1] == ["cam-1"]
    assert requests.delete(backend.url + "/v1/devices/cam-1", headers={**fields, "X-EVP-Tenant": "acme"},
                           timeout=60).status_code == 403
    assert parties[0].ask("admin", "GET", "/metrics").status_code == 403


def test_a_tenant_that_has_anything_stays(backend, parties):
    refused = backend.rest("DELETE", "/v1/tenants/acme")
    assert refused.status_code == 409 and " devices, " in refused.text, refused.text
