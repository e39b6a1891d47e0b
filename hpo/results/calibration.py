"""Whether probabilities say how often answers are right: reliability, and the error that sums it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hpo.tasks.task import Labels, Probabilities, Task
from hpo.tasks.temperature import fitted_temperature, tempered

BINS: Final = 15  # as Guo et al. have them

_ONE_CLASS: Final = "single_label_classification"
_SEVERAL: Final = "multi_label_classification"


@dataclass(frozen=True)
class Bin:
    """Answers of like probability.

    Attributes:
        count: How many.
        confidence: The mean of their probabilities.
        accuracy: The share of them that are right.
    """

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be believed, before and after their temperature.

    Where a text is of one class, an answer is its likeliest class; where it may have several labels,
    each label of each text is one, right where the text has it.

    Attributes:
        temperature: That logits are divided by.
        before: Bins of equal width over [0, 1] that have an answer, from the least sure, without it.
        after: The same with it.
    """

    temperature: float
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]

    @property
    def error_before(self) -> float:
        """The expected calibration error without the temperature."""
        return expected_error(self.before)

    @property
    def error_after(self) -> float:
        """The same with it, as the model is served."""
        return expected_error(self.after)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Calibration:
        """The calibration whose fields a JSON document has."""
        before, after = (
            tuple(Bin(**each) for each in document[name]) for name in ("before", "after")
        )
        return Calibration(document["temperature"], before, after)

    def in_words(self) -> str:
        """One sentence for people."""
        told = f"Expected calibration error: {self.error_after:.4f}"
        if self.temperature == 1:
            return f"{told}; no temperature made validation likelier."
        return f"{told} (without temperature {self.temperature:.3g}: {self.error_before:.4f})."


def expected_error(bins: Sequence[Bin]) -> float:
    """The mean distance between confidence and accuracy, each bin counting for its answers (Naeini et al., 2015)."""
    count = sum(each.count for each in bins)
    far = sum(each.count * abs(each.accuracy - each.confidence) for each in bins)
    return far / count if count else 0.0


def calibration_of(task: Task, probabilities: Probabilities, labels: Labels) -> Calibration | None:
    """How far the probabilities of some texts can be believed; None where there are none.

    Args:
        task: As it is answered, with its temperature.
        probabilities: With it, (texts, scores).
        labels: Of the same texts.
    """
    if task.problem_type not in (_ONE_CLASS, _SEVERAL):
        return None
    one_class = task.problem_type == _ONE_CLASS
    before = tempered(probabilities, 1 / task.temperature, one_class=one_class)
    found = (
        _bins(*_answers(table, labels, one_class=one_class)) for table in (before, probabilities)
    )
    return Calibration(task.temperature, *found)


def temperature_for(task: Task, probabilities: Probabilities, labels: Labels) -> float:
    """The temperature that suits some texts best; 1 where the task has no probabilities.

    Args:
        task: Without a temperature yet.
        probabilities: Of texts that it was not trained on, (texts, scores).
        labels: Theirs.
    """
    if task.problem_type not in (_ONE_CLASS, _SEVERAL):
        return 1.0
    return fitted_temperature(probabilities, labels, one_class=task.problem_type == _ONE_CLASS)


def _answers(
    probabilities: Probabilities, labels: Labels, *, one_class: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How sure each answer is, and whether it is right, (answers,) each."""
    if not one_class:
        return probabilities.astype(np.float64).ravel(), (np.asarray(labels) > 0.5).ravel()
    return probabilities.max(1).astype(np.float64), probabilities.argmax(1) == labels


def _bins(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    place = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    counts, sums, hits = (
        np.bincount(place, weights, BINS) for weights in (None, sure, right.astype(np.float64))
    )
    return tuple(
        Bin(int(count), float(total / count), float(hit / count))
        for count, total, hit in zip(counts, sums, hits, strict=True)
        if count
    )
