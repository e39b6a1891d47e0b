"""The test score of a finished study: the only place that looks at the test split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.data.tokens import TokenizedSplit
from hpo.model.predictor import Predictor
from hpo.spec.study import Metric
from hpo.tasks.task import Task

_RESAMPLES = 200


@dataclass(frozen=True)
class TestScore:
    """Metrics on the test split, each with a 95 % percentile bootstrap interval over its texts.

    Attributes:
        confusion: Texts by true label (rows) and predicted label (columns).
    """

    texts: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    confusion: tuple[tuple[int, ...], ...]

    __test__ = False  # not a test case, whatever its name says to pytest


def final_test(
    classifier: Predictor, test: TokenizedSplit, *, metric: Metric, seed: int
) -> TestScore:
    """Classify the test split once and say how well, and how sure that is (Efron, 1979).

    Args:
        classifier: The best trial's, or an ensemble of several.
        test: The test split.
        metric: The study's, which is among the metrics whatever it is.
        seed: Of the texts that are drawn again.

    Returns:
        The metrics and their intervals.
    """
    probabilities = classifier.probabilities(test, "")
    labels = np.array(test.labels)
    matrix = classifier.task.confusion(probabilities, labels)
    return TestScore(
        texts=len(labels),
        metrics=classifier.task.metrics(probabilities, labels, [metric]),
        intervals=_intervals(classifier.task, probabilities, labels, metric, seed),
        confusion=tuple(tuple(row) for row in matrix.tolist()),
    )


def _intervals(
    task: Task,
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    metric: Metric,
    seed: int,
) -> dict[str, tuple[float, float]]:
    random = np.random.default_rng(seed)
    samples = []
    for _ in range(_RESAMPLES):
        drawn = random.integers(0, len(labels), len(labels))
        samples.append(task.metrics(probabilities[drawn], labels[drawn], [metric]))
    return {
        name: (
            float(np.quantile([sample[name] for sample in samples], 0.025)),
            float(np.quantile([sample[name] for sample in samples], 0.975)),
        )
        for name in samples[0]
    }
