"""Folds of the training split: by class, by group or by time; pure, given the seed.

Which fold a text is in follows from a keyed hash of it, as in `hpo.data.splits`, not from the order of
the rows. Equal texts are never on both sides of a fold.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo.data.labelled import Fold, Split
from hpo.data.quotas import rank_of
from hpo.data.table import shortened
from hpo.errors import DataError

if TYPE_CHECKING:
    from hpo.spec.study import ValidationSection

_BINS = 10  # of labels that are numbers, for the sake of their distribution


def make_folds(
    split: Split,
    section: ValidationSection,
    label_names: Sequence[str],
    *,
    seed: int,
    wanted: NDArray[np.int64] | None = None,
) -> tuple[Fold, ...]:
    """The folds of a training split, none where validation is on a split of its own.

    Without a column each text is validated on once, and a class is spread evenly: by at most one
    text more in one fold than in another, unless its texts are repeated. By group the same is true of
    groups, as far as they can be spread. By time the texts are cut into one block more than there are
    folds: fold i trains on the first i blocks and is validated on the next, without the texts that
    training has already.

    Args:
        split: The training split, with the cells of the column that folds go by.
        section: How many folds, and by what.
        label_names: Of the classes, for messages.
        seed: The study's.
        wanted: Positions of the texts that may be trained on; None: all.

    Raises:
        DataError: The texts cannot be divided so, or a fold would train without one of the classes.
    """
    if not section.folds:
        return ()
    by_time = section.order is not None
    folds = _by_time(split, section) if by_time else _by_unit(split, section, seed)
    if wanted is not None:
        folds = tuple(Fold(np.intersect1d(f.train, wanted), f.validation) for f in folds)
    _check_classes(split, folds, label_names)
    return folds


def fingerprint_of(folds: Sequence[Fold], of_data: str) -> str:
    """The fingerprint of data that are divided so: that of the data where there are no folds."""
    if not folds:
        return of_data
    digest = hashlib.sha256(of_data.encode())
    for fold in folds:
        for part in (fold.train, fold.validation):
            digest.update(np.array(len(part), "<i8").tobytes() + part.astype("<i8").tobytes())
    return digest.hexdigest()


def validated_texts(folds: Sequence[Fold]) -> NDArray[np.int64]:
    """The texts that any of the folds is validated on, (texts,), in the order of the training split."""
    return np.sort(np.concatenate([fold.validation for fold in folds]))


def _by_unit(split: Split, section: ValidationSection, seed: int) -> tuple[Fold, ...]:
    """Whole units, the largest first, each where the fewest texts of its labels are so far."""
    units = by_hash(split, units_of(split), "folds", seed)
    if len(units) < section.folds:
        what = (
            "different texts"
            if section.group is None
            else f"groups in column {shortened(section.group)}"
        )
        raise DataError(
            split.origin,
            found=f"{what}: {len(units)}, for {section.folds} folds",
            expected=f"{section.folds} of them or more",
            hint="Lower validation.folds.",
        )
    labels, numbers = _labels_of(split.labels), range(section.folds)
    totals = Counter(label for each in labels for label in each)
    counts = {label: [0] * section.folds for label in totals}
    sizes = [0] * section.folds
    fold_of = np.empty(len(split), np.int64)
    for rows in sorted(units, key=len, reverse=True):
        brought = Counter(label for row in rows for label in labels[row])
        weights = {label: count / totals[label] for label, count in brought.items()}
        crowd = [sum(counts[label][fold] * w for label, w in weights.items()) for fold in numbers]
        fold = min(numbers, key=lambda fold: (crowd[fold], sizes[fold]))
        for label, count in brought.items():
            counts[label][fold] += count
        sizes[fold] += len(rows)
        fold_of[rows] = fold
    return tuple(
        Fold(np.flatnonzero(fold_of != number), np.flatnonzero(fold_of == number))
        for number in numbers
    )


def _by_time(split: Split, section: ValidationSection) -> tuple[Fold, ...]:
    keys, blocks = keys_of(split), section.folds + 1
    by_time = np.argsort(keys, kind="stable")
    cuts = [cut(keys[by_time], round(len(split) * part / blocks)) for part in range(1, blocks)]
    bounds = [*cuts, len(split)]
    folds = []
    for begin, end in pairwise(bounds):
        train = np.sort(by_time[:begin])
        known = {split.texts[text] for text in train}
        validation = [
            text for text in np.sort(by_time[begin:end]) if split.texts[text] not in known
        ]
        if not len(train) or not validation:
            raise DataError(
                split.origin,
                found=f"{len(np.unique(keys))} different times in {section.order}, so that a block "
                "in time has no texts of its own",
                expected=f"texts for {blocks} blocks, one more than folds",
                hint="Lower validation.folds, or name a finer column.",
            )
        folds.append(Fold(train, np.array(validation, dtype=np.int64)))
    return tuple(folds)


def cut(times: NDArray[np.float64], wanted: int) -> int:
    """Where to cut texts in order of time so that those of one time stay together, before `wanted`."""
    return int(np.searchsorted(times, times[min(wanted, len(times) - 1)]))


def units_of(split: Split) -> list[list[int]]:
    """The texts that must stay together: equal ones, and those of a group, through one another."""
    parents = list(range(len(split)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for keys in (split.texts, () if split.fold_keys is None else split.fold_keys.tolist()):
        first: dict[object, int] = {}
        for index, key in enumerate(keys):
            parents[root(index)] = root(first.setdefault(key, index))
    units: dict[int, list[int]] = {}
    for index in range(len(split)):
        units.setdefault(root(index), []).append(index)
    return list(units.values())


def by_hash(split: Split, units: Iterable[list[int]], purpose: str, seed: int) -> list[list[int]]:
    """Units of texts in the order of the least hash of their texts."""
    ranks = [rank_of(text, purpose, seed) for text in split.texts]
    return sorted(units, key=lambda rows: min(ranks[row] for row in rows))


def keys_of(split: Split) -> NDArray[Any]:
    """The cells of the column that folds go by, (texts,)."""
    assert split.fold_keys is not None, "read with the split"
    return split.fold_keys


def _labels_of(labels: NDArray[Any]) -> list[list[int]]:
    """The labels of each text by number; of labels that are numbers, which tenth they are in."""
    if labels.ndim > 1:
        return [np.flatnonzero(row).tolist() for row in labels]
    if labels.dtype.kind == "f":
        places = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
        labels = places * _BINS // len(labels)
    return [[label] for label in labels.tolist()]


def _check_classes(split: Split, folds: Sequence[Fold], label_names: Sequence[str]) -> None:
    """Raise DataError where a fold would train without a class that the split has."""
    labels = split.labels
    if labels.ndim != 1 or labels.dtype.kind == "f":
        return
    present = set(labels.tolist())
    for number, fold in enumerate(folds, start=1):
        absent = sorted(present - set(labels[fold.train].tolist()))
        if absent:
            names = ", ".join(shortened(label_names[label], 30) for label in absent[:3])
            raise DataError(
                split.origin,
                found=f"no text of {names}{', …' * (len(absent) > 3)} to train on in fold {number} "
                f"of {len(folds)}",
                expected="each class in the training texts of every fold",
                hint="Add texts of it, leave it out, or take other folds.",
            )
