"""A block that ends what was granted too, at the storage itself: AZURE's stored access policies, on Azurite."""

import pathlib
import subprocess
import sys

import pytest
import requests
from conftest import BIN, LOCAL, Backend

SOURCE = pathlib.Path(__file__).parents[3]
sys.path.insert(0, str(SOURCE / "tests/e2e"))
from harness import server  # noqa: E402

FIXTURE = SOURCE / "tests/fixtures/azurite"
INSTALLED = SOURCE / "build/azurite"
AUDITED = "/v1/audit?object=cloud"
BLOCK = "/v1/storage-access-services/cloud/block"


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    subprocess.run([FIXTURE / "install", INSTALLED], check=True)
    with server(FIXTURE, tmp_path_factory.mktemp("azurite") / "run", INSTALLED) as env:
        yield env


@pytest.fixture
def party(tmp_path, azurite):
    """A backend with an AZURE service that has a lever, and a device."""
    b = Backend(tmp_path / "data", "--allowed-endpoint-networks", "127.0.0.0/8").start()
    account, key, url = azurite["AZURITE_ACCOUNT"], azurite["AZURITE_KEY"], azurite["AZURITE_HTTP"]
    container = "lever-" + tmp_path.name.replace("_", "-").lower()[-40:].strip("-")
    b.service = {"type": "AZURE", "name": "cloud", "endpoint": url, "container": container, "storedAccessPolicy": "fleet",
                 "connectionString": f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key}"}
    b.ok("POST", "/v1/storage-access-services", b.service)
    b.agent_1 = b.agent("cam-1", b.make_device("cam-1"))
    b.agent_1.begin()
    yield b
    b.agent_1.close()
    b.stop()


def put(grant):
    headers = {h["name"]: h["value"] for h in grant["headers"]} if isinstance(grant["headers"], list) else grant["headers"]
    return requests.put(grant["URL"], data=b"x", headers=headers, timeout=10).status_code


def granted(b, name):
    answer = b.agent_1.token(name, "cloud")
    assert answer["status"] == "ok", answer
    return answer


def test_what_was_granted_is_dead_for_good_and_what_is_granted_after_the_block_is_good(party):
    used, unused, get = granted(party, "used"), granted(party, "unused"), None
    assert put(used) == 201
    get = party.agent_1.token("used", "cloud", operation="get", accept=["report/1"])
    assert requests.get(get["URL"], timeout=10).status_code == 200

    told = party.ok("POST", BLOCK + "?vendor=true")
    assert told["blocked"] and told["vendor"]["pulled"] and told["vendor"]["lever"] == "azure-stored-access-policy", told
    assert told["vendor"]["takesSeconds"] == 30 and "all devices" in told["vendor"]["reach"]
    assert put(unused) == 403 and put(used) == 403
    assert requests.get(get["URL"], timeout=10).status_code == 403
    assert "blocked" in str(party.agent_1.token("more", "cloud"))

    party.ok("POST", "/v1/storage-access-services/cloud/unblock")
    assert put(granted(party, "after")) == 201
    assert put(unused) == 403  # for good
    party.stop()
    party.start()
    assert put(unused) == 403
    actions = [r["action"] for r in party.ok("GET", AUDITED)["records"]]
    assert actions.count("service.end-grants") == 1


def test_a_drill_and_a_block_without_it_tell_what_it_would_reach_and_end_nothing(party):
    grant = granted(party, "a")
    told = party.ok("POST", BLOCK + "?drill=true&vendor=true")
    assert told["vendor"]["pulled"] is False and "error" not in told["vendor"] and told["vendor"]["reach"]
    told = party.ok("POST", BLOCK)
    assert told["vendor"]["pulled"] is False
    assert put(grant) == 201


def test_a_service_without_a_lever_is_blocked_and_the_answer_says_that_nothing_ended(party):
    party.ok("POST", "/v1/storage-access-services", {**LOCAL, "name": "own"})
    told = party.ok("POST", "/v1/storage-access-services/own/block?vendor=true")
    assert told["blocked"] and told["vendor"]["pulled"] is False
    assert told["vendor"]["error"]["code"] == "unsupported"


def test_it_takes_the_role_admin_and_is_there_for_services_only(party):
    key = party.ok("POST", "/v1/api-keys", {"name": "k", "role": "operator"})["key"]
    as_operator = {"Authorization": "Bearer " + key}
    assert party.rest("POST", BLOCK + "?vendor=true", headers=as_operator).status_code == 403
    assert party.ok("GET", "/v1/blocks")["blocks"] == []
    assert party.rest("POST", BLOCK + "?vendor=true&drill=true", headers=as_operator).status_code == 200
    assert party.rest("POST", "/v1/devices/cam-1/block?vendor=true").status_code == 400
    assert party.rest("POST", BLOCK + "?vendor=maybe").json()["error"]["field"] == "vendor"


def test_a_storage_that_cannot_be_reached_leaves_the_block_and_an_error(party, azurite):
    granted(party, "a")
    elsewhere = {**party.service, "endpoint": "http://127.0.0.1:1"}
    party.ok("PUT", "/v1/storage-access-services/cloud", elsewhere)
    told = party.ok("POST", BLOCK + "?vendor=true")
    assert told["blocked"] and told["vendor"]["pulled"] is False and told["vendor"]["error"]["code"] == "unavailable"
    ctl = subprocess.run([BIN / "evpctl", "service", "block", "cloud", "--vendor"], capture_output=True, text=True, timeout=60,
                         env={"EVP_SERVER": party.url, "EVP_TOKEN_FILE": str(party.data / "admin.token"), "PATH": "/usr/bin:/bin"})
    assert '"pulled"' in ctl.stdout and "unavailable" in ctl.stdout, ctl
