"""Tags by which we alone find things again: in MLflow they are named so that its pages leave them out.

MLflow's pages show every tag but those that begin with `mlflow.`. Here, and in the outbox, tags have the names in
keys.py; they are translated where they are sent and where they are read. What an earlier release stored has
those names in MLflow too, and is read and found likewise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from hpo.tracking.keys import (
    OPERATION_TAG,
    OUTBOX_TAG,
    PUBLISHED_TAG,
    RUN_KEY_TAG,
    SETTLED_TAG,
    STUDY_KEY_TAG,
    STUDY_UID_TAG,
    TIMES_TESTED_TAG,
)

_PREFIX: Final = "mlflow."
_HIDDEN: Final = frozenset(
    (
        *(RUN_KEY_TAG, OUTBOX_TAG, SETTLED_TAG, OPERATION_TAG, STUDY_KEY_TAG, STUDY_UID_TAG),
        *(TIMES_TESTED_TAG, PUBLISHED_TAG),
    )
)


def name_in_mlflow(tag: str) -> str:
    """What a tag is called in MLflow."""
    return f"{_PREFIX}{tag}" if tag in _HIDDEN else tag


def sent(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as MLflow is given them."""
    return {name_in_mlflow(tag): value for tag, value in tags.items()}


def read(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that MLflow gave, under our names."""
    ours = {name_in_mlflow(tag): tag for tag in _HIDDEN}
    return {ours.get(name, name): value for name, value in tags.items()}


def spellings(tags: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Tags as MLflow may have them: as they are sent, and as an earlier release sent them, where that differs."""
    now, before = sent(tags), dict(tags)
    yield now
    if before != now:
        yield before
