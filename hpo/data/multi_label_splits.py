"""Splitting and sampling texts that have several labels each, so that every label keeps its share.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas, On the Stratification of Multi-Label Data,
2011): the label with the fewest texts left is shared out first, for it has the least choice. Chance is
replaced by a keyed hash of each text, as in all splitting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.data.labelled import Split
from hpo.data.quotas import rank_of


def divide_label_sets(
    split: Split, fractions: Sequence[float], *, seed: int
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], ...]]:
    """Positions of the rest, (n,), and of a part for each fraction.

    Rows with the same text stay together; texts with clashing labels stay in the rest, which has one
    text of each label at least.
    """
    rows_of_text: dict[str, list[int]] = {}
    for row, text in enumerate(split.texts):
        rows_of_text.setdefault(text, []).append(row)
    divisible = [
        (rank_of(text, "carve", seed), rows)
        for text, rows in rows_of_text.items()
        if len(rows) == 1 or not np.ptp(split.labels[rows], axis=0).any()
    ]
    groups = [rows for _, rows in sorted(divisible)]
    sizes = [round(fraction * len(split)) for fraction in fractions]
    shares = _Shares(split.labels, groups, sizes)
    clashing = set(range(len(split))).difference(*groups)
    shares.keep_one_of_each(np.count_nonzero(split.labels[sorted(clashing)], axis=0) > 0)
    shares.share_out()
    parts = tuple(np.array(sorted(part), dtype=np.int64) for part in shares.parts)
    remaining = np.ones(len(split), dtype=np.bool_)
    remaining[np.concatenate(parts)] = False
    return np.flatnonzero(remaining), parts


def sample_label_sets(split: Split, size: int, *, seed: int) -> NDArray[np.int64]:
    """Positions (size,) of a sample that has each label at least once, and about its share of each.

    Args:
        size: At least the number of labels.
    """
    ranked = sorted((rank_of(text, "sample", seed), row) for row, text in enumerate(split.texts))
    left_out = _Shares(split.labels, [[row] for _, row in ranked], [len(split) - size])
    left_out.keep_one_of_each(np.zeros(split.labels.shape[1], dtype=np.bool_))
    left_out.share_out()
    sampled = np.ones(len(split), dtype=np.bool_)
    sampled[left_out.parts[0]] = False
    return np.flatnonzero(sampled)


class _Shares:
    """Groups of rows being shared out among parts; what is in no part at the end is the rest.

    Attributes:
        parts: Rows by part, as far as they are shared out.
    """

    def __init__(
        self, labels: NDArray[np.float32], groups: Sequence[list[int]], sizes: Sequence[int]
    ) -> None:
        """Share out nothing yet.

        Args:
            labels: (rows, labels) of 0 and 1.
            groups: Rows that stay together and have the same labels, in the order of their ranks.
            sizes: Rows that each part is to have.
        """
        self.parts: list[list[int]] = [[] for _ in sizes]
        self._groups = groups
        self._sizes = sizes
        self._has = labels[[rows[0] for rows in groups]] > 0  # (groups, labels)
        self._labels_of = [np.flatnonzero(each).tolist() for each in self._has]
        self._free = np.ones(len(groups), dtype=np.bool_)  # in no part, and not kept for the rest
        self._seen = np.zeros(len(groups), dtype=np.bool_)  # by the turn of one of its labels
        self._wanted = (
            np.array(sizes)[:, None] / len(labels) * labels.sum(0)
        )  # (parts, labels) rows
        self._lacking: list[list[float]] = self._wanted.tolist()

    def keep_one_of_each(self, kept: NDArray[np.bool_]) -> None:
        """Leave a group of each label to the rest, the rarest first. kept: (labels,) what is there."""
        kept = kept.copy()
        for label in np.argsort(self._has.sum(0), kind="stable"):
            groups = np.flatnonzero(self._has[:, label])
            if not kept[label] and len(groups):
                self._free[groups[0]] = False
                kept |= self._has[groups[0]]

    def share_out(self) -> None:
        """Give each part its share of every label, then of the texts without, then what it still lacks."""
        left = set(range(self._has.shape[1]))
        while left:
            waiting = self._has[self._free & ~self._seen].sum(0)
            label = min(left, key=lambda each: (waiting[each], each))
            left.remove(label)
            among = self._has[:, label] & ~self._seen
            for part, lacking in enumerate(self._lacking):
                has_none = lacking[label] == self._wanted[part, label]
                self._give(part, among, max(math.floor(lacking[label] + 0.5), has_none))
            self._seen |= among
        for part, size in enumerate(self._sizes):
            self._give(part, self._has.sum(1) == 0, size)
        for part, size in enumerate(self._sizes):
            self._give(part, self._free, size, more_than_lacking=True)

    def _give(
        self, part: int, among: NDArray[np.bool_], quota: int, *, more_than_lacking: bool = False
    ) -> None:
        """Give a part rows of free groups among these, as many as the quota and its size allow.

        Args:
            more_than_lacking: Also those that have a label of which the part has enough.
        """
        rows, lacking = self.parts[part], self._lacking[part]
        quota = min(quota, self._sizes[part] - len(rows))
        for group in np.flatnonzero(among & self._free).tolist():
            more, labels = self._groups[group], self._labels_of[group]
            if len(more) > quota:
                continue
            if more_than_lacking or all(lacking[each] > len(more) - 1 for each in labels):
                rows += more
                quota -= len(more)
                self._free[group] = False
                for label in labels:
                    lacking[label] -= len(more)
