"""Oracle Cloud's object storage API in memory, by https://docs.oracle.com/en-us/iaas/api/#/en/objectstorage/20160918/ and
https://docs.oracle.com/en-us/iaas/Content/API/Concepts/signingrequests.htm, with nothing of OpenEVP's.

Stricter than the real service: an unknown field of a call, an unknown opc- field, a query parameter beyond the known ones, and names
that are not encoded by the one rule are refused.
"""
import base64
import calendar
import hashlib
import json
import re
import secrets
import threading
import time

from storage_double import Refused, decode, encode, is_rsa_signature

SKEW = 5 * 60
NAMESPACE = "axtestnamespace"
ACCESS = {"ObjectRead": {"GET", "HEAD"}, "ObjectWrite": {"PUT"}, "AnyObjectWrite": {"PUT"}, "AnyObjectRead": {"GET", "HEAD"}}


class Oci:
    def __init__(self, key_id, modulus):
        self.key_id, self.modulus = key_id, modulus
        self.lock = threading.Lock()
        self.buckets = {}  # name -> {objects, pars: {id: {token, name, access, dies}}, uploads: {id: {name, parts}}}

    def error_body(self, code):
        return json.dumps({"code": code, "message": "refused"}).encode()

    def handle(self, request, now):
        if encode(decode(request.path), "/") != request.path:
            raise Refused(400, "InvalidParameter")
        for name, _ in request.fields:
            if name.startswith("opc-") and not name.startswith("opc-meta-") and name != "opc-multipart":
                raise Refused(400, "InvalidParameter")
        with self.lock:
            if request.path.startswith("/p/"):
                return self.with_par(request, now)
            self.verify(request, now)
            return self.call(request, now)

    def verify(self, request, now):
        """draft-cavage-http-signatures-08 as Oracle has it."""
        given = dict(re.findall(r'([a-zA-Z]+)="([^"]*)"', request.field("authorization") or ""))
        if not (request.field("authorization") or "").startswith("Signature ") or given.get("version") != "1":
            raise Refused(401, "NotAuthenticated")
        if given.get("keyId") != self.key_id or given.get("algorithm") != "rsa-sha256":
            raise Refused(401, "NotAuthenticated")
        names = given.get("headers", "").split(" ")
        is_object = re.fullmatch(r"/n/[^/]+/b/[^/]+/o/.+", request.path) and request.method == "PUT"
        needed = {"date", "(request-target)", "host"}
        if request.method in ("POST", "PUT") and not is_object:
            needed |= {"content-length", "content-type", "x-content-sha256"}
        if set(names) != needed or len(names) != len(needed):
            raise Refused(401, "NotAuthenticated")
        date = calendar.timegm(time.strptime(request.field("date"), "%a, %d %b %Y %H:%M:%S GMT"))
        if abs(date - now) > SKEW:
            raise Refused(401, "NotAuthenticated")
        target = request.method.lower() + " " + request.target
        lines = ["%s: %s" % (n, target if n == "(request-target)" else request.field(n)) for n in names]
        try:
            signature = base64.b64decode(given.get("signature", ""), validate=True)
        except ValueError:
            raise Refused(401, "NotAuthenticated")
        if not is_rsa_signature(self.modulus, "\n".join(lines), signature):
            raise Refused(401, "NotAuthenticated")
        if "x-content-sha256" in needed:
            want = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
            if request.field("x-content-sha256") != want or request.field("content-length") != str(len(request.body)):
                raise Refused(400, "InvalidParameter")

    def call(self, request, now):
        parts = decode(request.path).split("/", 6)  # "", n, namespace, b, bucket, kind, rest
        if parts[1] != "n" or parts[2] != NAMESPACE or parts[3:4] != ["b"]:
            raise Refused(404, "NamespaceNotFound")
        if len(parts) == 4:
            return self.create_bucket(request)
        bucket = self.buckets.get(parts[4])
        if bucket is None:
            raise Refused(404, "BucketNotFound")
        kind, rest = (parts + ["", ""])[5], (parts + ["", "", ""])[6]
        allowed = {"uploadId", "limit", "page"} if kind == "u" else set()
        if {n for n, _ in request.query} - allowed:
            raise Refused(400, "InvalidParameter")
        if kind == "" and request.method == "GET":
            return 200, [], json.dumps({"name": parts[4], "namespace": NAMESPACE}).encode()
        if kind == "o" and rest:
            return self.on_object(request, bucket, rest)
        if kind == "p":
            return self.on_pars(request, bucket, parts[4], rest, now)
        if kind == "u" and rest:
            return self.on_upload(request, bucket, rest)
        raise Refused(405, "MethodNotAllowed")

    @staticmethod
    def body_of(request, needed, allowed=frozenset()):
        try:
            body = json.loads(request.body)
        except ValueError:
            raise Refused(400, "InvalidParameter")
        if not isinstance(body, dict) or needed - set(body) or set(body) - needed - allowed:
            raise Refused(400, "InvalidParameter")
        return body

    def create_bucket(self, request):
        if request.method != "POST":
            raise Refused(405, "MethodNotAllowed")
        body = self.body_of(request, {"name", "compartmentId"}, {"publicAccessType"})
        if body["name"] in self.buckets:
            raise Refused(409, "BucketAlreadyExists")
        if body.get("publicAccessType") != "NoPublicAccess" or not body["compartmentId"].startswith("ocid1."):
            raise Refused(400, "InvalidParameter")
        self.buckets[body["name"]] = {"objects": {}, "pars": {}, "uploads": {}}
        return 200, [], json.dumps({"name": body["name"]}).encode()

    def on_object(self, request, bucket, name):
        objects = bucket["objects"]
        if request.method == "PUT":
            if request.field("content-length") is None:
                raise Refused(411, "MissingContentLength")
            etag = hashlib.md5(request.body).hexdigest()
            objects[name] = (request.body, etag)
            return 200, [("ETag", etag)], b""
        if name not in objects:
            raise Refused(404, "ObjectNotFound")
        if request.method == "DELETE":
            del objects[name]
            return 204, [], b""
        return 200, [("ETag", objects[name][1])], objects[name][0]

    def on_pars(self, request, bucket, bucket_name, id, now):
        if request.method == "DELETE":
            if bucket["pars"].pop(id, None) is None:
                raise Refused(404, "NotAuthorizedOrNotFound")
            return 204, [], b""
        if request.method != "POST" or id:
            raise Refused(405, "MethodNotAllowed")
        body = self.body_of(request, {"name", "accessType", "timeExpires"}, {"objectName"})
        access, name = body["accessType"], body.get("objectName")
        if access not in ACCESS or (not name and not access.startswith("Any")) or not re.fullmatch(r"[-\w.]+", body["name"]):
            raise Refused(400, "InvalidParameter")
        dies = calendar.timegm(time.strptime(body["timeExpires"], "%Y-%m-%dT%H:%M:%SZ"))
        if dies <= now:
            raise Refused(400, "InvalidParameter")
        id, token = "par+/" + secrets.token_urlsafe(12), secrets.token_urlsafe(32)
        bucket["pars"][id] = {"token": token, "name": name or "", "access": access, "dies": dies}
        uri = "/p/%s/n/%s/b/%s/o/" % (token, NAMESPACE, bucket_name) + ("" if access.startswith("Any") else encode(name, "/"))
        return 200, [], json.dumps({"id": id, "accessUri": uri, "objectName": name, "accessType": access}).encode()

    def on_upload(self, request, bucket, name):
        id = request.parameter("uploadId")
        upload = bucket["uploads"].get(id)
        if upload is None or upload["name"] != name:
            raise Refused(404, "NotAuthorizedOrNotFound")
        parts = upload["parts"]
        if request.method == "GET":
            start, most = int(request.parameter("page") or 0), int(request.parameter("limit") or 100)
            wanted = [n for n in sorted(parts) if n > start]
            rows = [{"partNumber": n, "size": len(parts[n]), "etag": hashlib.md5(parts[n]).hexdigest(), "md5": ""} for n in wanted[:most]]
            more = [("opc-next-page", str(rows[-1]["partNumber"]))] if len(wanted) > most else []
            return 200, more, json.dumps(rows).encode()
        if request.method == "DELETE":
            del bucket["uploads"][id]
            return 204, [], b""
        if request.method != "POST":
            raise Refused(405, "MethodNotAllowed")
        named = [(p["partNum"], p["etag"]) for p in self.body_of(request, {"partsToCommit"})["partsToCommit"]]
        if not named or [(n, hashlib.md5(parts.get(n, b"?")).hexdigest()) for n in sorted(parts)] != sorted(named):
            raise Refused(400, "InvalidUploadPart")
        data = b"".join(parts[n] for n in sorted(parts))
        bucket["objects"][name] = (data, hashlib.md5(data).hexdigest())
        del bucket["uploads"][id]
        return 200, [], b""

    # ---- what devices send ----

    def with_par(self, request, now):
        token, _, rest = decode(request.path)[3:].partition("/n/")
        space, _, rest = rest.partition("/b/")
        name, _, rest = rest.partition("/")
        bucket = self.buckets.get(name) if space == NAMESPACE else None
        par = [p for p in bucket["pars"].values() if p["token"] == token] if bucket else []
        if not par or now >= par[0]["dies"] or request.has_query or request.field("authorization"):
            raise Refused(404, "NotAuthorizedOrNotFound")
        par, kind, target = par[0], rest[:2], rest[2:]
        part = re.fullmatch(r"(.+)/id/([^/]+)/([0-9]+)", target, re.S) if kind == "u/" else None
        object = part[1] if part else target
        fits = object.startswith(par["name"]) if par["access"].startswith("Any") else object == par["name"]
        if not fits or request.method not in ACCESS[par["access"]] or kind not in ("o/", "u/") or (kind == "u/") != bool(part):
            raise Refused(404, "NotAuthorizedOrNotFound")
        if request.method == "PUT" and request.field("content-length") is None:
            raise Refused(411, "MissingContentLength")
        if part:
            upload = bucket["uploads"].get(part[2])
            if upload is None or upload["name"] != object or not 1 <= int(part[3]) <= 10000:
                raise Refused(404, "NotAuthorizedOrNotFound")
            upload["parts"][int(part[3])] = request.body
            return 200, [("ETag", hashlib.md5(request.body).hexdigest())], b""
        if request.field("opc-multipart") == "true":
            id = secrets.token_hex(16)
            bucket["uploads"][id] = {"name": object, "parts": {}}
            uri = "/p/%s/n/%s/b/%s/u/%s/id/%s/" % (token, space, name, encode(object, "/"), id)
            return 200, [], json.dumps({"uploadId": id, "object": object, "accessUri": uri}).encode()
        return self.on_object(request, bucket, object)
