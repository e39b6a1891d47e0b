"""The column that folds go by: the group of each text, or its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo.data.columns import listed_columns
from hpo.data.labelled import Split
from hpo.data.labels import is_missing
from hpo.data.table import Table, kind_of, shortened
from hpo.errors import DataError, nearest_name

if TYPE_CHECKING:
    from hpo.spec.study import ValidationSection


def with_fold_keys(split: Split, table: Table, section: ValidationSection) -> Split:
    """A split with the group or the time of each of its texts, where folds go by a column.

    Args:
        split: Some rows of the table, by their numbers.
        table: Where the column is.
        section: Names it.

    Raises:
        DataError: There is no such column, or a cell of it is empty or no time.
    """
    if not section.folds or section.column is None:
        return split
    key = "group" if section.group else "order"
    cells = _cells(split, table, _named(table, section.column, key))
    missing = [index for index, cell in enumerate(cells) if is_missing(cell)]
    if missing:
        raise DataError(
            f"{table.place}, {split.rows_named(np.array(missing))}",
            found=f"no {key} in {len(missing):,} of {len(split):,} rows "
            f"(column {shortened(section.column)})",
            expected="one in each row, for no other says where a text may go",
            hint=f"Fill the column, remove those rows, or leave out validation.{key}.",
        )
    keys = _groups(cells) if key == "group" else _times(cells, split, section.column)
    return replace(split, fold_keys=keys)


def shared_groups(
    train: Split, test: Split, table: Table, section: ValidationSection
) -> tuple[str, ...]:
    """A warning where texts of a given test split are of groups that are trained on.

    Args:
        train: The training texts with their groups.
        test: Some rows of the table.
        table: Where the column may be.
        section: Names it.
    """
    if section.group is None or train.fold_keys is None:
        return ()
    named = shortened(section.group)
    if section.group not in table.names:
        return (
            f"{table.place}: no column {named}, so that nothing shows whether its texts are of groups "
            "that are trained on",
        )
    known, cells = set(train.fold_keys.tolist()), _cells(test, table, section.group)
    groups = ["" if is_missing(cell) else str(cell).strip() for cell in cells]
    shared = np.flatnonzero([group in known for group in groups])
    if not len(shared):
        return ()
    verb = "is" if len(shared) == 1 else "are"
    return (
        f"{test.origin}: {len(shared):,} of {len(test):,} test texts {verb} of groups (column {named}) "
        "that are trained on too: texts of new groups may be told apart less well than the test says "
        f"({test.rows_named(shared)})",
    )


def _cells(split: Split, table: Table, column: str) -> list[object]:
    """The cells of a column in the rows of a split."""
    values = table.column(column)
    return [values[position] for position in np.searchsorted(table.rows, split.rows)]


def _named(table: Table, wanted: str, key: str) -> str:
    if wanted in table.names:
        return wanted
    near = nearest_name(wanted, table.names)
    raise DataError(
        table.place,
        found=f"no column {shortened(wanted)}, but {listed_columns(table)}",
        expected=f"the column that validation.{key} names",
        hint=f"Perhaps {shortened(near)}?" if near else "Name another column.",
    )


def _groups(cells: Sequence[object]) -> NDArray[Any]:
    return np.array([str(cell).strip() for cell in cells], dtype=np.str_)


def _times(cells: Sequence[object], split: Split, column: str) -> NDArray[np.float64]:
    """The cells as numbers that have their order."""
    times = []
    for index, cell in enumerate(cells):
        time = _time(cell)
        if time is None:
            found = shortened(cell) if isinstance(cell, str) else kind_of(cell)
            raise DataError(
                split.where(index),
                found=f"{found} in the column {shortened(column)}",
                expected="a number, or a date as 2024-05-31 or 2024-05-31T12:30",
                hint="Correct that row, or name another column in validation.order.",
            )
        times.append(time)
    return np.array(times, dtype=np.float64)


def _time(cell: object) -> float | None:
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int | float):
        return float(cell)
    if isinstance(cell, datetime):
        return _seconds(cell)
    if isinstance(cell, date):
        return _seconds(datetime(cell.year, cell.month, cell.day))
    if not isinstance(cell, str):
        return None
    try:
        return float(cell)
    except ValueError:
        pass
    try:
        return _seconds(datetime.fromisoformat(cell.strip()))
    except ValueError:
        return None


def _seconds(time: datetime) -> float:
    """Since 1970; a time without a zone is taken as UTC, on every machine."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
