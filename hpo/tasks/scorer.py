"""What a metric is, and which metrics fit which task."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.spec.registries import METRICS
from hpo.spec.study import Direction


@dataclass(frozen=True)
class Scorer:
    """A metric.

    Attributes:
        score: From what a task says of the texts, (texts, scores), and their labels to the score.
        direction: Whether more or less of it is better.
        tasks: The kinds of labels that it is of, by the names that `data.task` has for them.
    """

    score: Callable[[NDArray[np.float32], NDArray[Any]], float]
    direction: Direction
    tasks: tuple[str, ...] = ("single_label",)


def metrics_for(task: str) -> tuple[str, ...]:
    """The names of all metrics that fit a task."""
    return tuple(name for name in METRICS if task in METRICS[name].tasks)


def further_metrics(
    probabilities: NDArray[np.float32],
    labels: NDArray[Any],
    wanted: Iterable[str],
    *,
    known: Collection[str],
) -> dict[str, float]:
    """The wanted metrics that are not known yet.

    Raises:
        KeyError: There is no metric of such a name.
    """
    lacking = {name: METRICS[name] for name in wanted if name not in known}
    return {name: each.score(probabilities, labels) for name, each in lacking.items()}
