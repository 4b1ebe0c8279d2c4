#!/usr/bin/python3
"""Proves the doubles: each must accept what the vendor's own SDK signed (../vectors), and nothing that was changed since."""
import json
import pathlib
import subprocess
import sys
import urllib.parse
from calendar import timegm
from time import strptime

import vendors
from qiniu import Qiniu
from storage_double import Refused, Request, encode, decode

VECTORS = pathlib.Path(__file__).parent.parent / "vectors"
KINDS = {"gcs": vendors.Gcp, "oss": vendors.Oss, "cos": vendors.Cos, "obs": vendors.Obs, "tos": vendors.Tos, "bos": vendors.Bos}
METHODS = {"get": "GET", "head": "HEAD", "delete": "DELETE"}


def vendor_for(kind, file, token):
    v = KINDS[kind](file["access_key"], file["secret_key"], token)
    v.region = file.get("region", getattr(v, "region", ""))
    if kind == "gcs":
        v.id, v.region = file["principal"], "auto"
        text = subprocess.run(["openssl", "rsa", "-pubin", "-noout", "-modulus"], input=file["public_key"].encode(), check=True,
                              stdout=subprocess.PIPE).stdout
        v.with_rsa(int(text.decode().strip().partition("=")[2], 16))
    bucket = file["bucket"]  # the SDKs put it into the host; where it is signed, it stands before the path
    if kind in ("oss", "obs"):
        v.canonical_path = lambda r: "/" + bucket + encode(decode(r.path), "/")
    return v


def request_of(case, file):
    i, url = case["input"], case["url"]
    host, _, rest = url.partition("://")[2].partition("/")
    fields = dict(i.get("headers", {}))
    for name, field in (("contentType", "Content-Type"), ("contentMD5", "Content-MD5")):
        if name in i:
            fields[field] = i[name]
    fields["Host"] = host
    return Request(case.get("method", METHODS.get(i["op"], "PUT")), "/" + rest, fields.items(), b"")


def accepts(vendor, request, now):
    try:
        vendor.verify(request, now)
        return True
    except Refused:
        return False


def main():
    for kind in KINDS:
        file = json.loads((VECTORS / (kind + ".json")).read_text())
        now = timegm(strptime(file["sdk_frozen_clock_utc"], "%Y-%m-%dT%H:%M:%SZ"))
        made = {}
        for case in file["cases"]:
            token = case["input"].get("token")
            if token not in made:
                made[token] = vendor_for(kind, file, token)
            vendor = made[token]
            vendor.own_fields = {f.lower() for f in case["input"].get("headers", {})}
            request = request_of(case, file)
            changed = request_of(case, file)
            changed.path += "x"
            other = request_of(case, file)
            other.method = "POST"
            early = now - (kind == "cos")  # that SDK begins, and so ends, a second early
            late = now + case["input"]["expires"] + 1
            if not accepts(vendor, request, early):
                sys.exit("%s: refuses what the SDK signed: %s" % (kind, json.dumps(case)))
            if accepts(vendor, changed, early) or accepts(vendor, other, early) or accepts(vendor, request, late):
                sys.exit("%s: accepts what was changed or is late: %s" % (kind, json.dumps(case)))
        print("%s: the double agrees with the SDK on %d cases" % (kind, len(file["cases"])))

    file = json.loads((VECTORS / "qiniu.json").read_text())
    now = timegm(strptime(file["sdk_frozen_clock_utc"], "%Y-%m-%dT%H:%M:%SZ"))
    vendor = Qiniu(file["access_key"], file["secret_key"])
    tokens = [c for c in file["cases"] if c["input"]["op"] == "put"]
    for case in tokens:
        policy = vendor.policy_of(case["url"], now)
        if policy["scope"] != file["bucket"] + ":" + case["input"]["key"]:
            sys.exit("qiniu: another object: %s" % json.dumps(case))
        for token, when in ((case["url"].replace("=", "-", 1), now), (case["url"], now + case["input"]["expires"])):
            try:
                vendor.policy_of(token, when)
            except Refused:
                continue
            sys.exit("qiniu: accepts what was changed or is late: %s" % json.dumps(case))
    print("qiniu: the double agrees with the SDK on %d tokens" % len(tokens))


if __name__ == "__main__":
    main()
