"""PUT as the public agent sends it: Host without a port, its own header order, one connection each."""

import re
import socket
import urllib.parse


def exchange(method, url, body=b"", headers=(), host=None):
    """(status, headers in lower case, body) of one request on a connection of its own."""
    parts = urllib.parse.urlsplit(url)
    target = parts.path + ("?" + parts.query if parts.query else "")
    head = [f"{method} {target} HTTP/1.1", f"host: {host or parts.hostname}", *[f"{k}: {v}" for k, v in headers]]
    if method == "PUT":
        head.append(f"Content-Length: {len(body)}")
    head += ["Connection: close", "User-Agent: NuttX/6.xx.x (; http://www.nuttx.org/)"]
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as s:
        s.sendall(("\r\n".join(head) + "\r\n\r\n").encode() + body)
        answer = b""
        while piece := s.recv(65536):
            answer += piece
    head, _, rest = answer.partition(b"\r\n\r\n")
    status = int(re.match(rb"HTTP/1.1 (\d+)", head).group(1))
    fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
    return status, fields, rest
