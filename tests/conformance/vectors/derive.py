#!/usr/bin/python3
"""Derives s3.json and azure.json beside it: signed cases computed by this reference, apart from the product's signers.

Usage: derive.py [--check]    --check only compares with the files. Keys are made up.
"""
import base64
import hashlib
import hmac
import json
import pathlib
import sys
from urllib.parse import quote

HERE = pathlib.Path(__file__).parent
ACCESS, SECRET = "OPENEVPKEY", "not/a+real=secret"
ACCOUNT_KEY = base64.b64encode(b"openevp-vectors-openevp-vectors!").decode()


def enc(text):
    return quote(text, safe="-._~")


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


# https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
def presign(method, host, path, query, fields, when, expires):
    day = when[:8]
    scope = f"{day}/us-east-1/s3/aws4_request"
    fields = {"host": host, **{k.lower(): " ".join(v.split()) for k, v in fields.items()}}
    names = ";".join(sorted(fields))
    query = {**query, "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{ACCESS}/{scope}", "X-Amz-Date": when,
             "X-Amz-Expires": str(expires), "X-Amz-SignedHeaders": names}
    text = "&".join(f"{enc(k)}={enc(v)}" for k, v in sorted(query.items()))
    path = "/".join(enc(p) for p in path.split("/"))
    canonical = "\n".join([method, path, text, *(f"{k}:{fields[k]}" for k in sorted(fields)), "", names, "UNSIGNED-PAYLOAD"])
    key = ("AWS4" + SECRET).encode()
    for part in (day, "us-east-1", "s3", "aws4_request"):
        key = mac(key, part)
    to_sign = "\n".join(["AWS4-HMAC-SHA256", when, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    return f"{path}?{text}&X-Amz-Signature={mac(key, to_sign).hex()}"


def s3_cases():
    inputs = [
        {"op": "put", "key": "plain"},
        {"op": "get", "key": "a/b c+d.txt", "expires": 1},
        {"op": "put", "key": "\u00fc\u5199~*'()", "expires": 604800},
        {"op": "head", "key": "%41/a=b&c"},
        {"op": "delete", "key": "x"},
        {"op": "put", "key": "t", "contentType": "image/jpeg", "contentLength": 0},
        {"op": "put", "key": "m", "meta": {"fleet": "north  7", "a": "b"}},
        {"op": "get", "key": "s", "token": "a+b/c=="},
        {"op": "put", "key": "p", "pathStyle": True, "endpoint": "http://127.0.0.1:7480"},
        {"op": "create", "key": "big"},
        {"op": "part", "key": "big", "uploadId": "2~x+/=", "partNumber": 9},
        {"op": "complete", "key": "big", "uploadId": "2~x+/="},
    ]
    methods = {"get": "GET", "head": "HEAD", "delete": "DELETE", "create": "POST", "complete": "POST"}
    ids = {"put": "PutObject", "get": "GetObject", "head": "HeadObject", "delete": "DeleteObject", "part": "UploadPart"}
    cases = []
    for n, given in enumerate(inputs):
        given = {"id": f"own-{n}", "expires": 120, **given}
        scheme, host = given.get("endpoint", "https://s3.us-east-1.amazonaws.com").split("://")
        path = "/" + given["key"]
        if given.get("pathStyle"):
            path = "/ownbucket" + path
        else:
            host = "ownbucket." + host
        query = {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}
        if given["op"] in ids:
            query["x-id"] = ids[given["op"]]
        if given["op"] == "create":
            query["uploads"] = ""
        query.update({k: str(given[k]) for k in ("uploadId", "partNumber") if k in given})
        if "token" in given:
            query["X-Amz-Security-Token"] = given["token"]
        fields = {f"x-amz-meta-{k}": v for k, v in given.get("meta", {}).items()}
        if "contentType" in given:
            fields["content-type"] = given["contentType"]
        if "contentLength" in given:
            fields["content-length"] = str(given["contentLength"])
        method = methods.get(given["op"], "PUT")
        url = f"{scheme}://{host}" + presign(method, host, path, query, fields, "20260102T030405Z", given["expires"])
        cases.append({"input": given, "method": method, "url": url})
    return {"sdk_frozen_clock_utc": "2026-01-02T03:04:05Z", "access_key": ACCESS, "secret_key": SECRET, "bucket": "ownbucket",
            "cases": cases}


# https://learn.microsoft.com/rest/api/storageservices/create-service-sas
def azure_cases():
    base = {"container": "evp", "se": "2026-01-02T03:04:05Z"}
    given = []
    for version in ("2015-04-05", "2018-11-09", "2020-12-06", "2022-11-02"):
        given += [
            {"kind": "service", "version": version, "blob": "a/\u00fc b+%.jpg", "permissions": "cw", **base},
            {"kind": "service", "version": version, "permissions": "rl", "spr": "https", "sip": "1.2.3.4", **base},
            {"kind": "account", "version": version, "ss": "b", "srt": "c", "permissions": "c", "se": base["se"]},
        ]
    cases = []
    for c in given:
        get = c.get
        since = lambda version: c["version"] >= version  # noqa: E731
        if c["kind"] == "account":
            lines = ["ownaccount", c["permissions"], c["ss"], c["srt"], "", c["se"], "", "", c["version"]]
            lines += [""] if since("2020-12-06") else []
            lines += [""]
            query = {"sv": c["version"], "ss": c["ss"], "srt": c["srt"], "se": c["se"], "sp": c["permissions"]}
        else:
            kind = "b" if "blob" in c else "c"
            resource = "/blob/ownaccount/evp" + ("/" + c["blob"] if "blob" in c else "")
            lines = [c["permissions"], "", c["se"], resource, "", get("sip", ""), get("spr", ""), c["version"]]
            lines += [kind, ""] if since("2018-11-09") else []
            lines += [""] if since("2020-12-06") else []
            lines += [""] * 5
            query = {"sv": c["version"], "spr": get("spr"), "se": c["se"], "sip": get("sip"), "sr": kind, "sp": c["permissions"]}
        text = "\n".join(lines)
        query["sig"] = base64.b64encode(mac(base64.b64decode(ACCOUNT_KEY), text)).decode()
        c["string_to_sign"] = text
        c["query"] = "&".join(f"{k}={enc(v)}" for k, v in query.items() if v)
        cases.append(c)
    return {"account": "ownaccount", "account_key": ACCOUNT_KEY, "cases": cases}


def main():
    status = 0
    for name, made in (("s3.json", s3_cases()), ("azure.json", azure_cases())):
        text = json.dumps(made, indent=1) + "\n"
        if "--check" not in sys.argv:
            (HERE / name).write_text(text)
        elif (HERE / name).read_text() != text:
            print(f"{name} is not what derive.py makes", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
