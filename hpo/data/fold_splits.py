"""The splits of a study with folds: no validation split, and a test split that folds would not leak into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpo.data.checks import without_texts_of
from hpo.data.fold_columns import shared_groups, with_fold_keys
from hpo.data.folds import by_hash, cut, keys_of, units_of
from hpo.data.labelled import Split
from hpo.data.source_tables import SourceTables
from hpo.errors import DataError

if TYPE_CHECKING:
    from hpo.spec.study import ValidationSection

Splits = tuple[Split, dict[str, Split], tuple[str, ...]]
"""The training split, the held-out splits by their roles, and warnings."""


def ready_for_folds(
    train: Split, given: Mapping[str, Split], source: SourceTables, section: ValidationSection
) -> Splits:
    """The splits of a source, the validation split among the training texts where there are folds.

    Raises:
        DataError: The column that folds go by is not there, or lacks cells.
    """
    held_out = dict(given)
    if not section.folds:
        return train, held_out, ()
    train = with_fold_keys(train, source.train, section)
    warnings: tuple[str, ...] = ()
    validation = held_out.pop("validation", None)
    if validation is not None and source.validation is not None:
        train = _joined(train, with_fold_keys(validation, source.validation, section))
        warnings += (
            f"{validation.origin}: its {len(validation):,} texts are used for training and validation, "
            f"as all others in the {section.folds} folds",
        )
    if "test" in held_out and source.test is not None:
        warnings += shared_groups(train, held_out["test"], source.test, section)
    return train, held_out, warnings


def with_splits_for_folds(
    train: Split, given: Mapping[str, Split], fraction: float, section: ValidationSection, seed: int
) -> Splits:
    """The same with an empty validation split where there are folds, and by a column a test split.

    Args:
        train: The training split.
        given: The held-out splits that there are.
        fraction: Of the training split, for the test split, where there is none.
        section: How many folds, and by what.
        seed: The study's.

    Raises:
        DataError: No test split can be split off by the column.
    """
    if not section.folds:
        return train, dict(given), ()
    held_out = {**given, "validation": train.take(np.empty(0, np.int64))}
    if section.column is None or "test" in given:
        return train, held_out, ()
    remaining, test = _positions(train, fraction, section, seed=seed)
    rest, held_out["test"] = train.take(remaining), train.take(test)
    rest, notes = without_texts_of(rest, held_out["test"], role="training", other_role="test")
    return rest, held_out, notes


def _joined(train: Split, validation: Split) -> Split:
    """A validation split behind the training split: with folds there is no other use for it."""
    keys = None
    if train.fold_keys is not None and validation.fold_keys is not None:
        keys = np.concatenate([train.fold_keys, validation.fold_keys])
    return replace(
        train,
        texts=train.texts + validation.texts,
        labels=np.concatenate([train.labels, validation.labels]),
        rows=np.concatenate([train.rows, validation.rows]),
        origin=f"{train.origin} and {validation.origin}",
        fold_keys=keys,
    )


def _positions(
    split: Split, fraction: float, section: ValidationSection, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What remains of a split and its test part, which is of other groups, or of the latest times.

    Args:
        split: With the cells of the column that folds go by.
        fraction: Of its texts. Groups that are larger than what is still wanted stay.
        section: By what folds go.
        seed: The study's.

    Returns:
        Positions, (remaining texts,) and (test texts,).

    Raises:
        DataError: One of the two would have no texts.
    """
    wanted = round(len(split) * fraction)
    if section.order is not None:
        by_time = np.argsort(keys_of(split), kind="stable")
        begin = cut(keys_of(split)[by_time], len(split) - wanted)
        rest, test = np.sort(by_time[:begin]), np.sort(by_time[begin:])
    else:
        chosen: list[int] = []
        for rows in by_hash(split, units_of(split), "carve", seed):
            if len(chosen) + len(rows) <= wanted:
                chosen += rows
        test = np.array(sorted(chosen), dtype=np.int64)
        rest = np.setdiff1d(np.arange(len(split)), test)
    if not len(rest) or not len(test):
        raise DataError(
            split.origin,
            found=f"no way to split off a test split of {fraction:.0%} by {section.column}",
            expected="groups that are smaller, or times that are finer",
            hint="Name another column, or give a test split of its own.",
        )
    return rest, test
