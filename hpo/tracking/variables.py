"""MLflow's own environment variables, looked at before MLflow meets them in the middle of a study."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from hpo.errors import TrackingError
from hpo.redaction import without_credentials
from hpo.spec.environment import set_in
from hpo.tracking.uri import checked_uri

_PREFIX: Final = "MLFLOW_"
_REGISTRY: Final = "MLFLOW_REGISTRY_URI"
# How MLflow's module of variables says what each may be: `_EnvironmentVariable("NAME", int, 120)`.
_TYPED: Final = re.compile(
    r"_(?:EnvironmentVariable\(\s*\"(\w+)\",\s*(int|float)\b|BooleanEnvironmentVariable\(\s*\"(\w+)\")"
)
_SWITCH: Final = ("true", "false", "1", "0")
# What its HTTP client takes beyond the type, both ends included.
_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": (1, 86_400),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": (0, 9),
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": (0, 119),
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": (0, 86_400),
}


def drop_blank_variables() -> None:
    """Take variables of MLflow's that are blank out of the environment: it takes them for values."""
    for name in [name for name in os.environ if name.startswith(_PREFIX)]:
        if set_in(os.environ, name) is None:
            del os.environ[name]


def check_variables() -> None:
    """Raise TrackingError for a variable of MLflow's that MLflow itself will not take."""
    given = [name for name in os.environ if name.startswith(_PREFIX) and set_in(os.environ, name)]
    kinds = _kinds() if given else {}
    for name in sorted(kinds.keys() & set(given)):
        _check(name, os.environ[name], kinds[name])
    registry = set_in(os.environ, _REGISTRY)
    if registry is not None:
        try:
            checked_uri(registry)
        except TrackingError as error:
            raise TrackingError(
                f"{_REGISTRY} ({without_credentials(registry)})",
                found=error.found,
                expected=error.expected,
                hint=f"Correct it, or unset {_REGISTRY}.",
            ) from error


def _check(name: str, text: str, kind: str) -> None:
    low, high = _BOUNDS.get(name, (float("-inf"), float("inf")))
    if kind == "bool":
        fits, expected = text.lower() in _SWITCH, "true or false"
    else:
        expected = "a whole number" if kind == "int" else "a number"
        expected += f" from {low} to {high}" if name in _BOUNDS else ""
        try:
            fits = low <= (int(text) if kind == "int" else float(text)) <= high
        except ValueError:
            fits = False
    if not fits:
        raise TrackingError(
            name,
            found=repr(text[:60]),
            expected=f"{expected}, as MLflow takes it",
            hint=f"Correct it, or unset {name}.",
        )


def _kinds() -> dict[str, str]:
    """The variables that the installed MLflow reads as numbers and switches, by name."""
    mlflow = find_spec("mlflow")
    found: dict[str, str] = {}
    for place in (mlflow.submodule_search_locations if mlflow else None) or ():
        file = Path(place, "environment_variables.py")
        for number, kind, switch in _TYPED.findall(file.read_text(encoding="utf-8")):
            found[number or switch] = kind or "bool"
    return found
