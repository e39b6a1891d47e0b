"""Where MLflow keeps things: the URI in its absolute form, its pages, and a quick look at it.

Nothing here imports MLflow, so that a wrong URI is told in milliseconds.
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import sqlite3
import ssl
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hpo.errors import TrackingError
from hpo.spec.locations import can_be_looked_up, set_in, why_unwritable, without_credentials

LOCAL_UI = "http://127.0.0.1:5000"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_EXPECTED = "http(s)://host:port, sqlite:///file.db, or the URL of a database that MLflow knows"


class TrackingServerAway(TrackingError):  # noqa: N818 - it names a state
    """The server does not answer now; a run goes on without it and its results wait on disk."""


def checked_uri(uri: str) -> str:
    """The URI in the form that means the same from any working folder.

    Raises:
        TrackingError: MLflow cannot use it: an unknown scheme, a `file:` store, no host or file.
    """
    scheme = uri.partition(":")[0].lower() if ":" in uri else ""
    if scheme in ("", "file"):
        raise _wrong(
            uri,
            "a folder (the file store, which MLflow has given up)",
            "Write sqlite:///mlflow.db, or start `mlflow server` and give its http:// address.",
        )
    dialect = scheme.partition("+")[0]
    if dialect == "sqlite":
        return _absolute_database(uri)
    if scheme in ("http", "https"):
        return _checked_address(uri).rstrip("/")
    if dialect in _DATABASES:
        return _checked_address(uri)
    if scheme == "databricks":
        return uri
    hint = "Write postgresql:// instead." if scheme == "postgres" else "Give one of those."
    raise _wrong(uri, f"the scheme {scheme}", hint)


def redact_text(text: str) -> str:
    """A message of another library with the credentials of every URL in it taken out."""
    return re.sub(r"\w[\w+.-]*://\S+", lambda url: without_credentials(url[0]), text)


def database_file(uri: str) -> Path | None:
    """The file of a checked sqlite URI, or None for any other."""
    if uri.partition(":")[0].partition("+")[0] != "sqlite":
        return None
    from sqlalchemy import make_url

    return Path(make_url(uri).database or "")


def database_uri(file: Path) -> str:
    """The URI of an SQLite file, with what a URI cannot hold written as SQLAlchemy reads it."""
    from sqlalchemy import URL

    return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)


def artifact_root(database: Path) -> Path:
    """Where a local store has its files: beside its database."""
    return database.parent / "mlruns"


def artifact_location(path: Path) -> str:
    """A path as MLflow keeps it, which reads it as a URI: what that reads differently is written as one."""
    return path.as_uri() if re.search(r"[%#?]", str(path)) else str(path)


def browser_url(uri: str) -> str:
    """Where a person finds the results: HPO_MLFLOW_URL, the server, or where `mlflow ui` serves."""
    public = (set_in(os.environ, "HPO_MLFLOW_URL") or "").rstrip("/")
    if public:  # a browser may know the server by another name than the workers
        return public
    return without_credentials(uri) if uri.startswith("http") else LOCAL_UI


def run_url(uri: str, experiment_id: str, run_id: str) -> str:
    """The page of a run."""
    return f"{browser_url(uri)}/#/experiments/{experiment_id}/runs/{run_id}"


def ping(tracking_uri: str, timeout_seconds: float = 5.0) -> None:
    """Look whether the tracking store can be used.

    Raises:
        TrackingServerAway: It does not answer now (a run may go on).
        TrackingError: It never will: a malformed URI, refused credentials, another program's
            address, a wrong file.
    """
    uri = checked_uri(tracking_uri)
    if uri.startswith("http"):
        _ping_server(uri, timeout_seconds)
    elif file := database_file(uri):
        _ping_file(uri, file)
    elif uri.partition("+")[0].partition(":")[0] in _DATABASE_PORTS:
        _ping_database(uri, timeout_seconds)


def _ping_server(uri: str, timeout_seconds: float) -> None:
    parts = urlsplit(uri)
    request = urllib.request.Request(
        without_credentials(uri) + "/api/2.0/mlflow/experiments/search?max_results=1"
    )
    user = unquote(parts.username or os.environ.get("MLFLOW_TRACKING_USERNAME", ""))
    password = unquote(parts.password or os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if user:
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {basic}")
    elif token:
        request.add_header("Authorization", f"Bearer {token}")
    context = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("1", "true"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds, context=context) as answer:
            json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise _wrong(
                uri,
                f"the credentials refused ({error.code})",
                "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
            ) from error
        if error.code < 500 and error.code not in (408, 429):
            raise _wrong(
                uri,
                f"an address that answers {error.code}",
                "Give the address that `mlflow server` prints.",
            ) from error
        raise _away(uri, f"the answer {error.code}") from error
    except (OSError, TimeoutError) as error:
        raise _away(
            uri, redact_text(str(getattr(error, "reason", error)) or type(error).__name__)
        ) from error
    except ValueError as error:
        raise _wrong(
            uri, "an answer that is not MLflow's", "Give the address that `mlflow server` prints."
        ) from error


def _ping_file(uri: str, file: Path) -> None:
    if not file.exists():
        folder = next(parent for parent in file.parents if parent.exists())
        why = why_unwritable(folder) if folder.is_dir() else "it is a file"
        if why is not None:
            found = f"{folder}, where nothing can be written ({why})"
            raise _wrong(uri, found, "Give a file elsewhere.")
        return
    try:
        # Not mode=ro, which cannot read what a process that was killed left to roll back.
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True)) as connection:
            rows = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
    except sqlite3.DatabaseError as error:
        raise _wrong(
            uri, f"a file that is no SQLite database ({error})", "Give another file."
        ) from error
    tables = {str(row[0]) for row in rows}
    if "studies" in tables and "experiments" not in tables:
        raise _wrong(
            uri, "an Optuna database", "Give MLflow a file of its own: their schemas clash in one."
        )


def _ping_database(uri: str, timeout_seconds: float) -> None:
    parts = urlsplit(uri)
    port = parts.port or _DATABASE_PORTS[parts.scheme.partition("+")[0]]
    try:
        socket.create_connection((parts.hostname or "localhost", port), timeout_seconds).close()
    except OSError as error:
        raise _away(uri, str(error)) from error


def _checked_address(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
        # A mark in the password may end the address early: what is left of it is not the host.
        is_whole = parts.netloc.rpartition("@")[2] == urlsplit(without_credentials(uri)).netloc
    except ValueError:
        is_whole = False
    if not is_whole:
        # Without the library's words, which may hold a part of the password, nor it as the cause.
        hint = "Write a number as the port, and marks in a password as %2F for /, %40 for @."
        raise _wrong(uri, "a malformed address", hint) from None
    if not host or re.search(r"\s", uri):
        raise _wrong(uri, "no host" if not host else "a space", "Correct the address.")
    if not can_be_looked_up(host):
        raise _wrong(uri, f"the host {host}", "Correct the address.")
    return uri


def _absolute_database(uri: str) -> str:
    from sqlalchemy import make_url

    path = uri.partition("?")[0].partition(":")[2]
    if not path.startswith("///") or path in ("///", "///:memory:"):
        found = "a database in memory" if path in ("///", "///:memory:") else "too few slashes"
        hint = "Write sqlite:///mlflow.db (relative) or sqlite:////folder/mlflow.db."
        raise _wrong(uri, found, hint)
    url = make_url(uri)
    url = url.set(database=os.path.abspath(url.database or ""))
    return url.render_as_string(hide_password=False)


def _wrong(uri: str, found: str, hint: str) -> TrackingError:
    return TrackingError(
        f"tracking URI {without_credentials(uri)}", found=found, expected=_EXPECTED, hint=hint
    )


def _away(uri: str, found: str) -> TrackingServerAway:
    return TrackingServerAway(
        f"tracking server {without_credentials(uri)}",
        found=found,
        expected="an answer",
        hint="Start it; until then results wait in the outbox and arrive later.",
    )
