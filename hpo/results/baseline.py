"""What the same answer for every text of a split gives, and how that answer is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hpo.data.reading import Reading
from hpo.data.table import shortened
from hpo.results.final_test import TestScore
from hpo.spec.study import Metric
from hpo.tasks.metrics import constant_answer

# Others may be of the probabilities.
OF_ANSWERS: Final = ("accuracy", "balanced_accuracy", "f1_macro", "mcc")


@dataclass(frozen=True)
class Baseline:
    """The same answer for every text of a split.

    Attributes:
        scores: What it gives at most, by metric.
        texts: In the split.
        counts: Those of each class or label.
        names: The classes', or none where a text is not of one class.
    """

    scores: Mapping[str, float]
    texts: int
    counts: Sequence[int]
    names: Sequence[str]

    def answer(self, metric: Metric) -> str:
        """The answer that is meant, in words."""
        if not self.names:
            return "the best same answer for every text"
        if metric in OF_ANSWERS:
            largest = shortened(self.names[int(np.argmax(self.counts))], 30)
            return f"always answering {largest}, the largest class"
        return "answering with the shares of the classes alone"

    def in_words(self, metrics: Sequence[Metric]) -> str:
        """`Always answering 'good', the largest class, would give accuracy 0.5200 there.`"""
        given = " and ".join(f"{metric} {self.scores[metric]:.4f}" for metric in metrics)
        answer = self.answer(metrics[0])
        comma = "," if self.names and metrics[0] in OF_ANSWERS else ""
        return f"{answer[0].upper()}{answer[1:]}{comma} would give {given} there."


def baseline_of_classes(
    counts: Sequence[int], label_names: Sequence[str], metrics: Sequence[Metric]
) -> Baseline:
    """That of a split whose texts are of one class each.

    Args:
        counts: Its texts by class.
        label_names: The classes, or none where they are not known.
        metrics: Names of further metrics.
    """
    names = label_names or [f"class {number}" for number in range(len(counts))]
    return Baseline(constant_answer(counts, metrics), sum(counts), counts, names)


def baseline_in(reading: Reading, split: str, metrics: Sequence[Metric]) -> Baseline:
    """That of a study's validation or test split, from what was read of it."""
    counts = reading.class_counts[split]
    if reading.task == "single_label":
        return baseline_of_classes(counts, reading.classes, metrics)
    return Baseline(reading.baselines[split], reading.rows[split], counts, ())


def baseline_of(test: TestScore, label_names: Sequence[str], metrics: Sequence[Metric]) -> Baseline:
    """That of the texts that a champion was tested on; label_names: as for `baseline_of_classes`."""
    if test.confusion:
        return baseline_of_classes([sum(row) for row in test.confusion], label_names, metrics)
    return Baseline(test.baseline, test.texts, [row[0] for row in test.by_label], ())
