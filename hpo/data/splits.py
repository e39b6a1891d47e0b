"""Splitting validation and test splits off the training split, and sampling it; pure, given the seed.

What goes where follows from a keyed hash of each text, not from the order of the rows or a
library's generator: the same texts are split off on every machine, and a few rows more or less move a
few rows only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from hpo.data.labelled import Split

# Of fewer texts, training, validation and test could not have one each.
SMALLEST_DIVIDED_CLASS = 3


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

    Args:
        fractions: Of the whole split, their sum below 1. Each part has of each class its fraction
            of the rows, rounded up or down but at least one, as far as the rest keeps one text of
            it.
    """
    rows_of_text: dict[str, list[int]] = {}
    for row, text in enumerate(split.texts):
        rows_of_text.setdefault(text, []).append(row)
    groups_of_class: dict[int, list[tuple[bytes, list[int]]]] = {
        label: [] for label in sorted(set(split.labels.tolist()))
    }
    for text, rows in rows_of_text.items():
        labels = set(split.labels[rows].tolist()) if len(rows) > 1 else {int(split.labels[rows[0]])}
        if len(labels) == 1:
            groups_of_class[labels.pop()].append((rank(text, "carve", seed), rows))

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
        quotas = np.maximum(_rounded(sizes * fraction), 1)
        for groups, quota in zip(separated.values(), quotas.tolist(), strict=True):
            part += _take(groups, quota, leave=1 + later_parts)
        parts.append(np.array(sorted(part), dtype=np.int64))
    remaining = np.ones(len(split), dtype=np.bool_)
    for indices in parts:
        remaining[indices] = False
    return SplitOff(np.flatnonzero(remaining), tuple(parts), tuple(kept_whole))


def stratified_sample(split: Split, size: int, *, seed: int) -> NDArray[np.int64]:
    """Positions (size,) of a sample with the class shares of the split, each class at least once.

    Args:
        size: At least the number of classes in the split; a size above its length gives all of it.
    """
    if size >= len(split):
        return np.arange(len(split), dtype=np.int64)
    ranked: dict[int, list[tuple[bytes, int]]] = {}
    for row, (text, label) in enumerate(zip(split.texts, split.labels.tolist(), strict=True)):
        ranked.setdefault(label, []).append((rank(text, "sample", seed), row))
    sizes = np.array([len(ranked[label]) for label in sorted(ranked)], dtype=np.int64)
    shares = sizes * (size / len(split))
    quotas = np.maximum(_rounded(shares), 1)
    while quotas.sum() > size:  # the classes that were lifted to one row take it from the fullest
        quotas[np.argmax(np.where(quotas > 1, quotas - shares, -np.inf))] -= 1
    chosen = [
        row
        for label, quota in zip(sorted(ranked), quotas.tolist(), strict=True)
        for _, row in sorted(ranked[label])[:quota]
    ]
    return np.array(sorted(chosen), dtype=np.int64)


def _take(groups: list[list[int]], quota: int, leave: int) -> list[int]:
    """Remove groups from the list, in its order, as long as their rows fit the quota; their rows.

    Where not even the first fits, the smallest is taken; `leave` groups stay.
    """
    taken: list[int] = []
    passed: list[list[int]] = []
    waiting = iter(groups)
    left = len(groups)
    for rows in waiting:
        if len(taken) == quota or left == leave:
            passed.append(rows)
            break
        if len(taken) + len(rows) <= quota:
            taken += rows
            left -= 1
        else:
            passed.append(rows)
    groups[:] = [*passed, *waiting]
    if not taken and left > leave:
        taken = groups.pop(min(range(len(groups)), key=lambda index: len(groups[index])))
    return taken


def _rounded(shares: NDArray[np.floating]) -> NDArray[np.int64]:
    """The shares rounded, up or down, so that their sum stays as near as can be."""
    # Shares that are whole but for the rounding of a product must not lose one to the floor.
    shares = np.round(shares, 9)
    quotas: NDArray[np.int64] = np.floor(shares).astype(np.int64)
    missing = int(np.floor(shares.sum() + 0.5)) - int(quotas.sum())
    by_remainder = np.argsort(quotas - shares, kind="stable")
    quotas[by_remainder[:missing]] += 1
    return quotas


def rank(text: str, purpose: str, seed: int) -> bytes:
    return blake2b(text.encode(), digest_size=16, key=f"{purpose} {seed}".encode()).digest()
