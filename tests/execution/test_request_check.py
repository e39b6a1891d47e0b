"""The check before the dashboard lets its own pages through, and nobody else's."""

from __future__ import annotations

from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from hpo.execution.request_check import host_name, with_links, with_request_check

SAFE = {"HTTP_HOST": "127.0.0.1:8080"}


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    headers = [("Content-Type", "application/json"), ("Access-Control-Allow-Origin", "*")]
    start_response("200 OK", [*headers, ("Content-Length", "29")])
    return [b'{"see": "http://usual:1/#/x"}']


def ask(app: Any, method: str = "GET", path: str = "/api/studies", **headers: str) -> Any:
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path}
    setup_testing_defaults(environ)
    environ.pop("HTTP_HOST")
    environ.update(headers)
    answer: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
        answer.update(status=int(status[:3]), headers=dict(headers))

    answer["body"] = b"".join(app(environ, start_response))
    return answer


@pytest.fixture
def dashboard() -> Any:
    return with_request_check(application, ["https://studies.example.org"])


@pytest.mark.parametrize(
    "host",
    ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST:1", "studies.example.org"],
)
def test_its_own_names_are_answered(dashboard: Any, host: str) -> None:
    assert ask(dashboard, HTTP_HOST=host)["status"] == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8080", "evil@localhost"],
)
def test_a_name_bound_to_the_address_by_somebody_else_is_refused(dashboard: Any, host: str) -> None:
    assert ask(dashboard, HTTP_HOST=host)["status"] == 403


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
def test_programs_and_its_own_page_may_do_everything(dashboard: Any, method: str) -> None:
    assert ask(dashboard, method, **SAFE)["status"] == 200
    own = {"HTTP_ORIGIN": "http://127.0.0.1:8080", "HTTP_SEC_FETCH_SITE": "same-origin"}
    assert ask(dashboard, method, **SAFE, **own)["status"] == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_ORIGIN": "https://evil.example"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_ORIGIN": "https://127.0.0.1:8080"},
        {"HTTP_ORIGIN": "127.0.0.1:8080"},
        {"HTTP_ORIGIN": "http://127.0.0.1:5000"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
        {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "no-cors"},
    ],
)
def test_pages_of_other_origins_are_refused(
    dashboard: Any, method: str, headers: dict[str, str]
) -> None:
    assert ask(dashboard, method, **SAFE, **headers)["status"] == 403


def test_an_old_browser_is_known_by_its_referer(dashboard: Any) -> None:
    assert ask(dashboard, "POST", **SAFE, HTTP_REFERER="http://evil.example/x")["status"] == 403
    assert ask(dashboard, "POST", **SAFE, HTTP_REFERER="http://127.0.0.1:8080/x")["status"] == 200


def test_a_link_on_another_page_may_be_followed_but_not_framed(dashboard: Any) -> None:
    link = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "navigate"}
    assert ask(dashboard, **SAFE, **link, HTTP_SEC_FETCH_DEST="document")["status"] == 200
    assert ask(dashboard, **SAFE, **link, HTTP_SEC_FETCH_DEST="iframe")["status"] == 403
    assert ask(dashboard, "POST", **SAFE, **link, HTTP_SEC_FETCH_DEST="document")["status"] == 403


def test_answers_tell_the_browser_to_be_careful(dashboard: Any) -> None:
    headers = ask(dashboard, **SAFE)["headers"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers


def test_links_are_shown_as_they_are_served() -> None:
    app = with_links(application, "http://usual:1/", "http://127.0.0.1:54321/")
    answer = ask(app, path="/api/studies/1")
    assert answer["body"] == b'{"see": "http://127.0.0.1:54321/#/x"}'
    assert answer["headers"]["Content-Length"] == str(len(answer["body"]))
    assert b"http://usual:1/" in ask(app, path="/static/x.js")["body"]


def test_host_names_lose_their_port() -> None:
    names = ["a:1", "a", "[::1]:80", "[::1]", ""]
    assert [host_name(name) for name in names] == ["a", "a", "::1", "::1", ""]


def test_behind_a_proxy_that_speaks_tls_pages_have_its_scheme(dashboard: Any) -> None:
    named = {"HTTP_HOST": "studies.example.org"}
    own = {"HTTP_ORIGIN": "https://studies.example.org"}
    plain = {"HTTP_ORIGIN": "http://studies.example.org"}
    assert ask(dashboard, "POST", **named, **own)["status"] == 200
    assert ask(dashboard, "POST", **named, **plain)["status"] == 403
    read = {"HTTP_REFERER": "https://studies.example.org/dashboard"}
    assert ask(dashboard, "POST", **named, **read)["status"] == 200
    assert (
        ask(dashboard, "POST", **named, HTTP_REFERER="http://studies.example.org/")["status"] == 403
    )


@pytest.mark.parametrize("path", ["/static/../..", "/static/..", "/artifacts/1/../../x"])
def test_a_path_that_climbs_leads_nowhere(dashboard: Any, path: str) -> None:
    assert ask(dashboard, path=path, **SAFE)["status"] == 404
