"""What stands before the Optuna dashboard, which itself asks nobody who they are: a check of each request.

The dashboard can delete studies. A page of another site, open in the same browser, must not be able to tell
it so: neither by sending requests (their Origin tells), nor under a name of its own that it binds to this
address (DNS rebinding; the Host tells).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

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


def with_request_check(
    application: WSGIApplication, allowed_urls: Collection[str]
) -> WSGIApplication:
    """The application behind the check.

    Args:
        application: What may be asked.
        allowed_urls: Where browsers find it, beside the loopback interface; `https` where a proxy speaks TLS.
    """
    addresses = {(url.scheme.lower(), url.netloc.lower()) for url in map(urlsplit, allowed_urls)}
    names = LOOPBACK_NAMES | {host_name(netloc) for _, netloc in addresses}
    schemes = {netloc: scheme for scheme, netloc in addresses}

    def ask(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "").lower()
        scheme = schemes.get(host, environ["wsgi.url_scheme"])
        refusal = _refusal(environ, names, f"{scheme}://{host}")
        if refusal is not None:
            return _told("403 Forbidden", refusal, start_response)
        if ".." in environ.get("PATH_INFO", "").split("/"):
            return _told("404 Not Found", "There is nothing of that name.", start_response)
        return application(environ, _safe(start_response))

    return ask


def _told(status: str, words: str, start_response: StartResponse) -> list[bytes]:
    """An answer of our own."""
    body = words.encode()
    length = ("Content-Length", str(len(body)))
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), length])
    return [body]


def with_links(application: WSGIApplication, usual: str, actual: str) -> WSGIApplication:
    """The application with each `usual` address in what its API says replaced by the `actual` one.

    Notes and attributes hold the address that MLflow's UI has as a rule; it may be served at another.
    """

    def ask(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith("/api/studies"):
            return application(environ, start_response)
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def begin(
            status: str, headers: list[tuple[str, str]], _error: Any = None, /
        ) -> Callable[[bytes], object]:
            begun.append((status, headers))
            return _nowhere

        parts = application(environ, begin)
        body = b"".join(parts).replace(usual.encode(), actual.encode())
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


def _refusal(environ: WSGIEnvironment, names: Collection[str], own: str) -> str | None:
    """Why a request is refused; None for one that may pass. own: the origin of pages that were asked for like this."""
    if host_name(environ.get("HTTP_HOST", "")) not in names:
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
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin.lower() != own:
        return "Requests from pages of other origins are refused."
    if not reads and origin is None and site is None:
        # An old browser says only where it comes from, and a program says nothing.
        page = environ.get("HTTP_REFERER", own)
        if "/".join(page.split("/", 3)[:3]).lower() != own:
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
