"""Hosts that tests reach: files below `ROOT/<host>`, over TLS, behind a proxy that resolves every name to itself.

Usage: site.py ROOT CERTIFICATE KEY. Prints the ports of the proxy and of the TLS server, then serves until its standard
input ends. Each request is a line in `ROOT/requests`.
"""

import email.utils
import os
import socket
import ssl
import sys
import threading

ROOT, CERTIFICATE, KEY = sys.argv[1:]
TLS = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
TLS.load_cert_chain(CERTIFICATE, KEY)
LOG = open(os.path.join(ROOT, "requests"), "a", buffering=1)


def read_head(stream):
    lines = []
    while (line := stream.readline().decode("latin-1").rstrip("\r\n")):
        lines.append(line)
    return lines


def body_of(host, path):
    file = os.path.join(ROOT, host, path.split("?")[0].strip("/").replace("%2f", "/"))
    for candidate in (file, os.path.join(file, "index")):
        if os.path.isfile(candidate):
            with open(candidate, "rb") as opened:
                return opened.read()
    return None


def serve(connection, host):
    with TLS.wrap_socket(connection, server_side=True) as tls, tls.makefile("rwb") as stream:
        while head := read_head(stream):
            method, path, _ = head[0].split(" ")
            LOG.write(f"{host} {method} {path}\n")
            body = body_of(host, path) if method in ("GET", "HEAD") else None
            status = "200 OK" if body is not None else "404 Not Found"
            kind = "application/json" if body and body.startswith(b"{") else "text/html"
            if not path.endswith("/") and kind == "text/html":
                kind = "application/octet-stream"
            date = email.utils.formatdate(usegmt=True)
            answer = (
                f"HTTP/1.1 {status}\r\nDate: {date}\r\nCache-Control: max-age=3600\r\n"
                f"Content-Type: {kind}\r\nContent-Length: {len(body or b'')}\r\n\r\n"
            )
            stream.write(answer.encode() + (body or b"" if method == "GET" else b""))
            stream.flush()


def proxy(connection):
    with connection.makefile("rb", buffering=0) as stream:
        head = read_head(stream)
        host, _, port = head[0].split(" ")[1].rpartition(":")
    LOG.write(f"{host} CONNECT {port}\n")
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    serve(connection, host)


def quietly(handle, connection):
    # What clients break off is theirs to report.
    try:
        with connection:
            handle(connection)
    except (OSError, ValueError, IndexError):
        pass


def accept(listener, handle):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=quietly, args=(handle, connection), daemon=True).start()


def listen(handle):
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener, handle), daemon=True).start()
    return listener.getsockname()[1]


print(listen(proxy), listen(lambda connection: serve(connection, "127.0.0.1")), flush=True)
sys.stdin.read()
