"""S3 requests signed here (Signature Version 4), independent of the product: what tests do to a storage themselves."""
import datetime
import hashlib
import hmac
import urllib.parse

import requests


def call(rgw, method, path, query="", body=b"", key=None):
    """Sends the request to the RGW of the fixture's values, as (access key, secret) `key`, or as its owner."""
    access, secret = key or (rgw["RGW_ACCESS_KEY"], rgw["RGW_SECRET_KEY"])
    now = datetime.datetime.utcnow().strftime("%Y%m%dT%H%M%SZ")
    path = urllib.parse.quote(path, safe="/~")
    payload = hashlib.sha256(body).hexdigest()
    headers = {"host": urllib.parse.urlsplit(rgw["RGW_HTTP"]).netloc, "x-amz-content-sha256": payload, "x-amz-date": now}
    names = ";".join(headers)
    canonical = "\n".join([method, path, query, *[f"{k}:{v}" for k, v in headers.items()], "", names, payload])
    scope = f"{now[:8]}/us-east-1/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        signing = hmac.new(signing, part.encode(), "sha256").digest()
    signature = hmac.new(signing, text.encode(), "sha256").hexdigest()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return requests.request(method, rgw["RGW_HTTP"] + path + ("?" + query if query else ""), data=body, headers=headers, timeout=30)


def get(rgw, bucket, name):
    """The object's bytes."""
    answer = call(rgw, "GET", f"/{bucket}/{name}")
    assert answer.status_code == 200, answer.text
    return answer.content
