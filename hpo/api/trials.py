"""Trials as a program sees them: while a study runs, and when it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.runtime.events import TrialEnded
    from hpo.spec.options import OptionValue


class StopStudy(Exception):  # noqa: N818 - as StopIteration, it is no error
    """Raised by a callback of `Study.run` to end the run; all work is kept, and `run` goes on from there."""


@dataclass(frozen=True)
class Trial:
    """A trial.

    Attributes:
        number: In its study, from 0.
        state: COMPLETE, PRUNED or FAIL; RUNNING or WAITING of one that is not over.
        value: The study's metric on validation, of a pruned trial at its best evaluation; None where
            there is none.
        params: The searched options.
        seconds: That it took; None where that is not known.
        reason: Why it failed.
    """

    number: int
    state: str
    value: float | None
    params: Mapping[str, OptionValue] = field(default_factory=dict)
    seconds: float | None = None
    reason: str | None = None

    @staticmethod
    def of_event(event: TrialEnded) -> Trial:
        """The trial that has just ended."""
        point = dict(event.point)
        return Trial(event.number, event.state, event.value, point, event.seconds, event.reason)

    @staticmethod
    def of_record(record: Mapping[str, Any]) -> Trial:
        """A trial as the storage has it."""
        return Trial(
            number=record["number"],
            state=record["state"],
            value=record["value"],
            params=dict(record["params"]),
            seconds=record["seconds"],
            reason=record["reason"],
        )


Callback = Callable[[Trial], object]
"""Called in this process with each trial that a run finishes; what it returns is passed over."""
