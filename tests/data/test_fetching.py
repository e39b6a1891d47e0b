"""Servers that answer badly: each is told in time by its true reason, and nothing is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from hpo.errors import DataError
from tests.data.conftest import Read
from tests.data.web_server import WebServer, web_server, write_certificate

CSV = b"text,label\nfine,good\nawful,bad\n"
OK = b"HTTP/1.1 200 OK\r\n"


def slowly(head: bytes, byte: bytes) -> Callable[[BinaryIO], None]:
    def write(connection: BinaryIO) -> None:
        connection.write(head)
        for _ in range(100):
            connection.write(byte)
            connection.flush()
            time.sleep(0.1)

    return write


def without_end(head: bytes, part: bytes) -> Callable[[BinaryIO], None]:
    def write(connection: BinaryIO) -> None:
        connection.write(head)
        while True:
            connection.write(part)

    return write


TOO_SLOW = "bytes in 1 s, and not the end"
BAD_ANSWERS = {
    "a byte in a while": (slowly(OK + b"\r\n", b"a"), TOO_SLOW),
    "a header in a while": (slowly(OK, b"X: a\r\n"), f"{TOO_SLOW}|headers without end"),
    "a letter of a header in a while": (slowly(OK, b"X"), f"0 {TOO_SLOW}"),
    "nothing": (lambda _: time.sleep(5), f"0 {TOO_SLOW}"),
    "headers without end": (without_end(OK, b"X: a\r\n"), "headers without end"),
    "a header without end": (without_end(OK, b"X" * 65_536), "a line without end"),
    "a size of a chunk without end": (
        without_end(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65_536),
        "a line without end",
    ),
    "more than the bound": (without_end(OK + b"\r\n", b"a" * 65_536), "more than 1 MB"),
    "a length beyond the bound": (
        lambda c: c.write(OK + b"Content-Length: 99999999999\r\n\r\n"),
        "more than 1 MB",
    ),
    "a length of no bytes": (
        lambda c: c.write(OK + b"Content-Length: 0\r\n\r\n"),
        "an empty answer",
    ),
    "a length that is none": (
        lambda c: c.write(OK + b"Content-Length: -5\r\n\r\n" + CSV),
        "an answer that is -5 bytes long",
    ),
    "a body cut short": (
        lambda c: c.write(OK + b"Content-Length: 50\r\n\r\n" + CSV),
        f"breaks off after {len(CSV)} bytes",
    ),
    "a chunk cut short": (
        lambda c: c.write(OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\n" + CSV),
        "breaks off",
    ),
    "another protocol": (
        lambda c: c.write(b"SSH-2.0-OpenSSH_9.6\r\n"),
        "an answer that is no HTTP",
    ),
    "a closed connection": (lambda _: None, "closed without an answer"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_is_told_in_time_and_leaves_nothing(
    server: WebServer, read: Read, cache: Path, name: str
) -> None:
    raw, message = BAD_ANSWERS[name]
    address = server.put_raw("/reviews.csv", raw)
    with pytest.raises(DataError, match=message):
        read(address, HPO_DOWNLOAD_TIMEOUT="1s", HPO_DOWNLOAD_LIMIT="1MB")
    assert not cache.exists()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, r"the answer 404 \(Not Found\).*Check the address"),
        (401, r"the answer 401 \(Unauthorized\), which wants a login.*\$\{PASSWORD\}"),
        (403, r"the answer 403 \(Forbidden\), which wants a login"),
        (503, r"the answer 503 \(Service Unavailable\).*Try later"),
        (206, r"the answer 206"),
        (799, r"the answer 799;"),
        (302, r"the answer 302 \(Found\);"),
    ],
)
def test_a_refusal_is_told_by_its_status(
    server: WebServer, read: Read, cache: Path, status: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(server.put("/reviews.csv", CSV, status))
    assert not cache.exists()


PAGE = b"\n<!DOCTYPE html>\n<html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/reviews.csv", PAGE, "text/plain"),
        ("/reviews.csv", PAGE, "text/html"),
        ("/reviews", b"<p>Please log in</p>", "text/html; charset=utf-8"),
    ],
)
def test_a_page_is_told_as_one(
    server: WebServer, read: Read, cache: Path, path: str, body: bytes, kind: str
) -> None:
    with pytest.raises(DataError, match=r"found a web page \(text/html\).*may want a login"):
        read(server.put(path, body, Content_Type=kind))
    assert not cache.exists()


def test_tls_is_checked_and_not_left(
    server: WebServer, read: Read, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = write_certificate(tmp_path / "loopback.pem")
    with web_server(certificate) as safe:
        address = safe.put("/reviews.csv", CSV)
        away = safe.put("/away", status=302, Location=server.put("/reviews.csv", CSV))
        with pytest.raises(DataError, match="a certificate that is not trusted"):
            read(address)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
        with pytest.raises(DataError, match="no certificates where REQUESTS_CA_BUNDLE says"):
            read(address)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        with pytest.raises(DataError, match="a redirect from https to http"):
            read(away)
        assert not cache.exists()
        assert len(read(address).train) == 2
        assert len(read(server.put("/up", status=302, Location=address)).train) == 2
    assert [path for path, _ in server.asked] == ["/up"]


def test_a_server_that_speaks_no_tls_is_told(server: WebServer, read: Read) -> None:
    address = server.put("/reviews.csv", CSV).replace("http:", "https:")
    with pytest.raises(DataError, match="no TLS that can be used"):
        read(address)
