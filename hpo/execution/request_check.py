"""What stands before the Optuna dashboard, which itself asks nobody who they are: a check of each request.

The dashboard can delete studies. A page of another site, open in the same browser, must not be able to tell
it so: neither by sending requests (their Origin tells), nor under a name of its own that it binds to this
address (DNS rebinding; the Host tells).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_READS = ("GET", "HEAD", "OPTIONS")
_HEADERS = (
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "same-origin"),
)


def with_request_check(application: WSGIApplication, public_url: str) -> WSGIApplication:
    """The application behind the check.

    Args:
        application: What may be asked.
        public_url: Where people's browsers find it, beside the names of the loopback interface, under which it
            speaks plain http.
    """
    public = urlsplit(public_url.lower())

    def ask(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        refusal = _refusal(environ, public)
        if refusal is not None:
            return _answer(start_response, HTTPStatus.FORBIDDEN, refusal)
        if _leaves_its_folder(environ.get("PATH_INFO", "")):
            return _answer(start_response, HTTPStatus.NOT_FOUND, "There is no such page.")
        return application(environ, _safe(start_response))

    return ask


def with_links(application: WSGIApplication, usual: str, actual: str) -> WSGIApplication:
    """The application with each `usual` address in what its API says replaced by the `actual` one.

    Notes and attributes hold the address that MLflow's UI has as a rule; it may be served at another.
    """

    return with_rewriting(
        application,
        lambda path: path.startswith("/api/studies"),
        lambda body: body.replace(usual.encode(), actual.encode()),
    )


def with_rewriting(
    application: WSGIApplication,
    concerns: Callable[[str], bool],
    rewrite: Callable[[bytes], bytes],
) -> WSGIApplication:
    """The application with what it answers rewritten.

    Args:
        application: What is asked.
        concerns: Whether the answers of a path are.
        rewrite: Called with the whole of an answer.
    """

    def ask(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not concerns(environ.get("PATH_INFO", "")):
            return application(environ, start_response)
        environ.pop("HTTP_IF_MODIFIED_SINCE", None)  # what the browser has may be of before
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def begin(
            status: str, headers: list[tuple[str, str]], _error: Any = None, /
        ) -> Callable[[bytes], object]:
            begun.append((status, headers))
            return _nowhere

        parts = application(environ, begin)
        body = rewrite(b"".join(parts))
        if hasattr(parts, "close"):
            parts.close()
        status, headers = begun[-1]
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(body)))])
        return [body]

    return ask


def host_name(address: str) -> str:
    """The name in `name:port`, `name` or `[::1]:port`."""
    if address.startswith("["):
        return address[1:].partition("]")[0].lower()
    return address.partition(":")[0].lower()


def _answer(start_response: StartResponse, status: HTTPStatus, words: str) -> list[bytes]:
    body = words.encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        *_HEADERS,
    ]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]


def _leaves_its_folder(path: str) -> bool:
    """Whether a path goes up, escaped once more or not, or holds what no file's name does."""
    for _ in range(3):
        if ".." in re.split(r"[/\\]", path) or re.search(r"[\0-\x1f]", path):
            return True
        path = unquote(path)
    return False


def _own_origin(host: str, public: SplitResult) -> str:
    """The origin of the dashboard's own page for a browser that asks under this Host."""
    loopback = host_name(host) in LOOPBACK_NAMES and host.lower() != public.netloc
    scheme = "http" if loopback else public.scheme
    return _without_usual_port(f"{scheme}://{host}")


def _without_usual_port(origin: str) -> str:
    return re.sub(r"^(http://.*):80$|^(https://.*):443$", r"\1\2", origin.lower())


def _refusal(environ: WSGIEnvironment, public: SplitResult) -> str | None:
    """Why a request is refused; None for one that may pass."""
    host = environ.get("HTTP_HOST", "")
    if host_name(host) not in LOOPBACK_NAMES | {host_name(public.netloc)}:
        return "This server does not go by that name."
    reads = environ["REQUEST_METHOD"] in _READS
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site not in (None, "same-origin", "none"):
        # A link to the dashboard on another page, MLflow's for one, may be followed.
        follows_link = (
            environ["REQUEST_METHOD"] == "GET"
            and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
            and environ.get("HTTP_SEC_FETCH_DEST") == "document"
        )
        if not follows_link:
            return "Requests from pages of other sites are refused."
    own = _own_origin(host, public)
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and _without_usual_port(origin) != own:
        return "Requests from pages of other origins are refused."
    if not reads and origin is None and site is None:
        # An old browser says only where it comes from, and a program says nothing.
        referer = environ.get("HTTP_REFERER", own)
        if _without_usual_port("/".join(referer.split("/")[:3])) != own:
            return "Requests from pages of other sites are refused."
    return None


def _safe(start_response: StartResponse) -> StartResponse:
    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
        replaced = {name.lower() for name, _ in _HEADERS} | {"access-control-allow-origin"}
        kept = [(name, value) for name, value in headers if name.lower() not in replaced]
        return start_response(status, [*kept, *_HEADERS], *rest)

    return start


def _nowhere(_part: bytes) -> None:
    """WSGI's old way to write, which the dashboard does not use."""
