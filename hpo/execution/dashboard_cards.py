"""What the Optuna dashboard leaves out: facts on the cards of its first page, metrics where studies are compared."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hpo.documents import parse_json
from hpo.execution.request_check import with_rewriting

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SCRIPT: Final = "/hpo/cards.js"
_TAG: Final = f'<script src="{_SCRIPT}" defer></script></body>'.encode()
_STUDY: Final = re.compile(r"/api/studies/\d+")


def with_cards(application: WSGIApplication) -> WSGIApplication:
    """The application whose cards say metric, best value, model and data, and whose studies go by name and metric."""
    pages = with_rewriting(
        application,
        lambda path: path.startswith("/dashboard"),
        lambda page: page.replace(b"</body>", _TAG),
    )
    named = with_rewriting(pages, lambda path: bool(_STUDY.fullmatch(path)), _with_metric)

    def ask(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != _SCRIPT:
            return named(environ, start_response)
        body = Path(__file__).with_name("cards.js").read_bytes()
        headers = [("Content-Type", "text/javascript"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]

    return ask


def _with_metric(body: bytes) -> bytes:
    """What the API says of a study, with its metric in its name: the legend of a comparison shows names alone."""
    study = parse_json(body) if body.startswith(b"{") else {}
    if not study.get("objective_names"):
        return body
    return json.dumps(
        {**study, "name": f"{study['name']} ({study['objective_names'][0]})"}
    ).encode()
