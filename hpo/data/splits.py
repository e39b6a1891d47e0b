"""Splitting validation and test splits off the training split, and sampling it; pure, given the seed.

What goes where follows from a keyed hash of each text, not from the order of the rows or a
library's generator: the same texts are split off on every machine, and a few rows more or less move a
few rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.data.labelled import Labels, Split
from hpo.data.multi_label_splits import divide_label_sets, sample_label_sets
from hpo.data.quotas import rank_of, rounded, take_groups
from hpo.errors import DataError

# Of fewer texts, training, validation and test could not have one each.
SMALLEST_DIVIDED_CLASS = 3
_NUMBER_STRATA = 10


@dataclass(frozen=True, eq=False)
class SplitOff:
    """Positions in the split that was divided: what stays, (n,), and the parts as asked for.

    Attributes:
        kept_whole: Numbers of the classes that were too small to divide and stayed.
    """

    remaining: NDArray[np.int64]
    parts: tuple[NDArray[np.int64], ...]
    kept_whole: tuple[int, ...]


def split_off(split: Split, fractions: Sequence[float], *, seed: int) -> SplitOff:
    """Divide a split into one part for each fraction and the rest, stratified by class.

    Rows with the same text stay together, so a class of repeated texts can miss its fraction; texts
    with clashing labels stay in the rest, as do classes of fewer than SMALLEST_DIVIDED_CLASS texts.
    Numbers are stratified by their quantiles, several labels a text as `multi_label_splits` says.

    Args:
        fractions: Of the whole split, their sum below 1. Each part has of each class its fraction
            of the rows, rounded up or down but at least one, as far as the rest keeps one text of
            it.
    """
    if split.labels.ndim == 2:
        return SplitOff(*divide_label_sets(split, fractions, seed=seed), ())
    strata = strata_of(split.labels)
    rows_of_text: dict[str, list[int]] = {}
    for row, text in enumerate(split.texts):
        rows_of_text.setdefault(text, []).append(row)
    groups_of_class: dict[int, list[tuple[bytes, list[int]]]] = {
        label: [] for label in sorted(set(strata.tolist()))
    }
    for text, rows in rows_of_text.items():
        labels = set(strata[rows].tolist()) if len(rows) > 1 else {int(strata[rows[0]])}
        if len(labels) == 1:
            groups_of_class[labels.pop()].append((rank_of(text, "carve", seed), rows))

    kept_whole = [
        label for label, groups in groups_of_class.items() if len(groups) < SMALLEST_DIVIDED_CLASS
    ]
    separated = {
        label: [rows for _, rows in sorted(groups)]
        for label, groups in groups_of_class.items()
        if len(groups) >= SMALLEST_DIVIDED_CLASS
    }
    sizes = np.array([sum(map(len, groups)) for groups in separated.values()], dtype=np.int64)
    parts: list[NDArray[np.int64]] = []
    for number, fraction in enumerate(fractions):
        later_parts = len(fractions) - number - 1
        part: list[int] = []
        quotas = np.maximum(rounded(sizes * fraction), 1)
        for groups, quota in zip(separated.values(), quotas.tolist(), strict=True):
            part += take_groups(groups, quota, leave=1 + later_parts)
        parts.append(np.array(sorted(part), dtype=np.int64))
    remaining = np.ones(len(split), dtype=np.bool_)
    for indices in parts:
        remaining[indices] = False
    return SplitOff(np.flatnonzero(remaining), tuple(parts), tuple(kept_whole))


def stratified_sample(split: Split, size: int, *, seed: int) -> NDArray[np.int64]:
    """Positions (size,) of a sample with the class shares of the split, each class at least once.

    Args:
        size: At least the number of classes or labels in the split, and of numbers at least two; a
            size above its length gives all of it.
    """
    if size >= len(split):
        return np.arange(len(split), dtype=np.int64)
    if split.labels.ndim == 2:
        return sample_label_sets(split, size, seed=seed)
    strata = strata_of(split.labels, most=size)
    ranked: dict[int, list[tuple[bytes, int]]] = {}
    for row, (text, label) in enumerate(zip(split.texts, strata.tolist(), strict=True)):
        ranked.setdefault(label, []).append((rank_of(text, "sample", seed), row))
    sizes = np.array([len(ranked[label]) for label in sorted(ranked)], dtype=np.int64)
    shares = sizes * (size / len(split))
    quotas = np.maximum(rounded(shares), 1)
    while quotas.sum() > size:  # the classes that were lifted to one row take it from the fullest
        quotas[np.argmax(np.where(quotas > 1, quotas - shares, -np.inf))] -= 1
    chosen = [
        row
        for label, quota in zip(sorted(ranked), quotas.tolist(), strict=True)
        for _, row in sorted(ranked[label])[:quota]
    ]
    return np.array(sorted(chosen), dtype=np.int64)


def strata_of(labels: Labels, most: int = _NUMBER_STRATA) -> NDArray[np.int64]:
    """What texts are alike in, (n,): their classes or, of numbers, the quantile.

    Args:
        labels: (n,) classes or numbers.
        most: As many strata of numbers, if they are to be fewer than usual.
    """
    if labels.dtype.kind != "f":
        return labels
    strata = min(_NUMBER_STRATA, most, max(1, len(labels) // SMALLEST_DIVIDED_CLASS))
    bounds = np.quantile(labels, np.arange(1, strata) / strata, method="inverted_cdf")
    return np.searchsorted(np.unique(bounds), labels).astype(np.int64)


def limited(train: Split, most: int | None, names: tuple[str, ...], seed: int) -> Split:
    """A sample of the training texts by class, all where they are no more than `most`.

    Raises:
        DataError: It would have fewer texts than there are classes.
    """
    if most is None or most >= len(train):
        return train
    if most < len(names):
        raise DataError(
            "data.max_train_examples",
            found=f"{most} for {len(names)} classes",
            expected=f"{len(names)} or more, one example of each class",
            hint="Raise it, or leave it out.",
        )
    return train.take(stratified_sample(train, most, seed=seed))
