"""What a trial tells of itself: evaluations on the way, and the result at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

End = Literal["finished", "early", "pruned"]
"""How a trial ended: all steps made, stopped early for want of improvement, or pruned."""


class Verdict(Enum):
    """What whoever runs a trial says to an evaluation."""

    GO_ON = "go on"
    PRUNE = "prune"


@dataclass(frozen=True)
class Evaluation:
    """One pass over the validation split.

    Attributes:
        index: Which of the even fractions of training it is at, from 1: where there are fewer steps
            than fractions some are left out, so that the same index is the same amount of data for
            every batch size.
        epoch: Passes over the training split so far, a fraction.
        metrics: Under the names they have in MLflow.
        fold: Which of the folds it is in, from 1; None for one of the trial as a whole.
    """

    index: int
    step: int
    epoch: float
    examples_seen: int
    metrics: Mapping[str, float]
    fold: int | None = None

    @property
    def is_reported(self) -> bool:
        """Whether trials are compared by it: within a later fold they are not equally far."""
        return self.fold in (None, 1)


@dataclass(frozen=True)
class TimeParts:
    """On what else than training the seconds of a training went, and which of them it was spared.

    Attributes:
        evaluation: Of the evaluations, until their scores were known.
        waiting: That training stood still at them, until storage, pruner and MLflow had taken them.
        cache_saved: That frozen blocks would have taken for what was read of the cache; an estimate,
            and no part of the training's seconds.
    """

    evaluation: float = 0.0
    waiting: float = 0.0
    cache_saved: float = 0.0

    def as_attributes(self) -> dict[str, float]:
        """As attributes of a trial: `evaluation_seconds` and so on."""
        return {f"{name}_seconds": round(value, 3) for name, value in vars(self).items()}

    @staticmethod
    def of_attributes(attributes: Mapping[str, Any]) -> TimeParts:
        """What `as_attributes` has noted; 0 of what an earlier release did not note."""
        names = TimeParts.__dataclass_fields__
        return TimeParts(**{name: attributes.get(f"{name}_seconds", 0.0) for name in names})


@dataclass(frozen=True)
class TrialResult:
    """A trial's end.

    Attributes:
        value: The study's metric at `best`.
        best: The best evaluation, or the one that was chosen beforehand.
        probabilities: (validation texts, classes) there.
        seconds: Of training, over all attempts.
        micro_batch: What fitted into memory, None where all did.
        fold_values: The metric at the best evaluation of each fold, of a trial over folds; its value is
            their mean, its probabilities are those of all texts that they were validated on, in the
            order of the training split.
        fold_evaluations: The index of that evaluation of each fold.
        parts: On what its seconds went.
    """

    value: float
    best: Evaluation
    evaluations: int
    end: End
    seconds: float
    examples_seen: int
    probabilities: NDArray[np.float32]
    confusion: NDArray[np.int64]
    recalls: NDArray[np.float64]
    micro_batch: int | None
    fold_values: tuple[float, ...] = ()
    fold_evaluations: tuple[int, ...] = ()
    parts: TimeParts = field(default_factory=TimeParts)
