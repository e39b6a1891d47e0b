"""What MLflow takes in one request: how many values, how long ones, and how much time for an upload."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpo.tracking.local_store import REQUEST_TIMEOUT_SECONDS

MAX_METRICS_PER_BATCH = 1000
MAX_PARAMS_PER_BATCH = 100
MAX_TAGS_PER_BATCH = 100
MAX_BATCH_CHARACTERS = 800_000
MAX_PARAM_CHARACTERS = 6000
MAX_TAG_CHARACTERS = 8000
MAX_DESCRIPTION_CHARACTERS = 5000
MAX_NOTE_CHARACTERS = 8000
MAX_EXPERIMENT_TAG_CHARACTERS = 5000

# An upload may take as long as a slow line needs, and the server's own store after it.
_UPLOAD_BYTES_PER_SECOND = 1 << 20
_UPLOAD_LONGEST_SECONDS = 900
_upload_lock = threading.RLock()


def cut(text: str, limit: int) -> str:
    """The text within MLflow's limit, with a note where something is left out."""
    if len(text) <= limit:
        return text
    note = f"… [cut from {len(text)} characters]"
    return text[: limit - len(note)] + note


@contextmanager
def upload_time(path: Path) -> Iterator[None]:
    """Give the requests of an upload time according to the size of its largest file."""
    sizes = [f.stat().st_size for f in path.rglob("*") if f.is_file()] if path.is_dir() else []
    largest = max(sizes, default=path.stat().st_size)
    seconds = REQUEST_TIMEOUT_SECONDS + largest // _UPLOAD_BYTES_PER_SECOND
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    # MLflow reads the variable at each request and takes no argument for it.
    with _upload_lock:
        before = os.environ.get(name)
        if before == str(REQUEST_TIMEOUT_SECONDS):
            os.environ[name] = str(min(seconds, _UPLOAD_LONGEST_SECONDS))
        try:
            yield
        finally:
            if before is not None:
                os.environ[name] = before


def characters_of(entity: Any) -> int:
    """How long a parameter or tag may be as JSON."""
    # Up to six characters of JSON for one of the text (\uXXXX).
    text = f"{entity.key}{entity.value}"
    return 40 + len(text) + 5 * sum(not character.isascii() for character in text)


def chunks(
    entities: Iterable[Any], most: int, characters: Callable[[Any], int]
) -> Iterator[list[Any]]:
    """Cut what is to be logged into requests: of at most so many, and of MAX_BATCH_CHARACTERS."""
    chunk: list[Any] = []
    total = 0
    for entity in entities:
        size = characters(entity)
        if chunk and (len(chunk) == most or total + size > MAX_BATCH_CHARACTERS):
            yield chunk
            chunk, total = [], 0
        chunk.append(entity)
        total += size
    if chunk:
        yield chunk
