"""A web server on loopback that answers each path as a test says, well or badly."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Headers = Mapping[str, str]


@dataclass
class Answer:
    """What is sent for a path: a body with its status and headers, or whatever `raw` writes."""

    body: bytes = b""
    status: int = 200
    headers: Headers = field(default_factory=dict)
    raw: Callable[[BinaryIO], object] | None = None


@dataclass
class WebServer:
    """answers: by path, may be changed at any time; asked: the requests so far, path with query and headers."""

    url: str
    answers: dict[str, Answer]
    asked: list[tuple[str, Headers]] = field(default_factory=list)

    def put(self, path: str, body: bytes = b"", status: int = 200, **headers: str) -> str:
        """Answer a path so; its address. Headers with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = Answer(body, status, named)
        return self.url + path

    def put_raw(self, path: str, raw: Callable[[BinaryIO], object]) -> str:
        """Answer a path by writing to the connection; its address."""
        self.answers[path] = Answer(raw=raw)
        return self.url + path


@contextmanager
def web_server(certificate: Path | None = None) -> Iterator[WebServer]:
    """One that runs until the end of the block; with TLS where there is a file of certificate and key."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            state.asked.append((self.path, dict(self.headers)))
            answer = state.answers.get(path, Answer(b"no such file", 404))
            with suppress(OSError):
                if answer.raw is not None:
                    answer.raw(self.wfile)
                else:
                    self._send(answer)

        def _send(self, answer: Answer) -> None:
            etag = answer.headers.get("ETag")
            kept = etag is not None and self.headers.get("If-None-Match") == etag
            self.send_response(304 if kept else answer.status)
            headers = {"Content-Length": str(len(answer.body)), **answer.headers}
            for name, value in ({"ETag": etag or ""} if kept else headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if kept else answer.body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    state = WebServer(f"{scheme}://127.0.0.1:{server.server_address[1]}", {})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_certificate(path: Path) -> Path:
    """A certificate for loopback that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(pem) + private)
    return path
