"""The test score of a finished study: the only place that looks at the test split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.data.sealed import Sealed
from hpo.data.tokens import TokenizedSplit
from hpo.model.predictor import Predictor
from hpo.results.calibration import Calibration, calibration_of
from hpo.spec.study import Metric
from hpo.tasks.constant import same_answer
from hpo.tasks.task import Labels, Task

_RESAMPLES = 200


@dataclass(frozen=True)
class TestScore:
    """Metrics on the test split, each with a 95 % percentile bootstrap interval over its texts.

    Attributes:
        confusion: Texts by true label (rows) and predicted label (columns), where each has one.
        baseline: What the same answer for every text gives at most, by metric.
        label_counts: Where a text may have several labels, the texts of each label, those that were
            given it, and those of them that have it.
        calibration: How far its probabilities can be believed; None where it has none, or where an
            earlier release tested it.
    """

    texts: int
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    confusion: tuple[tuple[int, ...], ...]
    baseline: Mapping[str, float] = field(default_factory=dict)
    label_counts: tuple[tuple[int, int, int], ...] = ()
    calibration: Calibration | None = None

    @property
    def temperature(self) -> float:
        """That of the classifier that was tested."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    @property
    def by_label(self) -> tuple[tuple[int, int, int], ...]:
        """Of each class or label the texts, those that were given it, and those of them that have it."""
        if not self.confusion:
            return self.label_counts
        matrix = np.array(self.confusion, np.int64)
        columns = (matrix.sum(1).tolist(), matrix.sum(0).tolist(), np.diag(matrix).tolist())
        return tuple(zip(*columns, strict=True))

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> TestScore:
        """The score whose fields a JSON document has; one of an earlier release lacks the last ones."""
        values = dict(document)
        values["intervals"] = {name: tuple(pair) for name, pair in values["intervals"].items()}
        for name in ("confusion", "label_counts"):
            values[name] = tuple(tuple(row) for row in values.get(name, ()))
        told = values.pop("calibration", None)
        calibration = None if told is None else Calibration.from_json(told)
        return TestScore(calibration=calibration, **values)

    __test__ = False  # not a test case, whatever its name says to pytest


def final_test(
    classifier: Predictor, test: Sealed[TokenizedSplit], *, metric: Metric, seed: int
) -> TestScore:
    """Classify the test split once and say how well, and how sure that is (Efron, 1979).

    Args:
        classifier: The best trial's, or an ensemble of several.
        test: The test split, which is opened here alone.
        metric: The study's, which is among the metrics whatever it is.
        seed: Of the texts that are drawn again.

    Returns:
        The metrics and their intervals.
    """
    split = test.unsealed()
    probabilities, labels = classifier.probabilities(split, ""), np.array(split.labels)
    task, names = classifier.task, classifier.label_names
    matrix = task.confusion(probabilities, labels)
    return TestScore(
        texts=len(labels),
        metrics=task.metrics(probabilities, labels, [metric]),
        intervals=_intervals(task, probabilities, labels, metric, seed),
        confusion=tuple(tuple(row) for row in matrix.tolist()),
        baseline=same_answer(task, labels, names, [metric]),
        label_counts=_label_counts(labels, task.predictions(probabilities)),
        calibration=calibration_of(task, probabilities, labels),
    )


def _label_counts(labels: Labels, given: Labels) -> tuple[tuple[int, int, int], ...]:
    if labels.ndim != 2:
        return ()
    columns = [labels.sum(0), given.sum(0), (labels * given).sum(0)]
    return tuple(map(tuple, np.stack(columns, 1).astype(int).tolist()))


def _intervals(
    task: Task,
    probabilities: NDArray[np.float32],
    labels: Labels,
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
