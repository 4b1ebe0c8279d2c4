"""Where Google Cloud's credentials come from, in memory: a machine's metadata server, the token service (STS) and IAM credentials.
By their documentation and with nothing of OpenEVP's: every claim, field and scope is checked.

https://cloud.google.com/compute/docs/metadata/querying-metadata
https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
https://cloud.google.com/iam/docs/reference/credentials/rest
"""
import base64
import json
import secrets
import subprocess
import threading
import urllib.parse
from datetime import datetime, timezone

from storage_double import Refused

AUDIENCE = "//iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/fleet/providers/cluster"
CLOUD = "https://www.googleapis.com/auth/cloud-platform"
ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default"
LIFE = 3600
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class GcpIdentity:
    """`email` is the account whose key signs; the machine has that account, and the web identity may become it."""

    def __init__(self, email, key_file, issuer_key):
        self.email, self.key_file, self.issuer_key = email, key_file, issuer_key
        self.lock = threading.Lock()
        self.tokens = {}  # token -> (who, scopes, dies)
        self.narrowed = {}  # token -> (bucket, prefix), of those that may only create objects

    def web_identity(self, now):
        """A token as a platform writes it into a file (RS256), good for an hour."""
        def part(value):
            return base64.urlsafe_b64encode(value).rstrip(b"=")
        text = part(b'{"alg":"RS256","typ":"JWT"}') + b"." + part(json.dumps(
            {"iss": "https://cluster.test", "sub": "system:serviceaccount:evp:backend", "aud": AUDIENCE, "exp": int(now) + LIFE}).encode())
        return (text + b"." + part(sign(self.issuer_key, text))).decode()

    def error_body(self, code):
        return json.dumps({"error": code, "error_description": "refused"}).encode()

    def handle(self, request, now):
        with self.lock:
            if request.path.startswith("/computeMetadata/"):
                return self.metadata(request, now)
            if request.path == "/v1/token" and request.method == "POST":
                return self.exchange(request, now)
            name, _, verb = request.path.removeprefix("/v1/projects/-/serviceAccounts/").partition(":")
            if request.path.startswith("/v1/projects/-/serviceAccounts/") and request.method == "POST":
                if urllib.parse.unquote(name) != self.email:
                    raise Refused(403, "PERMISSION_DENIED")
                if verb == "generateAccessToken":
                    return self.impersonate(request, now)
                if verb == "signBlob":
                    return self.sign_blob(request, now)
        raise Refused(404, "NOT_FOUND")

    def issue(self, who, scopes, now):
        token = "ya29." + secrets.token_urlsafe(32)
        self.tokens[token] = (who, scopes, now + LIFE)
        return token

    def bearer(self, request, now, allowed):
        kind, _, token = (request.field("authorization") or "").partition(" ")
        if kind != "Bearer" or token not in self.tokens:
            raise Refused(401, "UNAUTHENTICATED")
        who, scopes, dies = self.tokens[token]
        if now >= dies:
            raise Refused(401, "UNAUTHENTICATED")
        if who not in allowed or CLOUD not in scopes:
            raise Refused(403, "PERMISSION_DENIED")

    def metadata(self, request, now):
        if request.field("metadata-flavor") != "Google" or request.field("x-forwarded-for") or request.method != "GET" or request.has_query:
            raise Refused(403, "FORBIDDEN")
        flavor = [("Metadata-Flavor", "Google")]
        if request.path == ACCOUNT + "/email":
            return 200, flavor, self.email.encode()
        if request.path != ACCOUNT + "/token":
            raise Refused(404, "NOT_FOUND")
        token = self.issue("machine", {CLOUD}, now)
        return 200, flavor, json.dumps({"access_token": token, "expires_in": LIFE, "token_type": "Bearer"}).encode()

    def exchange(self, request, now):
        if request.field("content-type") != "application/x-www-form-urlencoded":
            raise Refused(400, "invalid_request")
        pairs = urllib.parse.parse_qsl(request.body.decode(), strict_parsing=True, keep_blank_values=True)
        form = dict(pairs)
        if form.get("subject_token_type") == ACCESS_TOKEN:
            return self.narrow(form, len(pairs), now)
        want = {"grant_type": EXCHANGE, "audience": AUDIENCE, "scope": CLOUD, "requested_token_type": ACCESS_TOKEN,
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}
        subject = form.pop("subject_token", "")
        if len(pairs) != len(want) + 1 or form != want:
            raise Refused(400, "invalid_request")
        self.check_web_identity(subject, now)
        token = self.issue("federated", {CLOUD}, now)
        return 200, [], json.dumps({"access_token": token, "expires_in": LIFE, "token_type": "Bearer",
                                    "issued_token_type": want["requested_token_type"]}).encode()

    def narrow(self, form, count, now):
        """https://cloud.google.com/iam/docs/downscoping-short-lived-credentials. As there, no life is named: it is the wide token's."""
        kept = {"grant_type": EXCHANGE, "requested_token_type": ACCESS_TOKEN, "subject_token_type": ACCESS_TOKEN}
        if count != len(form) or {k: form.get(k) for k in kept} != kept or set(form) != set(kept) | {"subject_token", "options"}:
            raise Refused(400, "invalid_request")
        who, scopes, dies = self.tokens.get(form["subject_token"], ("", set(), 0))
        if now >= dies or form["subject_token"] in self.narrowed:
            raise Refused(400, "invalid_grant")
        try:
            (rule,) = json.loads(form["options"])["accessBoundary"]["accessBoundaryRules"]
            bucket = rule["availableResource"].removeprefix("//storage.googleapis.com/projects/_/buckets/")
            begin = "resource.name.startsWith('projects/_/buckets/%s/objects/" % bucket
            expression = rule["availabilityCondition"]["expression"].replace('"', "'")
        except (ValueError, KeyError, TypeError):
            raise Refused(400, "invalid_request")
        if set(rule) != {"availablePermissions", "availableResource", "availabilityCondition"} or not expression.startswith(begin) \
                or not expression.endswith("')") or rule["availablePermissions"] != ["inRole:roles/storage.objectCreator"] or "/" in bucket:
            raise Refused(400, "invalid_request")
        token = "ya29.dr." + secrets.token_urlsafe(32)
        self.tokens[token] = (who, scopes, dies)
        self.narrowed[token] = (bucket, expression[len(begin):-2])
        return 200, [], json.dumps({"access_token": token, "token_type": "Bearer", "issued_token_type": ACCESS_TOKEN}).encode()

    def check_creation(self, request, bucket, key, exists, now):
        """What the storage asks of a request with a token: the storage's double calls it. Replacing is deleting, which no creator may."""
        kind, _, token = (request.field("authorization") or "").partition(" ")
        with self.lock:
            if kind != "Bearer" or token not in self.tokens or now >= self.tokens[token][2]:
                raise Refused(401, "AuthenticationRequired")
            of, prefix = self.narrowed.get(token, (None, ""))
        if request.method != "PUT" or of != bucket or not key.startswith(prefix) or exists:
            raise Refused(403, "AccessDenied")

    def check_web_identity(self, token, now):
        try:
            head, claims, signature = token.split(".")
            text = (head + "." + claims).encode()
            said = json.loads(unpadded(claims))
            raw = unpadded(signature)
        except ValueError:
            raise Refused(400, "invalid_grant")
        if raw != sign(self.issuer_key, text) or json.loads(unpadded(head))["alg"] != "RS256":
            raise Refused(400, "invalid_grant")
        if said["aud"] != AUDIENCE or said["iss"] != "https://cluster.test" or now >= said["exp"]:
            raise Refused(400, "invalid_grant")

    def impersonate(self, request, now):
        self.bearer(request, now, {"federated"})
        body = json_body(request, {"scope"}, {"lifetime"})
        if body["scope"] != [CLOUD] or body.get("lifetime", "3600s") != "3600s":
            raise Refused(400, "INVALID_ARGUMENT")
        dies = datetime.fromtimestamp(int(now) + LIFE, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return 200, [], json.dumps({"accessToken": self.issue("impersonated", {CLOUD}, now), "expireTime": dies}).encode()

    def sign_blob(self, request, now):
        self.bearer(request, now, {"machine", "impersonated"})
        payload = base64.b64decode(json_body(request, {"payload"}, set())["payload"], validate=True)
        signature = base64.b64encode(sign(self.key_file, payload)).decode()
        return 200, [], json.dumps({"keyId": "k1", "signedBlob": signature}).encode()


def json_body(request, needed, allowed):
    try:
        body = json.loads(request.body)
    except ValueError:
        raise Refused(400, "INVALID_ARGUMENT")
    if request.field("content-type") != "application/json" or not isinstance(body, dict):
        raise Refused(400, "INVALID_ARGUMENT")
    if needed - set(body) or set(body) - needed - allowed:
        raise Refused(400, "INVALID_ARGUMENT")
    return body


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sign(key_file, text):
    """RSASSA-PKCS1-v1_5 with SHA-256."""
    return subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key_file)], input=text, check=True, stdout=subprocess.PIPE).stdout
