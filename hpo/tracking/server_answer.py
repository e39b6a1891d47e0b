"""What answers at an address: asked once as MLflow asks, within one deadline, and no more read than that takes."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from contextlib import closing
from typing import Final

from hpo.errors import TrackingError
from hpo.redaction import redact_text, without_credentials
from hpo.tracking.client_settings import authorization, signs_otherwise, tls
from hpo.tracking.uri import away, wrong_uri
from hpo.waiting import Deadline, within

_QUESTION: Final = "/api/2.0/mlflow/experiments/search?max_results=1"
_MOST_BYTES: Final = 4 << 20
_PASSING: Final = (408, 425, 429)
_NO_SERVER: Final = "Give the address that `mlflow server` prints."
_TLS_FAULTS: Final = {
    "WRONG_VERSION_NUMBER": (
        "an address that speaks no TLS",
        "Write http:// in place of https://.",
    ),
    "CERTIFICATE_VERIFY_FAILED": (
        "a certificate that is not trusted",
        "Set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of its authority.",
    ),
}


def ask_server(uri: str, seconds: float) -> None:
    """Ask for an experiment.

    Args:
        uri: Of the server, checked.
        seconds: For the whole answer, the look for its name included.

    Raises:
        TrackingServerAway: None answers now.
        TrackingError: It refuses us, it is no MLflow server, or a variable of MLflow's is wrong.
    """
    context = tls()
    try:
        content = within(
            seconds + 1, lambda: _answer(uri, seconds, context), name="hpo-server-probe"
        )
    except urllib.error.HTTPError as error:
        error.close()
        _look_at_status(uri, error)
    except http.client.RemoteDisconnected as error:
        raise away(uri, "a connection that was closed without an answer") from error
    except http.client.HTTPException as error:
        raise wrong_uri(uri, _other_than_http(error), _NO_SERVER) from error
    except TimeoutError as error:
        raise away(uri, f"no whole answer within {seconds:g} s") from error
    except OSError as error:
        raise _unreachable(uri, error, seconds) from error
    except ValueError as error:
        raise wrong_uri(uri, "an answer that is not MLflow's", _NO_SERVER) from error
    else:
        if not _is_mlflows(content):
            raise wrong_uri(uri, "an answer that is not MLflow's", _NO_SERVER)


def _answer(uri: str, seconds: float, context: ssl.SSLContext) -> bytes:
    request = urllib.request.Request(without_credentials(uri) + _QUESTION)
    header = authorization(uri)
    if header is not None:
        # Not to wherever it sends us on.
        request.add_unredirected_header("Authorization", header)
    deadline, content = Deadline(seconds), b""
    with closing(urllib.request.urlopen(request, timeout=seconds, context=context)) as answer:
        while len(content) <= _MOST_BYTES and not deadline.is_over:
            piece: bytes = answer.read1(_MOST_BYTES)
            if not piece:
                return content
            content += piece
    raise http.client.HTTPException("it does not end")


def _is_mlflows(content: bytes) -> bool:
    """Whether a document is what MLflow answers: one page of experiments, which may be empty."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict):
        return False
    return not document or isinstance(document.get("experiments"), list)


def _look_at_status(uri: str, error: urllib.error.HTTPError) -> None:
    """Raise what a status other than success means; nothing where only MLflow can sign a request."""
    if error.code in (401, 403):
        if signs_otherwise():
            return
        raise wrong_uri(
            uri,
            f"the credentials refused ({error.code})",
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
        ) from error
    if error.code >= 500 or error.code in _PASSING:
        raise away(uri, f"the answer {error.code}") from error
    found = f"an address that answers {error.code}"
    if 300 <= error.code < 400:
        found = f"an address that only ever sends on to another ({error.code})"
    raise wrong_uri(uri, found, _NO_SERVER) from error


def _unreachable(uri: str, error: OSError, seconds: float) -> TrackingError:
    reason = getattr(error, "reason", error)
    for fault, (found, hint) in _TLS_FAULTS.items():
        if isinstance(reason, ssl.SSLError) and reason.reason == fault:
            return wrong_uri(uri, found, hint)
    if isinstance(reason, ssl.SSLError) and not isinstance(reason, ssl.SSLEOFError):
        return wrong_uri(uri, f"an address that speaks no TLS ({reason.reason})", _NO_SERVER)
    if isinstance(reason, TimeoutError):
        return away(uri, f"no whole answer within {seconds:g} s")
    return away(uri, redact_text(str(reason)) or type(reason).__name__)


def _other_than_http(error: http.client.HTTPException) -> str:
    """What was found that http.client cannot read."""
    if isinstance(error, http.client.BadStatusLine):
        line = str(error.args[0])
        if line.startswith("\x15\x03"):  # an alert, as TLS has them
            return "an address that speaks TLS, which https:// is for"
        return f"no HTTP, but {line.strip()[:60]!r}"
    if isinstance(error, http.client.IncompleteRead):
        return "an answer that ends too soon, and is not MLflow's"
    return f"an answer that is not MLflow's ({str(error)[:60]})"
