"""New validation texts out of the training texts, which get old ones in their place; pure, given the seed.

What the old validation texts have chosen looks too good on them, and on texts that nothing was chosen
by as it is. What is drawn follows from a keyed hash of each text, as in `hpo.data.splits`.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from hpo.data.folds import by_hash, units_of
from hpo.data.labelled import Fold, Split
from hpo.data.multi_label_splits import divide_label_sets
from hpo.data.quotas import rank_of
from hpo.data.splits import strata_of


def exchanged(train: Split, validation: Split, *, seed: int, repetition: int) -> Fold:
    """Let some training texts and as many validation texts change places.

    Of each label as many are drawn as validation has, at most half of those that training has, so that
    both sides keep their sizes and what they have of each label; of several labels a text about so. Where
    the two have no label in common that can be drawn, it is the sizes alone.
    Equal texts stay on one side, those with clashing labels in training.

    Args:
        train: Of which no text is in `validation`.
        validation: The study's.
        seed: The study's.
        repetition: Others are drawn for each, and the same whatever other repetitions there are.

    Returns:
        Positions in the training texts followed by the validation texts; all that is validated on is of
        the former.
    """
    own = int.from_bytes(rank_of(str(repetition), "confirm", seed)[:4], "big")
    strata = _strata(train, validation)
    of_train, of_validation = strata[: len(train)], strata[len(train) :]
    if train.labels.ndim == 2:
        share = min(len(validation), len(train) // 2) / len(train)
        new = divide_label_sets(train, [share], seed=own)[1][0]
    else:
        new = _drawn(train, of_train, Counter(of_validation.tolist()), own)
    if not len(new):  # its labels are all too few, or their texts too often repeated
        new = np.array(by_hash(train, units_of(train), "confirm", own)[0], dtype=np.int64)
        of_train, of_validation = np.zeros_like(of_train), np.zeros_like(of_validation)
    old = _first(validation, of_validation, Counter(of_train[new].tolist()), own)
    kept = np.setdiff1d(np.arange(len(train)), new)
    return Fold(np.concatenate([kept, len(train) + old]), np.sort(new))


def _strata(train: Split, validation: Split) -> NDArray[np.int64]:
    """What texts of both are alike in; several labels a text are not asked for."""
    if train.labels.ndim == 2:
        return np.zeros(len(train) + len(validation), dtype=np.int64)
    return strata_of(np.concatenate([train.labels, validation.labels]))


def _drawn(
    train: Split, strata: NDArray[np.int64], wanted: Counter[int], seed: int
) -> NDArray[np.int64]:
    """Whole groups of equal texts, in the order of their hashes, as long as they fit."""
    have = Counter(strata.tolist())
    room = {label: min(count, have[label] // 2) for label, count in wanted.items()}
    drawn: list[int] = []
    for rows in by_hash(train, units_of(train), "confirm", seed):
        labels = set(strata[rows].tolist())
        label = labels.pop()
        if not labels and len(rows) <= room.get(label, 0):
            room[label] -= len(rows)
            drawn += rows
    return np.array(drawn, dtype=np.int64)


def _first(
    split: Split, strata: NDArray[np.int64], counts: Counter[int], seed: int
) -> NDArray[np.int64]:
    """So many texts of each stratum, as far as there are, those with the least hashes."""
    left, found = counts.copy(), []
    for [row] in by_hash(split, ([row] for row in range(len(split))), "confirm", seed):
        if left[int(strata[row])] > 0:
            left[int(strata[row])] -= 1
            found.append(row)
    return np.array(sorted(found), dtype=np.int64)
