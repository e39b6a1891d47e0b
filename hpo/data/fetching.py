"""One file from a web server: one deadline and one bound on its size, and the true reason where there is none."""

from __future__ import annotations

import http.client
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from hpo.errors import DataError
from hpo.printable import printable
from hpo.spec.addresses import shown
from hpo.spec.download_limits import DownloadLimits
from hpo.waiting import Deadline, each_in_time

if TYPE_CHECKING:
    import requests

_MOST_REDIRECTS: Final = 10
_SILENCE_SECONDS: Final = 60.0  # without a byte
_CHUNK_BYTES: Final = 1 << 17
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_NOT_MODIFIED: Final = 304
_IN_WORDS: Final = {
    "InvalidURL": "an address that cannot be read",
    "LocationParseError": "an address that cannot be read",
    "NameResolutionError": "no host of this name",
    "getaddrinfo": "no host of this name",
    "Connection refused": "connection refused",
    "unreachable": "no route to it",
    "No route to host": "no route to it",
    "bytes when reading": "a line without end",
    "got more than": "headers without end",
    "timed out": f"no byte in {_SILENCE_SECONDS:.0f} s",
    "BadStatusLine": "an answer that is no HTTP",
    "RemoteDisconnected": "a connection that was closed without an answer",
    "IncompleteRead": "an answer that breaks off",
    "Connection reset": "an answer that breaks off",
    "CERTIFICATE_VERIFY_FAILED": "a certificate that is not trusted",
    "SSL": "no TLS that can be used",
    "CA certificate": "no certificates where REQUESTS_CA_BUNDLE says",
    "proxy": "a proxy that cannot be used",
}
_LOGIN: Final = (
    "Give a login by ~/.netrc or https://me:${PASSWORD}@host/…, or download it in a browser."
)


@dataclass(frozen=True)
class Reply:
    """What a server says of a file before it sends it.

    Attributes:
        url: Where it is, after redirects.
        headers: By their names in lower case.
        length: Bytes, where it says so.
        is_kept: Whether the file is still what it was, and is not sent.
    """

    url: str
    headers: Mapping[str, str]
    length: int | None
    is_kept: bool


def fetch(
    url: str,
    target: Path,
    limits: DownloadLimits,
    *,
    conditions: Mapping[str, str],
    on_bytes: Callable[[int, int | None], None],
) -> Reply:
    """Write what lies at an address to a file, unless it is kept.

    Args:
        url: With its secrets, of which nothing is shown.
        target: Is written anew.
        limits: For all of it, redirects among it.
        conditions: Headers that ask for the file only where it has changed.
        on_bytes: Is told how many bytes there are, and of how many.

    Raises:
        DataError: There is no such file to be had, or not within the limits.
        OSError: It cannot be written.
    """
    import requests
    import urllib3

    faults = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException)
    done, reply = 0, None
    received = each_in_time(_received(url, conditions), Deadline(limits.seconds))
    with closing(received), target.open("wb") as file:
        while True:
            try:
                part = next(received, None)
            except TimeoutError as error:
                raise _too_slow(url, limits, done) from error
            except (*faults, OSError, ValueError) as error:
                raise _failed(url, error, done) from error
            if part is None:
                assert reply is not None, "it comes before all bytes"
                return reply
            if isinstance(part, Reply):
                reply = part
                _check_size(url, reply.length or 0, limits)
                continue
            done += len(part)
            _check_size(url, done, limits)
            file.write(part)
            on_bytes(done, None if reply is None else reply.length)


def _received(url: str, conditions: Mapping[str, str]) -> Iterator[Reply | bytes]:
    """What the server says of the file, and its bytes as they were sent, as they come."""
    import requests

    # At DEBUG it logs the path of each request, with its query.
    logging.getLogger("urllib3.connectionpool").addFilter(_without_queries)
    with requests.Session() as session, _answer(session, url, conditions) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        is_kept = response.status_code == _NOT_MODIFIED
        yield Reply(response.url, headers, None if is_kept else _length(url, headers), is_kept)
        while not is_kept:
            part = response.raw.read1(_CHUNK_BYTES, decode_content=False)
            if not part:
                return
            yield part


def _length(url: str, headers: Mapping[str, str]) -> int | None:
    """How many bytes a server says that it sends."""
    said = headers.get("content-length", "").strip()
    if said and not (said.isascii() and said.isdecimal()):
        raise _not_got(
            url, f"an answer that is {printable(said[:20])} bytes long", "Download it in a browser."
        )
    return int(said) if said else None


def _answer(
    session: requests.Session, url: str, conditions: Mapping[str, str]
) -> requests.Response:
    """The answer at the end of the redirects, its body not yet read."""
    session.headers.update({"User-Agent": "hpo", "Accept-Encoding": "identity", **conditions})
    started = url
    login = _login(url)
    for _ in range(_MOST_REDIRECTS + 1):
        response = session.get(
            url, auth=login, stream=True, allow_redirects=False, timeout=_SILENCE_SECONDS
        )
        target = response.headers.get("Location")
        if response.status_code not in _REDIRECTS or not target:
            _check_status(started, response)
            return response
        response.close()
        # requests reads the header as Latin-1, servers write it as UTF-8.
        following = urljoin(url, target.encode("latin-1").decode("utf-8", "replace"))
        _check_redirect(started, url, following)
        login = None if session.should_strip_auth(url, following) else login
        url = following
    raise _not_got(
        started,
        f"more than {_MOST_REDIRECTS} redirects",
        "Open it in a browser, and name the address that it leads to.",
    )


def _login(url: str) -> tuple[str, str] | None:
    from requests.utils import get_auth_from_url

    return get_auth_from_url(url) if "@" in urlsplit(url).netloc else None


def _check_redirect(started: str, url: str, following: str) -> None:
    scheme = urlsplit(following).scheme
    if scheme not in ("http", "https"):
        raise _not_got(
            started, f"a redirect to {scheme}://", "Name the address of the file itself."
        )
    if urlsplit(url).scheme == "https" and scheme == "http":
        raise _not_got(
            started,
            "a redirect from https to http, on which anybody may change the file",
            "Name an address that stays with https, or download it yourself.",
        )


def _check_status(url: str, response: requests.Response) -> None:
    status = response.status_code
    if status in (200, _NOT_MODIFIED):
        return
    response.close()
    reason = http.client.responses.get(status, "")
    found = f"the answer {status}" + (f" ({reason})" if reason else "")
    if status in (401, 403, 407):
        raise _not_got(url, f"{found}, which wants a login", _LOGIN)
    if status in (404, 410):
        raise _not_got(url, found, "Check the address in a browser.")
    later = status in (408, 429) or status >= 500
    raise _not_got(url, found, "Try later." if later else "Check the address in a browser.")


def _check_size(url: str, size: int, limits: DownloadLimits) -> None:
    if size > limits.most_bytes:
        raise DataError(
            shown(url),
            found=f"more than {limits.most_bytes / 1e6:,.0f} MB",
            expected=f"{limits.most_bytes / 1e6:,.0f} MB at most",
            hint="Raise HPO_DOWNLOAD_LIMIT, as in 5GB.",
        )


def _too_slow(url: str, limits: DownloadLimits, done: int) -> DataError:
    return DataError(
        shown(url),
        found=f"{done:,} bytes in {limits.seconds:,.0f} s, and not the end",
        expected="the whole file in that time",
        hint="Raise HPO_DOWNLOAD_TIMEOUT, as in 2h, or try later.",
    )


def _failed(url: str, error: Exception, done: int) -> DataError:
    told = f"{type(error).__name__} {error!r}"
    cause = next((words for mark, words in _IN_WORDS.items() if mark in told), None)
    # What else a library says may quote the address with its secrets.
    found = cause or f"no answer that can be read ({type(error).__name__})"
    if done:
        found = f"{cause or 'an answer that breaks off'} after {done:,} bytes"
    return _not_got(url, found, "Check the address and the network, and try again.")


def _not_got(url: str, found: str, hint: str) -> DataError:
    return DataError(shown(url), found=found, expected="a file of texts and labels", hint=hint)


def _without_queries(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args
        )
    return True
