"""Uploads as evp-runtime does them, for tests that look at what the ledger tells of them."""

from raw_put import exchange

ACCEPT = ["certificate/1", "report/1"]


def grant(agent, name):
    token = agent.token(name, accept=ACCEPT, size="5")
    assert token["status"] == "ok", token
    return token


def upload(agent, name, reported="5"):
    """Puts five bytes and reports; another number than 5 makes the upload fail. The grant's id."""
    token = grant(agent, name)
    assert exchange("PUT", token["URL"], b"12345")[0] == 201
    agent.evp_d2c("transfer-report", {"grantId": token["grantId"], "result": "done", "httpStatus": 201, "bytes": reported})
    return token["grantId"]
