"""What a worker tells of its work while it works, for whoever shows or supervises it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hpo.spec.options import OptionValue


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
    """A trial was evaluated.

    Attributes:
        number: The trial's in its study.
        share: Of its training that is done, 0 to 1.
        value: Of the study's metric.
    """

    number: int
    share: float
    value: float


@dataclass(frozen=True)
class TrialEnded:
    """An attempt at a trial is over.

    Attributes:
        number: The trial's in its study.
        state: COMPLETE, PRUNED, FAIL, or RELEASED where the trial was given back unfinished; RETRAINED
            of one that was over, and was trained once more for its weights.
        value: The study's metric at the best evaluation, where there is one.
        seconds: That the attempt took.
        reason: Why the trial failed.
        point: Its searched options, as far as they were drawn.
    """

    number: int
    state: str
    value: float | None
    seconds: float
    reason: str | None = None
    point: Mapping[str, OptionValue] = field(default_factory=dict)


Event = TrialStarted | FeatureProgress | TrialEvaluated | TrialEnded
Listener = Callable[[Event], None]


class View(Protocol):
    """Somebody who watches a study."""

    def on_event(self, event: Event) -> None: ...
    def close(self) -> None: ...
