"""How each vendor verifies a request: written from the vendors' documentation, independent of OpenEVP's signers.

check_vectors.py proves that these accept what the vendors' own SDKs sign.
"""
import base64
import calendar
import hashlib
import hmac
import json
import re
import time

from storage_double import JsonDocuments, Refused, Store, XmlDocuments, decode, encode, form_fields, is_rsa_signature

WEEK = 604800
AHEAD = 15 * 60  # how far a signature may begin in the future
PARTS = {"uploads", "uploadId", "partNumber"}
LISTING = {"max-keys", "prefix", "marker"}


def digest(function, key, text):
    key = key.encode() if isinstance(key, str) else key
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), function)


class Vendor:
    """What the vendors' doubles have in common. Buckets are in the path, as behind every IP address."""

    prefix = ""  # of the vendor's own fields
    own_fields = set()  # of those the ones that a PUT may have, beside <prefix>meta-*
    create_only = None  # (field, value, status, code)
    takes_parts, documents = True, XmlDocuments()
    missing_delete_is_404 = False
    json_errors = False
    path_prefix = ""

    def __init__(self, id, key, token=None):
        self.id, self.key, self.token, self.store = id, key, token, Store()

    def handle(self, request, now):
        self.check_form(request)
        self.verify(request, now)
        bucket, _, key = decode(request.path).removeprefix(self.path_prefix)[1:].partition("/")
        return self.store.handle(self, request, bucket, key)

    def check_form(self, request):
        if encode(decode(request.path), "/") != request.path:
            raise Refused(400, "InvalidURI")
        for name, _ in request.fields:
            known = name in self.own_fields or name.startswith(self.prefix + "meta-")
            if name.startswith(self.prefix) and not known:
                raise Refused(400, "InvalidArgument")

    def check_parameters(self, request, own):
        for name, _ in request.query:
            if name not in own | PARTS | LISTING | {self.documents.marker, self.documents.most}:
                raise Refused(400, "InvalidArgument")

    def check_put(self, request, exists):
        if self.create_only:
            field, value, status, code = self.create_only
            sent = request.field(field)
            if sent is not None and sent != value:
                raise Refused(400, "InvalidArgument")
            if sent == value and exists:
                raise Refused(status, code)

    def error_body(self, code):
        if self.json_errors:
            return json.dumps({self.json_errors: code, "Message": "refused"}).encode()
        return b"<?xml version='1.0'?><Error><Code>%s</Code><Message>refused</Message></Error>" % code.encode()


class V4(Vendor):
    """AWS's scheme under other names. https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""

    algorithm = seed = terminator = service = region = ""
    names = {}  # of the parameters
    more_parameters = set()

    def verify(self, request, now):
        n = self.names
        self.check_parameters(request, set(n.values()) | self.more_parameters)
        given = {k: request.parameter(v) for k, v in n.items()}
        if any(given[k] is None for k in ("algorithm", "credential", "date", "expires", "signature")):
            raise Refused(403, "AccessDenied")
        date, expires = given["date"], given["expires"]
        if given["algorithm"] != self.algorithm or not re.fullmatch(r"\d{8}T\d{6}Z", date) or not expires.isdigit():
            raise Refused(400, "AuthorizationQueryParametersError")
        scope = "%s/%s/%s/%s" % (date[:8], self.region, self.service, self.terminator)
        id, _, given_scope = given["credential"].partition("/")
        if id != self.id:
            raise Refused(403, "InvalidAccessKeyId")
        if given_scope != scope:
            raise Refused(403, "SignatureDoesNotMatch")
        if (given.get("token") or None) != self.token:
            raise Refused(403, "InvalidToken")
        begin = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
        if not 1 <= int(expires) <= WEEK:
            raise Refused(400, "AuthorizationQueryParametersError")
        if begin > now + AHEAD or now >= begin + int(expires):
            raise Refused(403, "AccessDenied")

        names = [s for s in (given["names"] or "").split(";") if s]
        if names != sorted(set(names)):
            raise Refused(403, "SignatureDoesNotMatch")
        signed = self.signed_fields(request, names)
        query = "&".join(sorted(self.canonical_pair(k, v) for k, v in request.query if k != n["signature"]))
        lines = [request.method, self.canonical_path(request), query]
        lines += ["%s:%s" % (k, re.sub(" +", " ", v)) for k, v in signed]
        payload = request.field(self.prefix + "content-sha256") or "UNSIGNED-PAYLOAD"
        canonical = "\n".join(lines + ["", ";".join(names), payload])
        hashed = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
        text = "\n".join([self.algorithm, date, scope, hashed])
        if not self.is_signature(text, scope, given["signature"]):
            raise Refused(403, "SignatureDoesNotMatch")
        if payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(request.body).hexdigest():
            raise Refused(400, "XContentSHA256Mismatch")

    def signed_fields(self, request, names):
        """Host and every field of the vendor's must be listed, and each listed one must be there."""
        if "host" not in names:
            raise Refused(403, "SignatureDoesNotMatch")
        for name, _ in request.fields:
            if (name.startswith(self.prefix) or name == "content-type") and name not in names:
                raise Refused(403, "AccessDenied")
        out = []
        for name in names:
            value = self.host(request) if name == "host" else request.field(name)
            if value is None:
                raise Refused(403, "SignatureDoesNotMatch")
            out.append((name, value))
        return out

    def host(self, request):
        return request.field("host")

    def canonical_path(self, request):
        return encode(decode(request.path), "/")

    def canonical_pair(self, name, value):
        return encode(name) + "=" + encode(value or "")

    def is_signature(self, text, scope, given):
        key = (self.seed + self.key).encode()
        for part in scope.split("/"):
            key = digest("sha256", key, part).digest()
        return hmac.compare_digest(digest("sha256", key, text).hexdigest(), given)


def v4_names(prefix, algorithm, names):
    plain = {"credential": "Credential", "date": "Date", "expires": "Expires", "token": "Security-Token", "signature": "Signature"}
    if prefix.islower():
        plain = {k: v.lower() for k, v in plain.items()}
    return {"algorithm": algorithm, "names": names, **{k: prefix + v for k, v in plain.items()}}


class Gcp(V4):
    """https://cloud.google.com/storage/docs/authentication/signatures, with an HMAC key or the public half of an RSA key."""

    algorithm, seed, terminator, service, region = "GOOG4-HMAC-SHA256", "GOOG4", "goog4_request", "storage", "auto"
    names = v4_names("X-Goog-", "X-Goog-Algorithm", "X-Goog-SignedHeaders")
    prefix = "x-goog-"
    own_fields = {"x-goog-content-length-range", "x-goog-if-generation-match", "x-goog-content-sha256", "x-goog-resumable"}
    create_only = ("x-goog-if-generation-match", "0", 412, "PreconditionFailed")
    missing_delete_is_404 = True
    modulus = None  # of an RSA key
    identity = None  # whose access tokens it takes, beside signatures

    def with_rsa(self, modulus, identity=None):
        self.modulus, self.identity, self.algorithm = modulus, identity, "GOOG4-RSA-SHA256"
        return self

    def handle(self, request, now):
        """https://cloud.google.com/storage/docs/performing-resumable-uploads. A session's URL needs no signature."""
        if self.identity and request.field("authorization") is not None:
            return self.with_token(request, now)
        session = request.parameter("upload_id")
        is_posted = request.method == "POST" and (request.field("content-type") or "").startswith("multipart/form-data")
        if session is None and request.field("x-goog-resumable") is None and not is_posted:
            return super().handle(request, now)
        bucket, _, key = decode(request.path)[1:].partition("/")
        if is_posted:
            with self.store.lock:
                return self.posted(request, self.store.bucket(bucket.rstrip("/")), bucket, now)
        self.check_form(request)
        with self.store.lock:
            sessions = self.store.__dict__.setdefault("sessions", {})
            if session is not None:
                if [n for n, _ in request.query] != ["upload_id"] or sessions.get(session, {}).get("at") != (bucket, key):
                    raise Refused(404, "NoSuchUpload")
                return self.on_session(request, sessions, session, now)
            self.verify(request, now)
            if request.method != "POST" or request.field("x-goog-resumable") != "start" or request.body:
                raise Refused(400, "InvalidArgument")
            objects = self.store.bucket(bucket)
            self.check_put(request, key in objects)
            self.store.counter += 1
            session = "AEnB2U-%d_%s" % (self.store.counter, hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest())
            sessions[session] = {"at": (bucket, key), "bytes": b"", "done": False, "dies": now + WEEK}
            where = "http://%s%s?upload_id=%s" % (request.field("host"), request.path, session)
            return 201, [("Location", where)], b""

    def with_token(self, request, now):
        self.check_form(request)
        bucket, _, key = decode(request.path)[1:].partition("/")
        if request.has_query or not key:
            raise Refused(400, "InvalidArgument")
        with self.store.lock:
            objects = self.store.bucket(bucket)
            self.identity.check_creation(request, bucket, key, key in objects, now)
            return self.store.put(self, request, objects, key)

    def posted(self, request, objects, bucket, now):
        """https://cloud.google.com/storage/docs/xml-api/post-object-forms, https://cloud.google.com/storage/docs/authentication/signatures#policy-document"""
        kind = re.fullmatch(r"multipart/form-data; boundary=([-0-9A-Za-z]{1,70})", request.field("content-type"))
        if not kind or request.has_query or request.field("content-length") is None:
            raise Refused(400, "InvalidPolicyDocument")
        values = form_fields(request.body, kind[1].encode())
        data = values.pop("file", None)
        sent = {k: v.decode("utf-8", "surrogateescape") for k, v in values.items()}
        scope = "%s/%s/%s/%s" % (sent.get("x-goog-date", "")[:8], self.region, self.service, self.terminator)
        if data is None or sent.get("x-goog-algorithm") != self.algorithm or sent.get("x-goog-credential") != self.id + "/" + scope:
            raise Refused(403, "AccessDenied")
        if not self.is_signature(sent.get("policy", ""), scope, sent.get("x-goog-signature", "")):
            raise Refused(403, "SignatureDoesNotMatch")
        policy = json.loads(base64.b64decode(sent["policy"], validate=True))
        if set(policy) != {"conditions", "expiration"}:
            raise Refused(400, "InvalidPolicyDocument")
        if now >= calendar.timegm(time.strptime(policy["expiration"], "%Y-%m-%dT%H:%M:%SZ")):
            raise Refused(400, "ExpiredToken")
        sent["bucket"], named = bucket, set()
        for c in policy["conditions"]:
            if isinstance(c, dict):
                c = ["eq", "$" + next(iter(c)), next(iter(c.values()))]
            if c[0] == "content-length-range":
                if not int(c[1]) <= len(data) <= int(c[2]):
                    raise Refused(400, "EntityTooLarge")
                continue
            value = sent.get(c[1][1:])
            named.add(c[1][1:])
            if value is None or not (value == c[2] if c[0] == "eq" else c[0] == "starts-with" and value.startswith(c[2])):
                raise Refused(403, "AccessDenied")
        if set(sent) - named - {"policy", "x-goog-signature"} or not {"key", "bucket"} <= named:
            raise Refused(403, "AccessDenied")
        objects[sent["key"]] = (data, '"%s"' % hashlib.md5(data).hexdigest())
        return 204, [], b""

    def on_session(self, request, sessions, id, now):
        s = sessions[id]
        if now >= s["dies"]:
            raise Refused(410, "Gone")
        if request.method == "DELETE":
            del sessions[id]
            return 499, [], b""
        bounds = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)", request.field("content-range") or "")
        if request.method != "PUT" or not bounds or request.field("content-length") is None:
            raise Refused(400, "InvalidArgument")
        total = int(bounds[3])
        if bounds[1] is None and request.body:
            raise Refused(400, "InvalidArgument")
        if bounds[1] is not None and not s["done"]:
            first, last = int(bounds[1]), int(bounds[2])
            if len(request.body) != last - first + 1 or last >= total or (last + 1 != total and len(request.body) % (256 << 10)):
                raise Refused(400, "InvalidArgument")
            if first > len(s["bytes"]):
                raise Refused(400, "InvalidRange")  # the real one answers 503, which a client would repeat for ever
            s["bytes"] += request.body[len(s["bytes"]) - first:]
        if len(s["bytes"]) == total and not s["done"]:
            bucket, key = s["at"]
            self.store.bucket(bucket)[key] = (s["bytes"], '"%s"' % hashlib.md5(s["bytes"]).hexdigest())
            s["done"] = True
        if s["done"]:
            return 200, [], b""
        return 308, [("Range", "bytes=0-%d" % (len(s["bytes"]) - 1))] if s["bytes"] else [], b""

    def host(self, request):
        return re.sub(r":\d+$", "", request.field("host") or "")

    def is_signature(self, text, scope, given):
        if self.modulus is None:
            return super().is_signature(text, scope, given)
        return re.fullmatch("([0-9a-f]{2})+", given) and is_rsa_signature(self.modulus, text, bytes.fromhex(given))

    def check_put(self, request, exists):
        bounds = request.field("x-goog-content-length-range")
        if bounds is not None:
            if not re.fullmatch(r"\d+,\d+", bounds):
                raise Refused(400, "InvalidArgument")
            least, most = map(int, bounds.split(","))
            if not least <= len(request.body) <= most:
                raise Refused(400, "EntityTooLarge" if len(request.body) > most else "EntityTooSmall")
        super().check_put(request, exists)


class Tos(V4):
    """https://www.volcengine.com/docs/6349/74839"""

    algorithm, terminator, service, region = "TOS4-HMAC-SHA256", "request", "tos", "cn-beijing"
    names = v4_names("X-Tos-", "X-Tos-Algorithm", "X-Tos-SignedHeaders")
    prefix, own_fields = "x-tos-", {"x-tos-forbid-overwrite", "x-tos-content-sha256"}
    create_only = ("x-tos-forbid-overwrite", "true", 409, "ObjectAlreadyExists")
    json_errors = "Code"
    # https://docs.byteplus.com/en/docs/tos/reference-completemultipartupload  .../reference-listparts
    documents = JsonDocuments("UploadId", "Parts", "PartNumber", "Size", "ETag", "IsTruncated", "part-number-marker", "max-parts")
    more_parameters = {"X-Tos-Content-Sha256"}  # the SDK's way to say that the payload is not signed


class Oss(V4):
    """https://www.alibabacloud.com/help/en/oss/developer-reference/add-signatures-to-urls"""

    algorithm, seed, terminator, service, region = "OSS4-HMAC-SHA256", "aliyun_v4", "aliyun_v4_request", "oss", "eu-central-1"
    names = v4_names("x-oss-", "x-oss-signature-version", "x-oss-additional-headers")
    prefix, own_fields = "x-oss-", {"x-oss-forbid-overwrite"}
    create_only = ("x-oss-forbid-overwrite", "true", 409, "FileAlreadyExists")

    def signed_fields(self, request, names):
        """Content-Type, Content-MD5 and the vendor's own are signed unasked, others where they are listed."""
        def unasked(name):
            return name in ("content-type", "content-md5") or name.startswith(self.prefix)
        if any(unasked(name) or request.field(name) is None for name in names):
            raise Refused(403, "SignatureDoesNotMatch")
        return sorted((name, value) for name, value in request.fields if unasked(name) or name in names)

    def canonical_pair(self, name, value):
        return encode(name) + ("=" + encode(value) if value else "")


class Cos(Vendor):
    """https://www.tencentcloud.com/document/product/436/7778"""

    prefix, own_fields = "x-cos-", {"x-cos-forbid-overwrite"}
    create_only = ("x-cos-forbid-overwrite", "true", 409, "FileAlreadyExists")
    own = ("q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature")

    def verify(self, request, now):
        self.check_parameters(request, set(self.own) | {"x-cos-security-token"})
        given = {name: request.parameter(name) for name in self.own}
        if any(v is None and not request.has(k) for k, v in given.items()) or given["q-sign-algorithm"] != "sha1":
            raise Refused(403, "AccessDenied")
        if given["q-ak"] != self.id:
            raise Refused(403, "InvalidAccessKeyId")
        if request.parameter("x-cos-security-token") != self.token:
            raise Refused(403, "InvalidToken")
        period = given["q-sign-time"]
        if not re.fullmatch(r"\d+;\d+", period) or given["q-key-time"] != period:
            raise Refused(403, "SignatureDoesNotMatch")
        begin, end = map(int, period.split(";"))
        if begin > now + AHEAD or now >= end:
            raise Refused(403, "AccessDenied")
        fields, names = {}, (given["q-header-list"] or "").split(";")
        for name, value in request.fields:
            fields[encode(name).lower()] = value
        # Stricter than COS, which lets any of these be added unsigned.
        if "host" not in names or any((f.startswith("x-cos-") or f == "content-type") and f not in names for f in fields):
            raise Refused(403, "AccessDenied")
        parameters = {encode(k).lower(): v or "" for k, v in request.query if k not in self.own and k != "x-cos-security-token"}
        listed = [s for s in (given["q-url-param-list"] or "").split(";") if s]
        if names != sorted(names) or listed != sorted(parameters) or any(s not in fields for s in names):
            raise Refused(403, "SignatureDoesNotMatch")
        def pairs(keys, values):
            return "&".join("%s=%s" % (k, encode(values[k])) for k in keys)
        what = "\n".join([request.method.lower(), self.signed_path(request), pairs(listed, parameters), pairs(names, fields), ""])
        text = "sha1\n%s\n%s\n" % (period, hashlib.sha1(what.encode("utf-8", "surrogateescape")).hexdigest())
        key = digest("sha1", self.key, period).hexdigest()
        if not hmac.compare_digest(digest("sha1", key, text).hexdigest(), given["q-signature"] or ""):
            raise Refused(403, "SignatureDoesNotMatch")

    def signed_path(self, request):
        return decode(request.path)


class Obs(Vendor):
    """https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0011.html"""

    prefix = "x-obs-"
    sub_resources = {"uploads", "uploadId", "partNumber", "x-obs-security-token"}

    def verify(self, request, now):
        self.check_parameters(request, {"AccessKeyId", "Expires", "Signature", "x-obs-security-token"})
        expires = request.parameter("Expires") or ""
        if request.parameter("AccessKeyId") != self.id:
            raise Refused(403, "InvalidAccessKeyId")
        if request.parameter("x-obs-security-token") != self.token:
            raise Refused(403, "InvalidToken")
        if not expires.isdigit() or now >= int(expires):
            raise Refused(403, "AccessDenied")
        lines = [request.method, request.field("content-md5") or "", request.field("content-type") or "", expires]
        lines += ["%s:%s" % f for f in sorted(request.fields) if f[0].startswith(self.prefix)]
        chosen = sorted((k, v) for k, v in request.query if k in self.sub_resources)
        resource = self.canonical_path(request)
        if chosen:
            resource += "?" + "&".join(k + ("=" + v if v else "") for k, v in chosen)
        want = base64.b64encode(digest("sha1", self.key, "\n".join(lines + [resource])).digest()).decode()
        if not hmac.compare_digest(want, request.parameter("Signature") or ""):
            raise Refused(403, "SignatureDoesNotMatch")

    def canonical_path(self, request):
        return encode(decode(request.path), "/")


class Bos(Vendor):
    """https://cloud.baidu.com/doc/Reference/s/njwvz1yfu"""

    prefix, json_errors = "x-bce-", "code"
    # https://intl.cloud.baidu.com/en/doc/BOS/s/Xkc5w5jmm-intl-en (ListParts)  .../Nkc5vzayc-en (CompleteMultipartUpload)
    documents = JsonDocuments("uploadId", "parts", "partNumber", "size", "eTag", "isTruncated", "partNumberMarker", "maxParts")

    def verify(self, request, now):
        self.check_parameters(request, {"authorization", "x-bce-security-token"})
        parts = (request.parameter("authorization") or "").split("/")
        if len(parts) != 6 or parts[0] != "bce-auth-v1":
            raise Refused(403, "AccessDenied")
        _, id, date, expires, names, signature = parts
        if id != self.id:
            raise Refused(403, "InvalidAccessKeyId")
        if (request.parameter("x-bce-security-token") or None) != self.token:
            raise Refused(403, "InvalidToken")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", date) or not expires.isdigit():
            raise Refused(403, "SignatureDoesNotMatch")
        begin = calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%SZ"))
        if begin > now + AHEAD or now >= begin + int(expires):
            raise Refused(403, "AccessDenied")
        names = names.split(";")
        # Stricter than BOS, where an unlisted Content-Type may be added.
        for name, _ in request.fields:
            if (name.startswith(self.prefix) or name == "content-type") and name not in names:
                raise Refused(403, "AccessDenied")
        if "host" not in names or any(request.field(n) is None for n in names):
            raise Refused(403, "SignatureDoesNotMatch")
        query = "&".join(sorted(encode(k) + "=" + encode(v or "") for k, v in request.query if k != "authorization"))
        fields = "\n".join(sorted(encode(n) + ":" + encode(request.field(n)) for n in names))
        canonical = "\n".join([request.method, encode(decode(request.path), "/"), query, fields])
        key = digest("sha256", self.key, "/".join(parts[:4])).hexdigest()
        if not hmac.compare_digest(digest("sha256", key, canonical).hexdigest(), signature):
            raise Refused(403, "SignatureDoesNotMatch")
