"""Where MLflow keeps things: the URI in its absolute form, and its pages.

Nothing here imports MLflow, so that a wrong URI is told in milliseconds.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from hpo.errors import TrackingError
from hpo.redaction import WRITE_MARKS, redacted, remember, why_ambiguous, without_credentials
from hpo.spec.environment import set_in
from hpo.spec.locations import DEFAULT_TRACKING, can_be_looked_up

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
    remember(uri)
    scheme = uri.partition(":")[0].lower() if ":" in uri else ""
    if scheme in ("", "file"):
        raise wrong_uri(
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
    raise wrong_uri(uri, f"the scheme {scheme}", hint)


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


def own_folder(database: Path) -> Path:
    """Where we keep what goes with a local store: locks, and one that is being made."""
    return database.parent / ".hpo"


def artifact_location(path: Path) -> str:
    """A path as MLflow keeps it, which reads it as a URI: what that reads differently is written as one."""
    return path.as_uri() if re.search(r"[%#?]", str(path)) else str(path)


def browser_url(uri: str) -> str:
    """Where a person finds the results: HPO_MLFLOW_URL, the server, or where `mlflow ui` serves."""
    public = without_credentials(set_in(os.environ, "HPO_MLFLOW_URL") or "").rstrip("/")
    if public:  # a browser may know the server by another name than the workers
        return public
    return without_credentials(uri) if uri.startswith("http") else LOCAL_UI


def ui_command(uri: str) -> str:
    """What a person types to see the results, in the folder of the run."""
    if not uri.startswith("sqlite"):
        return f"open {redacted(uri)}"
    found_by_default = uri == DEFAULT_TRACKING and not any(
        set_in(os.environ, name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_BACKEND_STORE_URI")
    )
    # Where MLflow finds experiments of its former file store, it takes that by default.
    if found_by_default and not any(Path("mlruns").glob("[0-9]*/meta.yaml")):
        return "mlflow ui"
    return f"mlflow ui --backend-store-uri {shlex.quote(uri)}"


def run_url(uri: str, experiment_id: str, run_id: str) -> str:
    """The page of a run."""
    return f"{browser_url(uri)}/#/experiments/{experiment_id}/runs/{run_id}"


def _checked_address(uri: str) -> str:
    ambiguous = why_ambiguous(uri)
    if ambiguous is not None:
        raise wrong_uri(uri, ambiguous, WRITE_MARKS)
    if re.search(r"[\s\x00-\x1f\x7f]", uri):
        raise wrong_uri(uri, "a space or a control character", "Write it as %20 and the like.")
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
        # A mark in the password may end the address early: what is left of it is not the host.
        is_whole = parts.netloc.rpartition("@")[2] == urlsplit(without_credentials(uri)).netloc
    except ValueError:
        is_whole = False
    if not is_whole:
        # Without the library's words, which may hold a part of the password, nor it as the cause.
        hint = f"Write a number as the port. {WRITE_MARKS}"
        raise wrong_uri(uri, "a malformed address", hint) from None
    if not host:
        raise wrong_uri(uri, "no host", "Correct the address.")
    if not can_be_looked_up(host):
        raise wrong_uri(uri, f"the host {host}", "Correct the address.")
    return uri


def _absolute_database(uri: str) -> str:
    from sqlalchemy import make_url

    path = uri.partition("?")[0].partition(":")[2]
    if not path.startswith("///") or path in ("///", "///:memory:"):
        found = "a database in memory" if path in ("///", "///:memory:") else "too few slashes"
        hint = "Write sqlite:///mlflow.db (relative) or sqlite:////folder/mlflow.db."
        raise wrong_uri(uri, found, hint)
    url = make_url(uri)
    url = url.set(database=os.path.abspath(url.database or ""))
    return url.render_as_string(hide_password=False)


def wrong_uri(uri: str, found: str, hint: str) -> TrackingError:
    """The error for a URI that nothing can be sent to, now or later."""
    return TrackingError(
        f"tracking URI {without_credentials(uri)}", found=found, expected=_EXPECTED, hint=hint
    )


def away(uri: str, found: str) -> TrackingServerAway:
    """The error for a server that does not answer now."""
    return TrackingServerAway(
        f"tracking server {without_credentials(uri)}",
        found=found,
        expected="an answer",
        hint="Start it; until then results wait in the outbox and arrive later.",
    )
