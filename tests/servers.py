"""Servers that are none: real sockets on loopback that answer with anything but what is expected."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

Answer = Callable[[socket.socket], None]

_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_PATIENCE: Final = 30.0


@contextmanager
def listening(answer: Answer | None) -> Iterator[int]:
    """A port on which each connection is given to `answer`; None: nobody ever answers."""
    closed = threading.Event()

    def serve() -> None:
        while not closed.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if answer is None:
                closed.wait(_PATIENCE)
            else:
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            closed.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def says(content: bytes) -> Answer:
    """Sends the content to whoever has asked, and ends."""

    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(content)

    return answer


def greets(content: bytes) -> Answer:
    """Sends the content before it is asked, and waits, as servers of other protocols do."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(content)
        while connection.recv(1 << 16):
            pass

    return answer


def repeats(begun: bytes, piece: bytes, pause_seconds: float = 0.0) -> Answer:
    """Sends the beginning, and then the same piece for ever."""

    def answer(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(begun)
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            connection.sendall(piece)
            time.sleep(pause_seconds)

    return answer


def body(content: bytes, status: bytes = b"200 OK") -> Answer:
    """A whole HTTP answer of this body."""
    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(content))
    return says(head + content)


SSH: Final = greets(b"SSH-2.0-OpenSSH_9.6\r\n")

NO_HTTP_SERVERS: Final[Mapping[str, tuple[Answer, str]]] = {
    "SSH": (SSH, "no HTTP, but 'SSH-2.0-OpenSSH_9.6'"),
    "mail": (greets(b"220 mail.example ESMTP\r\n"), "no HTTP, but '220 mail.example ESMTP'"),
    "bytes of nothing": (greets(bytes(range(256)) * 4), "no HTTP, but "),
    "TLS": (says(b"\x15\x03\x03\x00\x02\x02\x46"), "speaks TLS"),
    "a cut body": (says(_OK + b'Content-Length: 500\r\n\r\n{"exp'), "not MLflow's"),
    "a cut chunk": (says(_OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{"), "not MLflow's"),
    "a chunk of no size": (
        says(_OK + b"Transfer-Encoding: chunked\r\n\r\nxx\r\n{"),
        "not MLflow's",
    ),
    "a status that is none": (says(b"HTTP/1.1 abc\r\n\r\n"), "no HTTP, but 'HTTP/1.1 abc'"),
    "another HTTP": (says(b"HTTP/3.9 200 OK\r\n\r\n"), "not MLflow's"),
    "a length that is none": (says(_OK + b"Content-Length: x\r\n\r\n{}x"), "not MLflow's"),
    "endless headers": (repeats(_OK, b"X-More: 1\r\n"), "not MLflow's"),
    "an endless header": (repeats(_OK + b"X: ", b"x" * 4096), "not MLflow's"),
    "an endless body": (repeats(_OK + b"\r\n", b" " * 65536), "not MLflow's"),
    "a byte at a time": (repeats(_OK + b"\r\n[", b"1", 0.2), "not MLflow's"),
    "a list": (body(b"[1,2]"), "not MLflow's"),
    "nothing": (body(b""), "not MLflow's"),
    "no content": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), "not MLflow's"),
    "a page": (body(b"<html>hello</html>"), "not MLflow's"),
    "another document": (body(b'{"status": "ok"}'), "not MLflow's"),
    "experiments that are none": (body(b'{"experiments": 3}'), "not MLflow's"),
    "brackets": (body(b"[" * 200_000), "not MLflow's"),
    "bytes that are no text": (body(b"\xff\xfe\xfa"), "not MLflow's"),
    "another page": (body(b"", b"404 Not Found"), "answers 404"),
    "a circle": (
        says(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
        "only ever sends on",
    ),
    "the way to a file": (
        says(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"),
        "only ever sends on",
    ),
}
"""What answers, and what is found there, for good."""

AWAY_HTTP_SERVERS: Final[Mapping[str, tuple[Answer | None, str]]] = {
    "silence": (None, "no whole answer within"),
    "a byte of a header at a time": (repeats(_OK + b"X: ", b"x", 0.2), "no whole answer within"),
    "an end without an answer": (says(b""), "closed without an answer"),
    "a server in trouble": (body(b"", b"503 Service Unavailable"), "the answer 503"),
}
"""The same of servers that may only be busy, or starting: a run goes on, and what it has to say waits."""
