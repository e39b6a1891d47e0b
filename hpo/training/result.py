"""What a trial tells of itself: evaluations on the way, and the result at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

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
    """

    index: int
    step: int
    epoch: float
    examples_seen: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrialResult:
    """A trial's end.

    Attributes:
        value: The study's metric at the best evaluation.
        probabilities: (validation texts, classes) there.
        seconds: Of training, over all attempts.
        micro_batch: What fitted into memory, None where all did.
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
