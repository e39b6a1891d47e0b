"""The most that the same answer for every text brings: what any score is to be held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hpo.spec.registries import METRICS
from hpo.spec.study import direction_of
from hpo.tasks.metrics import constant_answer
from hpo.tasks.task import Labels, Task

_MOST_SIZES: Final = 8


def same_answer(
    task: Task, labels: Labels, label_names: Sequence[str], also: Sequence[str] = ()
) -> dict[str, float]:
    """The most that the same answer for every text of a split brings in each metric.

    Of several labels and of numbers a few answers are tried, of which one is the best or near it.

    Args:
        task: What the texts are asked.
        labels: Theirs.
        label_names: Of the data.
        also: Names of further metrics.

    Returns:
        The scores by metric.
    """
    if labels.dtype.kind == "i":
        return constant_answer(np.bincount(labels, minlength=len(label_names)).tolist(), also)
    tried = [
        task.metrics(np.broadcast_to(answer, (len(labels), len(answer))), labels, also)
        for answer in _answers(labels)
    ]
    best = {"maximize": max, "minimize": min}
    return {
        name: best[direction_of(name)](scores[name] for scores in tried)
        for name in tried[0]
        if name in METRICS
    }


def _answers(labels: Labels) -> Iterator[NDArray[Any]]:
    """Answers, (scores,) each, that are best in some metric."""
    if labels.ndim == 1:
        yield np.array([labels.mean(dtype=np.float64)], dtype=np.float32)
        yield np.array([np.median(labels)], dtype=np.float32)
        return
    shares = labels.mean(0, dtype=np.float64).astype(np.float32)
    yield shares
    sets, texts = np.unique(labels, axis=0, return_counts=True)
    yield sets[texts.argmax()]
    falling = np.argsort(-shares, kind="stable")
    for size in np.unique(np.geomspace(1, len(shares), _MOST_SIZES).round().astype(int)):
        yield np.isin(np.arange(len(shares)), falling[:size]).astype(np.float32)
