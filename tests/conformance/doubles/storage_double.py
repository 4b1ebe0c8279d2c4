"""An object storage in memory that verifies every request: the part that all vendors' doubles share.

Each vendor (vendors.py) re-derives the signature from the raw request, by its documentation and with nothing of OpenEVP's.
Stricter than the real services: an unknown parameter, an unknown vendor's field or a path that is not encoded by the one rule
is refused, and so is a body without Content-Length.
"""
import base64
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse
import xml.etree.ElementTree as tree
from xml.sax.saxutils import escape

BODY_MAX = 64 << 20  # of one request


def form_fields(body, boundary):
    """The parts of a multipart/form-data body (RFC 7578), strictly."""
    mark = b"--" + boundary
    if not body.startswith(mark + b"\r\n") or not body.endswith(b"\r\n" + mark + b"--\r\n"):
        raise Refused(400, "malformed form")
    values = {}
    for part in body[len(mark) + 2:-(len(mark) + 6)].split(b"\r\n" + mark + b"\r\n"):
        head, blank, value = part.partition(b"\r\n\r\n")
        name = re.match(rb'Content-Disposition: form-data; name="([-A-Za-z]+)"', head)
        if not name or not blank or name[1].decode() in values:
            raise Refused(400, "malformed form")
        values[name[1].decode()] = value
    return values


class Refused(Exception):
    """Ends a request: a status and the vendor's name for the error."""

    def __init__(self, status, code):
        super().__init__(code)
        self.status, self.code = status, code


class Request:
    """A request as it came: path and query still encoded, fields in their order."""

    def __init__(self, method, target, fields, body):
        self.method, self.target, self.body = method, target, body
        self.path, _, query = target.partition("?")
        self.has_query = "?" in target
        self.query = []  # (name, value), decoded; value None where there is no '='
        for pair in query.split("&") if query else []:
            name, equals, value = pair.partition("=")
            self.query.append((decode(name), decode(value) if equals else None))
        self.fields = [(name.lower(), value.strip()) for name, value in fields]

    def field(self, name):
        values = [v for n, v in self.fields if n == name]
        if len(values) > 1:
            raise Refused(400, "InvalidArgument")
        return values[0] if values else None

    def parameter(self, name):
        values = [v for n, v in self.query if n == name]
        if len(values) > 1:
            raise Refused(400, "InvalidArgument")
        return values[0] if values else None

    def has(self, name):
        return any(n == name for n, _ in self.query)


def decode(text):
    """Bytes that are not UTF-8 stay apart from all others."""
    return urllib.parse.unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def encode(text, safe=""):
    """RFC 3986: everything but A-Z a-z 0-9 - . _ ~."""
    return urllib.parse.quote(text.encode("utf-8", "surrogateescape"), safe="-._~" + safe)


class Store:
    """Buckets of objects, uploads in parts, and what the vendors' fields demand of a PUT."""

    def __init__(self):
        self.lock = threading.Lock()
        self.buckets, self.uploads, self.counter = {}, {}, 0

    def bucket(self, name):
        if name not in self.buckets:
            raise Refused(404, "NoSuchBucket")
        return self.buckets[name]

    def handle(self, vendor, request, bucket, key):
        """(status, fields, body) for a request whose signature is right."""
        with self.lock:
            if key == "":
                return self.on_bucket(request, bucket)
            objects = self.bucket(bucket)
            if request.has("uploads") or request.has("uploadId"):
                return self.on_parts(vendor, request, objects, bucket, key)
            if request.method == "PUT":
                return self.put(vendor, request, objects, key)
            if request.method == "DELETE":
                if key not in objects:
                    raise Refused(404, "NoSuchKey") if vendor.missing_delete_is_404 else Gone()
                del objects[key]
                return 204, [], b""
            if request.method not in ("GET", "HEAD"):
                raise Refused(405, "MethodNotAllowed")
            if key not in objects:
                raise Refused(404, "NoSuchKey")
            data, etag = objects[key]
            return 200, [("ETag", etag)], data

    def on_bucket(self, request, bucket):
        if request.method == "PUT":
            if bucket in self.buckets:
                raise Refused(409, "BucketAlreadyOwnedByYou")
            self.buckets[bucket] = {}
            return 200, [], b""
        if request.method != "GET":
            raise Refused(405, "MethodNotAllowed")
        self.bucket(bucket)
        return 200, [], b"<ListBucketResult/>"

    def put(self, vendor, request, objects, key):
        check_body(request)
        vendor.check_put(request, key in objects)
        etag = '"%s"' % hashlib.md5(request.body).hexdigest()
        objects[key] = (request.body, etag)
        return 200, [("ETag", etag)], b""

    def on_parts(self, vendor, request, objects, bucket, key):
        if not vendor.takes_parts:
            raise Refused(501, "NotImplemented")
        if request.has("uploads") and request.method == "POST":
            vendor.check_put(request, key in objects)
            self.counter += 1
            upload = "up+load/%d=" % self.counter
            self.uploads[upload] = (bucket, key, {})
            return 200, [], vendor.documents.begun(bucket, key, upload)
        upload = request.parameter("uploadId")
        if upload not in self.uploads or self.uploads[upload][:2] != (bucket, key):
            raise Refused(404, "NoSuchUpload")
        parts = self.uploads[upload][2]
        if request.method == "PUT":
            number = request.parameter("partNumber") or ""
            if not number.isdigit() or not 1 <= int(number) <= 10000:
                raise Refused(400, "InvalidArgument")
            check_body(request)
            etag = '"%s"' % hashlib.md5(request.body).hexdigest()
            parts[int(number)] = (request.body, etag)
            return 200, [("ETag", etag)], b""
        if request.method == "GET":
            after = int(request.parameter(vendor.documents.marker) or 0)
            wanted = sorted(n for n in parts if n > after)
            most = min(int(request.parameter(vendor.documents.most) or 1000), 1000)
            rows = [(n, parts[n][1], len(parts[n][0])) for n in wanted[:most]]
            return 200, [], vendor.documents.listed(upload, rows, len(wanted) > most)
        if request.method == "DELETE":
            del self.uploads[upload]
            return 204, [], b""
        if request.method != "POST":
            raise Refused(405, "MethodNotAllowed")
        return self.commit(vendor, request, objects, key, upload, parts)

    def commit(self, vendor, request, objects, key, upload, parts):
        named = vendor.documents.named(request.body)
        if not named or [n for n, _ in named] != sorted({n for n, _ in named}):
            raise Refused(400, "InvalidPartOrder")
        if any(n not in parts or parts[n][1].strip('"') != (etag or "").strip('"') for n, etag in named):
            raise Refused(400, "InvalidPart")
        data = b"".join(parts[n][0] for n, _ in named)
        objects[key] = (data, '"%s-%d"' % (hashlib.md5(data).hexdigest(), len(named)))
        del self.uploads[upload]
        return 200, [], vendor.documents.done


class XmlDocuments:
    """Uploads in parts as S3 speaks of them."""

    marker, most, done = "part-number-marker", "max-parts", b"<CompleteMultipartUploadResult/>"

    def begun(self, bucket, key, upload):
        text = "<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>"
        return (text % (bucket, escape(key), upload)).encode("utf-8", "replace")

    def listed(self, upload, rows, more):
        rows = "".join("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><Size>%d</Size></Part>" % (n, escape(etag), size)
                       for n, etag, size in rows)
        return ("<ListPartsResult><IsTruncated>%s</IsTruncated>%s</ListPartsResult>" % ("true" if more else "false", rows)).encode()

    def named(self, body):
        try:
            return [(int(p.findtext("PartNumber")), p.findtext("ETag")) for p in strip(tree.fromstring(body))]
        except (tree.ParseError, TypeError, ValueError):
            raise Refused(400, "MalformedXML")


class JsonDocuments:
    """The same as JSON, with a vendor's names; a commit with any other name is refused."""

    def __init__(self, upload, parts, number, size, etag, truncated, marker, most):
        self.upload, self.parts, self.number, self.size, self.etag = upload, parts, number, size, etag
        self.truncated, self.marker, self.most, self.done = truncated, marker, most, b"{}"

    def begun(self, bucket, key, upload):
        return json.dumps({self.upload: upload}).encode()

    def listed(self, upload, rows, more):
        rows = [{self.number: n, self.etag: etag, self.size: size} for n, etag, size in rows]
        return json.dumps({self.upload: upload, self.truncated: more, self.parts: rows}).encode()

    def named(self, body):
        try:
            document = json.loads(body)
            if set(document) != {self.parts} or any(set(p) != {self.number, self.etag} for p in document[self.parts]):
                raise Refused(400, "MalformedBody")
            return [(int(p[self.number]), p[self.etag]) for p in document[self.parts]]
        except (ValueError, TypeError):
            raise Refused(400, "MalformedBody")


class Gone(Refused):
    """Removing what is not there, where that counts as success."""

    def __init__(self):
        super().__init__(204, "")


def strip(root):
    """The elements without their namespaces."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root.findall("Part")


def check_body(request):
    if request.field("content-length") is None:
        raise Refused(411, "MissingContentLength")
    md5 = request.field("content-md5")
    if md5 is not None and md5 != base64.b64encode(hashlib.md5(request.body).digest()).decode():
        raise Refused(400, "BadDigest")


def is_rsa_signature(modulus, text, signature):
    """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2.2), exponent 65537: what is encrypted must be exactly this."""
    size = (modulus.bit_length() + 7) // 8
    known = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    want = b"\x00\x01" + b"\xff" * (size - len(known) - 3) + b"\x00" + known
    return len(signature) == size and pow(int.from_bytes(signature, "big"), 65537, modulus) == int.from_bytes(want, "big")


def serve(vendor):
    """Starts a double on a port that the system chooses; gives the port. A test lets time pass for it by POST /double/clock with the
    seconds that its clock is to be ahead.
    """
    clock = {"ahead": 0}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        wbufsize = -1  # an answer goes out as one segment
        disable_nagle_algorithm = True

        def log_message(self, *args):
            pass

        def handle_any(self):
            body = b""
            if self.headers.get("Content-Length"):
                size = int(self.headers["Content-Length"])
                if not 0 <= size <= BODY_MAX:
                    return self.answer(413, [], b"")
                body = self.rfile.read(size)
            target = self.path.encode("latin-1").decode("utf-8", "surrogateescape")
            if target == "/double/clock":
                clock["ahead"] = int(body)
                return self.answer(204, [], b"")
            request = Request(self.command, target, self.headers.items(), body)
            try:
                if self.headers.get("Transfer-Encoding") or self.headers.get("Expect"):
                    raise Refused(411, "MissingContentLength")
                status, fields, out = vendor.handle(request, time.time() + clock["ahead"])
            except Refused as why:
                status, fields, out = why.status, [], vendor.error_body(why.code)
            self.answer(status, fields, out)

        def answer(self, status, fields, out):
            self.send_response(status, "-")
            for name, value in fields:
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            if self.command != "HEAD" and status != 204:
                self.wfile.write(out)
            self.wfile.flush()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
