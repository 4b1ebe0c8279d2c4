"""How Qiniu Kodo verifies requests: upload tokens in forms and in Authorization, management tokens, signed downloads.

Written from the vendor's documentation, independent of OpenEVP's signers; check_vectors.py proves that it accepts what the
vendor's own SDK signs.
"""
import base64
import hashlib
import hmac
import json
import re

from storage_double import Refused, check_body, decode, form_fields
from vendors import WEEK, Vendor, digest


class Qiniu(Vendor):
    """Uploads by form, management requests and a domain for downloads, all on one port.
    https://developer.qiniu.com/kodo/1208/upload-token  .../1201/access-token  .../1202/download-token"""

    json_errors = "error"

    def signature(self, text):
        return base64.urlsafe_b64encode(digest("sha1", self.key, text).digest()).decode()

    def handle(self, request, now):
        with self.store.lock:
            if request.path.startswith("/buckets/"):
                return self.parts(request, now)
            if request.method == "POST" and request.path == "/":
                return self.upload(request, now)
            if request.method == "POST":
                return self.manage(request)
            if request.method == "GET":
                return self.download(request, now)
        raise Refused(405, "method not allowed")

    def policy_of(self, token, now):
        id, signature, policy = (token.split(":") + ["", ""])[:3]
        if id != self.id or not hmac.compare_digest(self.signature(policy), signature):
            raise Refused(401, "bad token")
        policy = json.loads(base64.urlsafe_b64decode(policy))
        if set(policy) - {"scope", "deadline", "fsizeLimit", "fsizeMin", "insertOnly", "mimeLimit"}:
            raise Refused(400, "unknown policy field")
        if now >= policy["deadline"]:
            raise Refused(401, "expired token")
        return policy

    def upload(self, request, now):
        kind = re.fullmatch(r"multipart/form-data; boundary=([-0-9A-Za-z]{1,70})", request.field("content-type") or "")
        if not kind or request.field("content-length") is None:
            raise Refused(400, "not a form")
        if request.has_query:
            raise Refused(400, "unknown parameter")
        values = form_fields(request.body, kind[1].encode())
        if set(values) != {"key", "token", "file"}:
            raise Refused(400, "unknown form field")
        policy = self.policy_of(values["token"].decode("utf-8", "replace"), now)
        bucket, _, name = policy["scope"].partition(":")
        key, data = values["key"].decode(), values["file"]
        if name and key != name:
            raise Refused(403, "key doesn't match scope")
        if len(data) > policy.get("fsizeLimit", len(data)) or len(data) < policy.get("fsizeMin", 0):
            raise Refused(403, "file size out of range")
        objects = self.objects(bucket)
        if policy.get("insertOnly") and key in objects:
            raise Refused(614, "file exists")
        objects[key] = data
        return 200, [], json.dumps({"hash": "F" + hashlib.sha1(data).hexdigest(), "key": key}).encode()

    def parts(self, request, now):
        """https://developer.qiniu.com/kodo/6364/multipartupload-interface"""
        path = re.fullmatch(r"/buckets/([a-z0-9-]+)/objects/([-_A-Za-z0-9=]+)/uploads(?:/([0-9a-f]+)(?:/(\d{1,5}))?)?", request.path)
        if not path:
            raise Refused(400, "bad path")
        bucket, entry, upload, number = path.groups()
        key = base64.urlsafe_b64decode(entry).decode()
        scheme, _, token = (request.field("authorization") or "").partition(" ")
        if scheme != "UpToken" or self.policy_of(token, now)["scope"] != bucket + ":" + key:
            raise Refused(401, "bad token")
        if any(name not in ("part-number-marker", "max-parts") or request.method != "GET" for name, _ in request.query):
            raise Refused(400, "unknown parameter")
        uploads = self.store.uploads
        if upload is None:
            if request.method != "POST" or request.body:
                raise Refused(400, "bad method")
            self.store.counter += 1
            upload = "%024x" % self.store.counter
            uploads[upload] = (bucket, key, {})
            return 200, [], json.dumps({"uploadId": upload, "expireAt": int(now) + WEEK}).encode()
        if upload not in uploads or uploads[upload][:2] != (bucket, key):
            raise Refused(612, "no such uploadId")
        there = uploads[upload][2]
        if number is not None:
            if request.method != "PUT" or not 1 <= int(number) <= 10000 or request.field("content-type") != "application/octet-stream":
                raise Refused(400, "bad part")
            check_body(request)
            etag = "F" + hashlib.sha1(request.body).hexdigest()
            there[int(number)] = (request.body, etag)
            return 200, [], json.dumps({"etag": etag, "md5": hashlib.md5(request.body).hexdigest()}).encode()
        if request.method == "DELETE":
            del uploads[upload]
            return 200, [], b""
        if request.method == "GET":
            wanted = sorted(n for n in there if n > int(request.parameter("part-number-marker") or 0))
            page = wanted[:min(int(request.parameter("max-parts") or 1000), 1000)]
            rows = [{"size": len(there[n][0]), "etag": there[n][1], "partNumber": n, "putTime": int(now)} for n in page]
            return 200, [], json.dumps({"uploadId": upload, "expireAt": int(now) + WEEK, "parts": rows,
                                        "partNumberMarker": page[-1] if len(page) < len(wanted) else 0}).encode()
        if request.method != "POST" or request.field("content-type") != "application/json":
            raise Refused(400, "bad method")
        document = json.loads(request.body)
        named = [(p["partNumber"], p["etag"]) for p in document["parts"]]
        if set(document) - {"parts", "mimeType"} or not named or [n for n, _ in named] != sorted({n for n, _ in named}):
            raise Refused(400, "invalid parts")
        if any(n not in there or there[n][1] != etag for n, etag in named):
            raise Refused(400, "invalid part")
        if any(len(there[n][0]) < 1 << 20 for n, _ in named[:-1]):
            raise Refused(400, "part too small")
        self.objects(bucket)[key] = b"".join(there[n][0] for n, _ in named)
        del uploads[upload]
        return 200, [], json.dumps({"hash": "F" + hashlib.sha1(self.objects(bucket)[key]).hexdigest(), "key": key}).encode()

    def objects(self, bucket):
        return self.store.buckets.setdefault(bucket, {})  # a double has every bucket

    def manage(self, request):
        want = "QBox %s:%s" % (self.id, self.signature(request.path + "\n"))
        if not hmac.compare_digest(want, request.field("authorization") or "") or request.body or request.has_query:
            raise Refused(401, "bad token")
        _, verb, entry = request.path.split("/", 2)
        bucket, _, key = base64.urlsafe_b64decode(entry).decode().partition(":")
        objects = self.objects(bucket)
        if key not in objects:
            raise Refused(612, "no such file or directory")
        if verb == "stat":
            answer = {"fsize": len(objects[key]), "hash": "F" + hashlib.sha1(objects[key]).hexdigest()}
            return 200, [], json.dumps(answer).encode()
        if verb != "delete":
            raise Refused(400, "unknown verb")
        del objects[key]
        return 200, [], b""

    def download(self, request, now):
        if [name for name, _ in request.query] != ["e", "token"]:
            raise Refused(401, "bad token")
        expires, token = request.parameter("e") or "", request.parameter("token") or ""
        url = "http://%s%s?e=%s" % (request.field("host"), request.path, expires)
        if not hmac.compare_digest(self.id + ":" + self.signature(url), token) or not expires.isdigit() or now >= int(expires):
            raise Refused(401, "bad token")
        key = decode(request.path)[1:]
        found = [objects[key] for objects in self.store.buckets.values() if key in objects]
        if not found:
            raise Refused(404, "Document not found")
        return 200, [], found[0]
