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


TrialEvent = TrialStarted | FeatureProgress | TrialEvaluated | TrialEnded


@dataclass(frozen=True)
class ConfirmationEvent:
    """What is told of a training that confirms a study.

    Attributes:
        event: As of a trial of the search; its number is of no meaning to people.
        run: The trial that is confirmed, and which of the new seeds it has, from 0, where that is known.
        trials: How many trials are confirmed.
        seeds: Trainings of each.
        finished: Trainings that were over when whoever tells this began.
    """

    event: TrialEvent
    run: tuple[int, int] | None
    trials: int
    seeds: int
    finished: int

    @property
    def title(self) -> str:
        """`Confirming the best 5 with 3 new seeds each`."""
        best = "the best trial" if self.trials == 1 else f"the best {self.trials}"
        seeds = "1 new seed" if self.seeds == 1 else f"{self.seeds} new seeds"
        return f"Confirming {best} with {seeds}{' each' if self.trials > 1 else ''}"


Event = TrialEvent | ConfirmationEvent
"""Of a trial of the search, or of a training that confirms one."""
Listener = Callable[[Event], None]


class View(Protocol):
    """Somebody who watches a study."""

    def on_event(self, event: Event) -> None: ...
    def close(self) -> None: ...


def name_of(event: Event) -> str:
    """Of which trial an event tells: `trial 7`, or `trial 7 with new seed 2`; empty where of none."""
    if isinstance(event, ConfirmationEvent):
        return "" if event.run is None else f"trial {event.run[0]} with new seed {event.run[1] + 1}"
    return "" if isinstance(event, FeatureProgress) else f"trial {event.number}"


def bare(event: Event) -> TrialEvent:
    """The event as of a trial of the search."""
    return event.event if isinstance(event, ConfirmationEvent) else event
