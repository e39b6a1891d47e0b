"""MLflow made quiet and quick to fail, and a local store made by one process at a time."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from filelock import FileLock

from hpo.tracking.uri import database_file, database_uri, own_folder
from hpo.tracking.variables import drop_blank_variables

logger = logging.getLogger(__name__)

# One failing request returns within this time; the outbox does the waiting and the retrying.
REQUEST_TIMEOUT_SECONDS = 8
_import_lock = threading.Lock()
_QUIET: Mapping[str, str] = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST_TIMEOUT_SECONDS),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
}


def prepare_environment() -> None:
    """Give MLflow short time-outs, no retries, no telemetry and no chatter, unless told otherwise.

    To be called before MLflow is imported.
    """
    drop_blank_variables()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


@contextmanager
def importing_mlflow() -> Iterator[None]:
    """Held while a thread imports modules of MLflow: of two at once, each meets the other's half-made ones."""
    prepare_environment()
    with _import_lock:
        yield


@contextmanager
def store_lock(tracking_uri: str) -> Iterator[None]:
    """Held while a local store is set up: several processes at once would break its migrations."""
    file = database_file(tracking_uri)
    if file is None:
        yield
        return
    own_folder(file).mkdir(parents=True, exist_ok=True)
    lock = own_folder(file) / f"{file.name}.lock"
    with FileLock(lock, timeout=120, fallback_to_soft=False):
        yield


def drop_connections(tracking_uri: str) -> None:
    """Close what MLflow holds open of a local store: opened while it was read-only, a file stays so."""
    if database_file(tracking_uri) is None:
        return
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    for kind in (Registry, Tracking):
        engine = getattr(kind, "_engine_map", {}).get(tracking_uri)
        if engine is not None:
            engine.dispose()


def make_local_store(tracking_uri: str) -> None:
    """Make the local store if there is none, whole or not at all, in a process of its own.

    MLflow's migrations take seconds of Python work that would hold the training thread up, and a
    store whose making was cut short is one that MLflow cannot mend.
    """
    file = database_file(tracking_uri)
    if file is None or file.exists():
        return
    own_folder(file).mkdir(parents=True, exist_ok=True)
    begun = own_folder(file) / f"{file.name}.{uuid.uuid4().hex}"
    code = (
        "import sys; from mlflow.tracking import MlflowClient; "
        "MlflowClient(tracking_uri=sys.argv[1]).search_experiments(max_results=1)"
    )
    command = [sys.executable, "-P", "-c", code, database_uri(begun)]
    try:
        done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, timeout=120)
        if done.returncode == 0:
            # A link, not a renaming: a store that another made in the meantime is kept.
            os.link(begun, file)
        else:
            logger.debug("Making %s in a process failed: %s", file, done.stderr[-2000:])
    except (OSError, subprocess.TimeoutExpired) as error:
        # MLflow makes the store itself then, when its client is created.
        logger.debug("Making %s in a process failed: %s", file, error)
    finally:
        for leftover in (begun, begun.with_name(begun.name + "-journal")):
            leftover.unlink(missing_ok=True)
