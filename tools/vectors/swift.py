#!/usr/bin/python3
"""OpenStack Swift: temporary URLs by python-swiftclient (Debian's python3-swiftclient), in the form of the other types.
Usage: swift.py < names, a JSON list (./names.js)"""
import calendar
import json
import sys
import time

import pkg_resources
from swiftclient.utils import generate_temp_url

CLOCK, KEY, CONTAINER = "2026-01-02T03:04:05Z", "openevp/fake+secret=not/a+real/key=00000", "/v1/AUTH_openevp/vectors/"
DIGESTS, METHODS, RANGES = ("sha1", "sha256", "sha512"), ("put", "get", "head"), ("192.0.2.7", "198.51.100.0/24", "2001:db8::/32")
now = calendar.timegm(time.strptime(CLOCK, "%Y-%m-%dT%H:%M:%SZ"))
cases = []
for i, name in enumerate(json.load(sys.stdin)):
    case = {"op": METHODS[i // 3 % 3], "key": name, "expires": 60 + i, "digest": DIGESTS[i % 3]}
    if i % 4 == 1:
        case["ipRange"] = RANGES[i % 3]
    if i % 4 == 3:
        case["prefix"] = True
    url = generate_temp_url(CONTAINER + name, str(now + case["expires"]), KEY, case["op"].upper(), absolute=True,
                            prefix=case.get("prefix", False), ip_range=case.get("ipRange"), digest=case["digest"])
    cases.append({"input": case, "url": url})
head = {"made_with": "python-swiftclient " + pkg_resources.get_distribution("python-swiftclient").version, "sdk_frozen_clock_utc": CLOCK,
        "secret_key": KEY, "container": CONTAINER}
compact = lambda what: json.dumps(what, ensure_ascii=False, separators=(",", ":"))
print(compact(head)[:-1] + ',"cases":[\n' + ",\n".join(map(compact, cases)) + "\n]}")
