"""A web server on loopback that answers each path as a test says, well or badly."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import BinaryIO

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
def web_server() -> Iterator[WebServer]:
    """One that runs until the end of the block."""

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
    state = WebServer(f"http://127.0.0.1:{server.server_address[1]}", {})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
