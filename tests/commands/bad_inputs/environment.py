"""Environment variables of ours and of MLflow's that say what cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.commands.bad_inputs.case import Case

# Of every variable that the code reads, values that it cannot have; those with none take any text.
ABSURD: Final[Mapping[str, tuple[str, ...]]] = {
    "HPO_CACHE": ("~no-such-user/x", "x" * 300),
    "HPO_CACHE_LIMIT": ("much", "-1GB", "9" * 400, "1e999", "nan", "5 parsecs"),
    "HPO_DASHBOARD_URL": (
        "here",
        "javascript:alert(1)",
        "http://",
        "http://h:port",
        "http://[",
        "http://a b",
    ),
    # Looked at where something is fetched: tests/data/test_downloads.py.
    "HPO_DOWNLOAD_LIMIT": ("lots", "-1GB", "9" * 20 + "TB"),
    "HPO_DOWNLOAD_REFRESH": ("maybe",),
    "HPO_DOWNLOAD_TIMEOUT": ("soon", "9" * 20 + "h"),
    "HPO_LOG": ("BASIC_FORMAT", "loud", "10", "DEBUG INFO", "NOTSET", "\x1b[31m"),
    "HPO_MLFLOW_URL": (
        "here",
        "file:///etc/passwd",
        "https://",
        "http://h:99999",
        "http://h\x1b[31m",
    ),
    "HPO_STATE": ("~no-such-user/x", "x" * 300),
    "HPO_STORAGE": ("optuna.db", "redis://h", "sqlite://", "://", "sqlite:///" + "x" * 300),
}

_OF_MLFLOW: Final[Mapping[str, tuple[str, ...]]] = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": ("soon", "0", "-1", "9" * 30, "1.5"),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": ("many", "-1", "1000"),
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": ("x", "1000"),
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": ("x", "nan"),
    "MLFLOW_TRACKING_INSECURE_TLS": ("perhaps",),
    "MLFLOW_ENABLE_ASYNC_LOGGING": ("perhaps",),
    "MLFLOW_REGISTRY_URI": ("ftp://host", "./mlruns", "http://"),
    "MLFLOW_TRACKING_URI": ("ftp://host", "./mlruns", "sqlite://", "http://h:port", "://"),
}

_PLACES: Final = ("HPO_STORAGE", "MLFLOW_TRACKING_URI")

ENVIRONMENT = tuple(
    Case(
        f"{name}={value[:20]!r}, for {command}",
        "",
        "…: found …; expected …. …"
        if name in ("HPO_STORAGE", "MLFLOW_TRACKING_URI")
        else f"{name}…: found …; expected …. …",
        environment={name: value},
        command=command,
    )
    for name, values in {**ABSURD, **_OF_MLFLOW}.items()
    for number, value in enumerate(values)
    for command in (("run", "worker") if number == 0 else ("run",))
)
