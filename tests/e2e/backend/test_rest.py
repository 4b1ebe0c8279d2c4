"""The REST API: what is accepted, each refusal with its field, and that nothing is stored then."""

import base64
import json

import pytest
import requests

SERVICES = "/v1/storage-access-services"
KEY = base64.b64encode(b"k" * 64).decode()


def announcement(**changes):
    """The body from the product's announcement, with real values in it."""
    body = {"type": "AZURE", "name": "azure", "endpoint": "http://127.0.0.1:1/someblob",
            "connectionString": f"DefaultEndpointsProtocol=https;AccountName=someblob;AccountKey={KEY};EndpointSuffix=core.windows.net",
            "headers": {"x-ms-blob-type": "BlockBlob"}, "expirationDuration": "PT2M"}
    return {k: v for k, v in {**body, **changes}.items() if v is not None}


@pytest.mark.parametrize("changes,field", [
    ({"type": "FTP"}, "type"), ({"type": 7}, "type"), ({"type": None}, "type"),
    ({"connectionString": "AccountName=a;AccountKey=not-base64!"}, "connectionString"),
    ({"connectionString": 7}, "connectionString"), ({"connectionString": None}, "connectionString"),
    ({"certificate": "no pem"}, "certificate"), ({"expirationDuration": "2 minutes"}, "expirationDuration"),
    ({"offlineGrantDuration": "P8D"}, "offlineGrantDuration"), ({"offlineGrantDuration": 7}, "offlineGrantDuration"),
    ({"expirationDuration": "P3000D"}, "expirationDuration"), ({"expirationDuration": "PT0S"}, "expirationDuration"),
    ({"bucket": "b"}, "bucket"), ({"nmae": "x"}, "nmae"), ({"headers": {"x": 7}}, "headers.x"),
    ({"headers": ["x"]}, "headers"), ({"name": "../x"}, "name"), ({"endpoint": "ftp://x"}, "endpoint"),
    ({"endpoint": "http://10.0.0.1/x"}, "endpoint"), ({"endpoint": "http://169.254.169.254/x"}, "endpoint"),
    ({"objectNameTemplate": "{device}"}, "objectNameTemplate"), ({"objectNameTemplate": "{x}/{name}"}, "objectNameTemplate"),
])
def test_a_wrong_service_is_refused_at_its_field_and_not_stored(backend, changes, field):
    answer = backend.rest("POST", SERVICES, announcement(**changes))
    assert 400 <= answer.status_code < 500, answer.text
    error = answer.json()["error"]
    assert error["field"] == field and error["code"] and error["message"], error
    assert KEY not in answer.text
    assert [s["name"] for s in backend.ok("GET", SERVICES)["services"]] == ["default"]


def test_the_announcement_is_accepted_and_its_secret_never_shown(backend):
    made = backend.rest("POST", SERVICES, announcement())
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == SERVICES + "/azure"
    service = made.json()
    assert any("endpoint" in w for w in service["warnings"]), service["warnings"]
    assert service["container"] == "evp" if "container" in service else True
    for text in (made.text, backend.rest("GET", SERVICES).text, backend.rest("GET", SERVICES + "/azure").text):
        assert KEY not in text and "AccountKey" not in text
    assert service["writeOnly"] == ["connectionString"]

    assert backend.rest("POST", SERVICES, announcement()).status_code == 409
    nameless = backend.rest("POST", SERVICES, {"type": "LOCAL"})
    assert nameless.status_code == 409 and nameless.json()["error"]["field"] == "name"
    report = backend.ok("POST", SERVICES + "/azure/test")
    assert report["ok"] is False and any(not s["ok"] and s["error"]["message"] for s in report["steps"]), report
    replaced = backend.ok("PUT", SERVICES + "/azure", announcement(expirationDuration="PT5M"))
    assert replaced["expirationDuration"] == "PT5M" and replaced["revision"] > service["revision"]
    assert backend.rest("DELETE", SERVICES + "/azure").status_code == 204
    assert backend.rest("GET", SERVICES + "/azure").status_code == 404


def test_the_local_service_passes_its_own_test(backend):
    report = backend.ok("POST", SERVICES + "/default/test")
    assert report["ok"] and [s["name"] for s in report["steps"]] == ["prepare", "put", "stat", "get", "remove"]


def test_only_the_admin_token_opens_the_api(backend):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic " + backend.token},
                    {"Authorization": backend.token}):
        answer = requests.get(backend.url + "/v1/devices", headers=headers, timeout=10)
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer"), headers
    assert requests.get(backend.url + "/metrics", timeout=10).status_code == 401
    assert requests.get(backend.url + "/healthz", timeout=10).json() == {"status": "ok", "database": "ok", "broker": "ok"}
    assert (backend.data / "admin.token").stat().st_mode & 0o777 == 0o600


def test_paths_and_methods_that_do_not_exist_have_the_same_error_form(backend):
    assert backend.rest("GET", "/v1/nothing").status_code == 404
    assert backend.rest("PATCH", "/v1/devices").status_code == 405
    assert backend.rest("GET", "/v1/nothing").json()["error"]["code"] == "not_found"
    assert backend.rest("GET", "/v1/devices?colour=red").json()["error"]["field"] == "colour"
    assert backend.rest("GET", "/v1/devices?limit=0").json()["error"]["field"] == "limit"
    assert backend.rest("GET", "/v1/uploads?state=lost").json()["error"]["field"] == "state"


def test_devices_are_listed_in_pages(backend):
    for i in range(5):
        backend.make_device(f"page-{i}")
    seen, cursor = [], ""
    while True:
        page = backend.ok("GET", f"/v1/devices?limit=2&cursor={cursor}")
        seen += [d["id"] for d in page["devices"]]
        assert len(page["devices"]) <= 2
        cursor = page.get("nextCursor", "")
        if not cursor:
            break
    assert [d for d in seen if d.startswith("page-")] == [f"page-{i}" for i in range(5)] and len(seen) == len(set(seen))
    assert backend.rest("POST", "/v1/devices", {"id": "page-0"}).status_code == 409
    assert backend.rest("POST", "/v1/devices", {"id": "a/b"}).json()["error"]["field"] == "id"


@pytest.mark.parametrize("manifest,field", [
    ({"modules": {}}, "instanceSpecs"), ({"instanceSpecs": {}, "modules": {"m": {"entryPoint": "x"}}}, "modules.m.moduleImpl"),
    ({"instanceSpecs": {"i": {"moduleId": "m", "publish": {"a": None}, "subscribe": {}}},
      "modules": {"m": {"moduleImpl": "spawn", "entryPoint": "x"}}}, "instanceSpecs.i.publish.a")])
def test_a_manifest_that_could_hurt_an_agent_is_refused(backend, manifest, field):
    if not any(d["id"] == "manifests" for d in backend.ok("GET", "/v1/devices?limit=1000")["devices"]):
        backend.make_device("manifests")
    answer = backend.rest("PUT", "/v1/devices/manifests/deployment", manifest)
    assert answer.status_code == 400 and answer.json()["error"]["field"] == field, answer.text
    assert backend.rest("GET", "/v1/devices/manifests/deployment").status_code == 404


def test_more_than_a_device_can_receive_is_too_large(backend):
    backend.make_device("full")
    backend.ok("PUT", "/v1/devices/full/configuration/up/a", {"value": "x" * 100_000})
    answer = backend.rest("PUT", "/v1/devices/full/configuration/up/b", {"value": "x" * 40_000})
    assert answer.status_code == 413 and answer.json()["error"]["code"] == "too_large", answer.text
    assert list(backend.ok("GET", "/v1/devices/full/configuration")["configuration"]) == ["up/a"]


def test_metrics_count_what_happened(backend):
    text = backend.rest("GET", "/metrics").text
    assert 'evp_http_requests_total{method="GET",route="/v1/devices"' in text.replace(", ", ",")
    assert "evp_broker_connected 1" in text and 'evp_ledger_rows{state="issued"}' in text


def test_a_service_tells_its_health_and_why_it_cannot_sign(backend):
    healthy = backend.ok("GET", SERVICES + "/default")["health"]
    assert healthy["state"] == "healthy" and healthy["since"].endswith("Z") and "reason" not in healthy
    made = backend.rest("POST", SERVICES, {
        "type": "AWS", "name": "role", "endpoint": "http://127.0.0.1:1", "accessKeyId": "AKEVP", "secretAccessKey": "s3cret/key",
        "roleArn": "arn:aws:iam::123456789012:role/fleet"})
    assert made.status_code == 201, made.text  # out of reach now is no reason to refuse it
    assert made.json()["warnings"] and made.json()["writeOnly"] == ["secretAccessKey"]
    answer = backend.rest("GET", SERVICES + "/role")
    ill = answer.json()["health"]
    assert ill["state"] == "degraded" and ill["errorCode"] == "unavailable" and ill["reason"], ill
    assert "s3cret" not in answer.text
    backend.rest("DELETE", SERVICES + "/role")


@pytest.mark.parametrize("body,field", [
    ({"type": "AWS", "accessKeyId": "A", "secretAccessKey": "s", "roleArn": "arn:aws:iam::123456789012:role/r",
      "stsEndpoint": "https://169.254.169.254"}, "stsEndpoint"),
    ({"type": "AZURE", "accountName": "acc", "tenantId": "t", "clientId": "c", "clientSecret": "s",
      "authorityHost": "https://10.0.0.1"}, "authorityHost"),
    ({"type": "SWIFT", "username": "a:b", "password": "p", "tempUrlKey": "0123456789abcdef",
      "authUrl": "https://[::ffff:169.254.169.254]/auth/v1.0"}, "endpoint"),
    ({"type": "WEBHOOK", "webhookSecret": "0123456789abcdef" * 2, "endpoint": "https://192.168.1.1/hook"}, "endpoint"),
    ({"type": "AWS", "roleArn": "arn:aws:iam::123456789012:role/r", "webIdentityTokenFile": "/etc/shadow"}, "webIdentityTokenFile"),
])
def test_urls_and_files_that_lead_inside_are_refused_at_their_field(backend, body, field):
    answer = backend.rest("POST", SERVICES, {"name": "inside", **body})
    assert answer.status_code == 400 and answer.json()["error"]["field"] == field, answer.text
    assert backend.rest("GET", SERVICES + "/inside").status_code == 404
