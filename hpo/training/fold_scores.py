"""What the finished folds of a trial have come to, and how a checkpoint of the next one holds it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hpo.training.checkpoint import Checkpoint, CheckpointFile
from hpo.training.result import End, Evaluation, TimeParts, TrialResult
from hpo.training.saved_progress import saved_folds

_FOLDS = "folds"
_HISTORY = "history_of_folds"


@dataclass(frozen=True, eq=False)
class FoldScore:
    """A fold's end.

    Attributes:
        value: The study's metric at the best evaluation.
        probabilities: (validation texts, scores) there.
    """

    value: float
    best: Evaluation
    evaluations: int
    end: End
    seconds: float
    examples_seen: int
    parts: TimeParts
    probabilities: NDArray[np.float32]

    @staticmethod
    def of(result: TrialResult) -> FoldScore:
        """What is kept of a training's result."""
        return FoldScore(
            value=result.value,
            best=result.best,
            evaluations=result.evaluations,
            end=result.end,
            seconds=result.seconds,
            examples_seen=result.examples_seen,
            parts=result.parts,
            probabilities=result.probabilities,
        )


def mean_evaluation(bests: Sequence[Evaluation], *, index: int, step: int) -> Evaluation:
    """The best evaluations of some folds as one: the means of their epochs and validation metrics.

    Args:
        bests: One of each fold, in their order.
        index: Of the mean, among the evaluations of the trial.
        step: Of the trial.

    Returns:
        With all examples that the folds had seen by then, and `val/best_epoch` among the metrics.
    """
    epoch = statistics.fmean(best.epoch for best in bests)
    names = [name for name in bests[0].metrics if name.startswith("val/")]
    return Evaluation(
        index=index,
        step=step,
        epoch=epoch,
        examples_seen=sum(best.examples_seen for best in bests),
        metrics={
            **{name: statistics.fmean(best.metrics[name] for best in bests) for name in names},
            "val/best_epoch": epoch,
        },
    )


class FoldsCheckpoint(CheckpointFile):
    """The checkpoint of the fold in training, with what the folds before it have come to."""

    def __init__(
        self,
        file: CheckpointFile,
        finished: list[FoldScore],
        history: list[Evaluation],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A view of the file.

        Args:
            file: Where it is, and when it is worth writing.
            finished: The folds before, as they are whenever a checkpoint is written.
            history: The evaluations of the trial, likewise.
            clock: Tells the time in seconds.
        """
        super().__init__(file.path, file.policy)
        self._finished = finished
        self._history = history
        self._clock = clock
        self._last_saved = clock()

    def is_due(self, seconds_since_last: float, size: int) -> bool:
        """As for any checkpoint, but by the time since one of any fold was written."""
        return super().is_due(self._clock() - self._last_saved, size)

    def write(self, checkpoint: Checkpoint, *, clock: Callable[[], float]) -> None:
        """Put a checkpoint of the running fold on the disk, with the finished ones beside it."""
        tensors = {
            f"{_FOLDS}/{number}": torch.from_numpy(score.probabilities)
            for number, score in enumerate(self._finished)
        }
        facts = {
            **checkpoint.facts,
            _FOLDS: [_facts(score) for score in self._finished],
            _HISTORY: [vars(evaluation) for evaluation in self._history],
        }
        super().write(Checkpoint({**checkpoint.tensors, **tensors}, facts), clock=clock)
        self._last_saved = self._clock()

    def read(self) -> Checkpoint | None:
        """The checkpoint of the running fold alone."""
        saved = super().read()
        if saved is None:
            return None
        facts = {key: fact for key, fact in saved.facts.items() if key not in (_FOLDS, _HISTORY)}
        return Checkpoint(saved.tensors, facts)


def finished_folds(saved: Checkpoint) -> tuple[list[FoldScore], list[Evaluation]]:
    """The finished folds and the evaluations that a checkpoint tells of; none where it is of no fold.

    Raises:
        ValueError, LookupError: It tells of something else.
    """
    folds, history = saved_folds(saved.facts.get(_FOLDS, []), saved.facts.get(_HISTORY, []))
    scores = [
        FoldScore(**vars(fold), probabilities=saved.tensors[f"{_FOLDS}/{number}"].numpy())
        for number, fold in enumerate(folds)
    ]
    return scores, history


def _facts(score: FoldScore) -> dict[str, Any]:
    facts = {name: value for name, value in vars(score).items() if name != "probabilities"}
    return {**facts, "best": vars(score.best), "parts": vars(score.parts)}
