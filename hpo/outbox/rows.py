"""The rows of an outbox's tables, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class WaitingOperation:
    """A stored operation.

    Attributes:
        attempted: It was sent before, and what became of it is not known.
    """

    id: int
    run_key: str
    kind: str
    body: str
    spooled: str | None
    attempted: bool


@dataclass(frozen=True)
class KnownRun:
    """A run that was opened through this file.

    Attributes:
        doubtful: Its creation may have happened twice.
    """

    run_key: str
    run_id: str
    experiment_id: str
    shared: bool
    doubtful: bool
    if_abandoned: Mapping[str, str]


@dataclass(frozen=True)
class Destination:
    """Where operations go, as it was noted; the folder may have been moved since.

    Attributes:
        uri: Without secrets, which `recall` knows.
        state_dir: The state folder at that time, None where an earlier version did not note it.
        run_ids: The runs that were opened there.
    """

    uri: str
    state_dir: str | None
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Doubt:
    """How often an operation was refused in a way that may pass, and when first, ms since the epoch."""

    tries: int
    since_ms: int


@dataclass(frozen=True)
class RejectedOperation:
    run_key: str
    kind: str
    body: str
    reason: str
