"""What a worker tells of its work while it works, for whoever shows or supervises it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TrialStarted:
    number: int
    attempt: int


@dataclass(frozen=True)
class FeatureProgress:
    """Hidden states of `depth` frozen blocks are being computed: texts done of all."""

    depth: int
    done: int
    total: int


@dataclass(frozen=True)
class TrialEvaluated:
    """share: of the trial's training that is done, 0..1; value: of the study's metric."""

    number: int
    share: float
    value: float


@dataclass(frozen=True)
class TrialEnded:
    """state: COMPLETE, PRUNED, FAIL, or RELEASED where the trial was given back unfinished."""

    number: int
    state: str
    value: float | None
    seconds: float
    reason: str | None = None


Event = TrialStarted | FeatureProgress | TrialEvaluated | TrialEnded
Listener = Callable[[Event], None]
