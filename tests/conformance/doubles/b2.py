"""Backblaze B2's native API in memory, by https://www.backblaze.com/apidocs and with nothing of OpenEVP's.

Stricter than the real service: an unknown call, field of a call, X-Bz- field or parameter is refused, and so are names that are
not encoded by the one rule. An upload URL takes one upload at a time.
"""
import base64
import hashlib
import hmac
import json
import re
import secrets
import threading

from storage_double import Refused, decode, encode

DAY = 24 * 3600
PART_MIN = 5_000_000
UPLOAD_MAX = 5_000_000_000
# Names of the fields that a call must have, and of those that it may have.
CALLS = {
    "b2_list_buckets": ({"accountId"}, {"bucketName"}),
    "b2_create_bucket": ({"accountId", "bucketName", "bucketType"}, {"lifecycleRules"}),
    "b2_get_upload_url": ({"bucketId"}, set()),
    "b2_get_download_authorization": ({"bucketId", "fileNamePrefix", "validDurationInSeconds"}, set()),
    "b2_list_file_versions": ({"bucketId"}, {"prefix", "startFileName", "maxFileCount"}),
    "b2_delete_file_version": ({"fileName", "fileId"}, set()),
    "b2_start_large_file": ({"bucketId", "fileName", "contentType"}, {"fileInfo"}),
    "b2_get_upload_part_url": ({"fileId"}, set()),
    "b2_list_parts": ({"fileId"}, {"startPartNumber", "maxPartCount"}),
    "b2_finish_large_file": ({"fileId", "partSha1Array"}, set()),
    "b2_cancel_large_file": ({"fileId"}, set()),
}
FORBIDDEN = {"content-disposition", "content-encoding", "content-language", "content-location", "content-range", "expires"}


def check_name(name):
    """https://www.backblaze.com/docs/cloud-storage-files"""
    bad = not name or len(name.encode("utf-8", "surrogateescape")) > 1024 or re.search(r"[\x00-\x1f\x7f\\]|//", name)
    if bad or name.startswith("/") or name.endswith("/") or any(len(s.encode()) > 250 for s in name.split("/")):
        raise Refused(400, "bad_request")


class B2:
    def __init__(self, id, key):
        self.id, self.key, self.account = id, key, secrets.token_hex(6)
        self.lock = threading.Lock()
        self.tokens = {}  # account token -> dies
        self.downloads = {}  # token -> (bucket id, prefix, dies)
        self.places = {}  # path of an upload URL -> {token, dies, busy, bucket or upload}
        self.buckets = {}  # id -> {name, files: {name: [version, newest first]}}
        self.uploads = {}  # file id -> {bucket, name, type, info, parts}

    def error_body(self, code):
        return json.dumps({"status": 0, "code": code, "message": "refused"}).encode()

    def handle(self, request, now):
        if request.has_query:
            raise Refused(400, "bad_request")
        origin = "http://" + (request.field("host") or "")
        if request.path == "/b2api/v3/b2_authorize_account" and request.method == "GET":
            return self.answer(self.authorize(request, origin, now))
        if request.path.startswith("/b2api/v3/"):
            with self.lock:
                return self.answer(self.call(request, request.path.rpartition("/")[2], origin, now))
        if request.path.startswith("/file/"):
            with self.lock:
                return self.download(request, now)
        return self.upload(request, now)

    @staticmethod
    def answer(said):
        return 200, [("Content-Type", "application/json")], json.dumps(said).encode()

    def authorize(self, request, origin, now):
        want = "Basic " + base64.b64encode(("%s:%s" % (self.id, self.key)).encode()).decode()
        if not hmac.compare_digest(want, request.field("authorization") or ""):
            raise Refused(401, "bad_auth_token")
        token = "4_%s_%s_acct" % (self.id, secrets.token_urlsafe(24))
        self.tokens[token] = now + DAY
        api = {"apiUrl": origin, "downloadUrl": origin, "bucketId": None, "bucketName": None, "namePrefix": None,
               "absoluteMinimumPartSize": PART_MIN, "recommendedPartSize": 100_000_000, "infoType": "storageApi",
               "capabilities": ["listBuckets", "listFiles", "readFiles", "shareFiles", "writeBuckets", "writeFiles", "deleteFiles"]}
        return {"accountId": self.account, "authorizationToken": token, "applicationKeyExpirationTimestamp": None,
                "apiInfo": {"storageApi": api}}

    def check_account(self, token, now):
        if token not in self.tokens:
            raise Refused(401, "bad_auth_token")
        if now >= self.tokens[token]:
            raise Refused(401, "expired_auth_token")

    def call(self, request, name, origin, now):
        self.check_account(request.field("authorization"), now)
        if name not in CALLS or request.method != "POST" or request.field("content-type") != "application/json":
            raise Refused(400, "bad_request")
        try:
            body = json.loads(request.body)
        except ValueError:
            raise Refused(400, "bad_json")
        needed, allowed = CALLS[name]
        if not isinstance(body, dict) or needed - set(body) or set(body) - needed - allowed:
            raise Refused(400, "bad_request")
        if body.get("accountId", self.account) != self.account:
            raise Refused(401, "unauthorized")
        if "bucketId" in body and body["bucketId"] not in self.buckets:
            raise Refused(400, "bad_bucket_id")
        if "fileId" in body and name != "b2_delete_file_version" and body["fileId"] not in self.uploads:
            raise Refused(400, "bad_request")
        return getattr(self, name[3:])(body, origin, now)

    def list_buckets(self, body, origin, now):
        wanted = body.get("bucketName")
        return {"buckets": [{"bucketId": id, "bucketName": b["name"]} for id, b in self.buckets.items() if wanted in (None, b["name"])]}

    def create_bucket(self, body, origin, now):
        name = body["bucketName"]
        if body["bucketType"] != "allPrivate" or not re.fullmatch("[a-z0-9-]{6,63}", name) or name.startswith("b2-"):
            raise Refused(400, "bad_request")
        for rule in body.get("lifecycleRules", []):
            if set(rule) != {"fileNamePrefix", "daysFromUploadingToHiding", "daysFromHidingToDeleting"}:
                raise Refused(400, "bad_request")
        if any(b["name"] == name for b in self.buckets.values()):
            raise Refused(400, "duplicate_bucket_name")
        id = secrets.token_hex(12)
        self.buckets[id] = {"name": name, "files": {}}
        return {"bucketId": id, "bucketName": name}

    def place(self, path, origin, now, what):
        path = "/b2-pod/%s/%s" % (path, secrets.token_hex(8))
        token = "3_%s_upld" % secrets.token_urlsafe(24)
        self.places[path] = {"token": token, "dies": now + DAY, "busy": False, **what}
        return {"uploadUrl": origin + path, "authorizationToken": token, **{k + "Id": v for k, v in what.items()}}

    def get_upload_url(self, body, origin, now):
        return self.place("b2_upload_file", origin, now, {"bucket": body["bucketId"]})

    def get_upload_part_url(self, body, origin, now):
        return self.place("b2_upload_part", origin, now, {"file": body["fileId"]})

    def get_download_authorization(self, body, origin, now):
        life = body["validDurationInSeconds"]
        if not isinstance(life, int) or not 1 <= life <= 604800:
            raise Refused(400, "bad_request")
        token = "3_%s_dnld" % secrets.token_urlsafe(24)
        self.downloads[token] = (body["bucketId"], body["fileNamePrefix"], now + life)
        return {"bucketId": body["bucketId"], "fileNamePrefix": body["fileNamePrefix"], "authorizationToken": token}

    def list_file_versions(self, body, origin, now):
        files = self.buckets[body["bucketId"]]["files"]
        rows = [{"fileName": name, "fileId": v["id"], "action": "upload", "contentLength": len(v["data"])}
                for name in sorted(files) if name >= body.get("startFileName", "") and name.startswith(body.get("prefix", ""))
                for v in files[name]]
        return {"files": rows[:body.get("maxFileCount", 100)], "nextFileName": None}

    def delete_file_version(self, body, origin, now):
        for bucket in self.buckets.values():
            versions = bucket["files"].get(body["fileName"], [])
            for v in versions:
                if v["id"] == body["fileId"]:
                    versions.remove(v)
                    if not versions:
                        del bucket["files"][body["fileName"]]
                    return {"fileId": v["id"], "fileName": body["fileName"]}
        raise Refused(400, "file_not_present")

    def start_large_file(self, body, origin, now):
        check_name(body["fileName"])
        id = "4_z%s" % secrets.token_hex(16)
        self.uploads[id] = {"bucket": body["bucketId"], "name": body["fileName"], "parts": {}}
        return {"fileId": id, "fileName": body["fileName"]}

    def list_parts(self, body, origin, now):
        parts, start, most = self.uploads[body["fileId"]]["parts"], body.get("startPartNumber", 1), body.get("maxPartCount", 100)
        if not 1 <= most <= 1000:
            raise Refused(400, "bad_request")
        wanted = sorted(n for n in parts if n >= start)
        rows = [{"partNumber": n, "contentLength": len(parts[n][0]), "contentSha1": parts[n][1]} for n in wanted[:most]]
        return {"parts": rows, "nextPartNumber": wanted[most] if len(wanted) > most else None}

    def finish_large_file(self, body, origin, now):
        upload = self.uploads[body["fileId"]]
        parts = upload["parts"]
        sums = [parts[n][1].removeprefix("unverified:") for n in sorted(parts)]
        if not parts or sorted(parts) != list(range(1, len(parts) + 1)) or sums != body["partSha1Array"]:
            raise Refused(400, "bad_request")
        if any(len(parts[n][0]) < PART_MIN for n in range(1, len(parts))):
            raise Refused(400, "bad_request")
        data = b"".join(parts[n][0] for n in sorted(parts))
        self.store(upload["bucket"], upload["name"], data, "none", body["fileId"])
        del self.uploads[body["fileId"]]
        return {"fileId": body["fileId"], "contentLength": len(data), "contentSha1": "none"}

    def cancel_large_file(self, body, origin, now):
        del self.uploads[body["fileId"]]
        return {"fileId": body["fileId"]}

    def store(self, bucket, name, data, sha1, id):
        self.buckets[bucket]["files"].setdefault(name, []).insert(0, {"id": id, "data": data, "sha1": sha1})

    # ---- what devices send ----

    def upload(self, request, now):
        place = self.places.get(request.path)
        if place is None:
            raise Refused(404, "not_found")
        if request.method != "POST":
            raise Refused(405, "method_not_allowed")
        if not hmac.compare_digest(place["token"], request.field("authorization") or ""):
            raise Refused(401, "bad_auth_token")
        if now >= place["dies"]:
            raise Refused(401, "expired_auth_token")
        with self.lock:
            if place["busy"]:
                raise Refused(503, "service_unavailable")
            place["busy"] = True
        try:
            with self.lock:
                return self.answer(self.upload_file(request, place) if "bucket" in place else self.upload_part(request, place))
        finally:
            place["busy"] = False

    def checked_sha1(self, request, known):
        names = {n for n, _ in request.fields}
        unknown = [n for n in names if n.startswith("x-bz-") and n not in known and not n.startswith("x-bz-info-")]
        if names & FORBIDDEN or unknown or request.field("content-length") is None or len(request.body) > UPLOAD_MAX:
            raise Refused(400, "bad_request")
        told, is_sum = request.field("x-bz-content-sha1"), hashlib.sha1(request.body).hexdigest()
        if told == "do_not_verify":
            return "unverified:" + is_sum
        if told != is_sum:
            raise Refused(400, "bad_request")
        return is_sum

    def upload_file(self, request, place):
        sha1 = self.checked_sha1(request, {"x-bz-file-name", "x-bz-content-sha1"})
        sent = request.field("x-bz-file-name") or ""
        name = decode(sent)
        if encode(name, "/") != sent or not request.field("content-type"):
            raise Refused(400, "bad_request")
        check_name(name)
        id = "4_z%s" % secrets.token_hex(16)
        self.store(place["bucket"], name, request.body, sha1, id)
        return {"fileId": id, "fileName": name, "contentLength": len(request.body), "contentSha1": sha1}

    def upload_part(self, request, place):
        sha1 = self.checked_sha1(request, {"x-bz-part-number", "x-bz-content-sha1"})
        number = request.field("x-bz-part-number") or ""
        if not number.isdigit() or not 1 <= int(number) <= 10000 or place["file"] not in self.uploads:
            raise Refused(400, "bad_request")
        self.uploads[place["file"]]["parts"][int(number)] = (request.body, sha1)
        return {"fileId": place["file"], "partNumber": int(number), "contentLength": len(request.body), "contentSha1": sha1}

    def download(self, request, now):
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, "method_not_allowed")
        if encode(decode(request.path), "/") != request.path:
            raise Refused(400, "bad_request")
        bucket, _, name = decode(request.path)[len("/file/"):].partition("/")
        found = [id for id, b in self.buckets.items() if b["name"] == bucket]
        token = request.field("authorization")
        if token in self.downloads:
            of, prefix, dies = self.downloads[token]
            if now >= dies:
                raise Refused(401, "expired_auth_token")
            if found != [of] or not name.startswith(prefix):
                raise Refused(401, "unauthorized")
        else:
            self.check_account(token, now)
        versions = found and self.buckets[found[0]]["files"].get(name)
        if not versions:
            raise Refused(404, "not_found")
        return 200, [("X-Bz-File-Id", versions[0]["id"]), ("X-Bz-Content-Sha1", versions[0]["sha1"])], versions[0]["data"]
