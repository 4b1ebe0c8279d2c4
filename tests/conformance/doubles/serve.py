"""Starts a double of each vendor on loopback and writes where they are. Usage: serve.py DIR

DIR/env gets <VENDOR>_HTTP, <VENDOR>_ID and <VENDOR>_KEY lines; DIR/service_account.pem the RSA key of GCP's second double.
Runs until it is ended. Keys are new at each start.
"""
import os
import pathlib
import secrets
import subprocess
import sys
import threading
import time

import vendors
from b2 import B2
from gcp_identity import AUDIENCE, GcpIdentity
from oci import NAMESPACE, Oci
from qiniu import Qiniu
from storage_double import serve


def rsa_key(folder, name="service_account.pem"):
    """A key pair's modulus; the private key is written to a file."""
    path = folder / name
    subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path], check=True)
    text = subprocess.run(["openssl", "rsa", "-in", path, "-noout", "-modulus"], check=True, stdout=subprocess.PIPE).stdout
    return int(text.decode().strip().partition("=")[2], 16)


def main(folder):
    lines = []

    def start(name, kind, id, change=lambda v: v):
        key = secrets.token_urlsafe(24)
        port = serve(change(kind(id, key)))
        lines.extend(["%s_HTTP=http://127.0.0.1:%d" % (name, port), "%s_ID=%s" % (name, id), "%s_KEY=%s" % (name, key)])

    modulus = rsa_key(folder)
    start("GCP", vendors.Gcp, "GOOG1TESTACCESSID")
    identity = GcpIdentity("uploads@test.iam.gserviceaccount.com", folder / "service_account.pem", folder / "issuer.pem")
    start("GCP_RSA", vendors.Gcp, identity.email, lambda v: v.with_rsa(modulus, identity))
    lines.append("GCP_RSA_PEM=%s" % (folder / "service_account.pem"))
    rsa_key(folder, "issuer.pem")
    (folder / "web_identity").write_text(identity.web_identity(time.time()))
    lines += ["GCP_IDENTITY_HTTP=http://127.0.0.1:%d" % serve(identity), "GCP_AUDIENCE=" + AUDIENCE,
              "GCP_TOKEN_FILE=%s" % (folder / "web_identity")]
    for name in ("Oss", "Cos", "Obs", "Tos", "Bos"):
        start(name.upper(), getattr(vendors, name), name + "TestId")
    start("QINIU", Qiniu, "QiniuTestId")
    start("B2", B2, "0014f5b0a1testid")
    oci_key = ("ocid1.tenancy.oc1..test", "ocid1.user.oc1..test", ":".join("%02x" % i for i in range(16)))
    port = serve(Oci("/".join(oci_key), modulus))
    lines += ["OCI_HTTP=http://127.0.0.1:%d" % port, "OCI_NAMESPACE=" + NAMESPACE, "OCI_PEM=%s" % (folder / "service_account.pem")]
    lines += ["OCI_%s=%s" % pair for pair in zip(("TENANCY", "USER", "FINGERPRINT"), oci_key)]
    (folder / "env.new").write_text("\n".join(lines) + "\n")
    os.rename(folder / "env.new", folder / "env")
    threading.Event().wait()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
