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
    column = table.column(_named(table, section.column, key))
    positions = np.searchsorted(table.rows, split.rows)
    cells = [column[position] for position in positions]
    missing = [index for index, cell in enumerate(cells) if _is_missing(cell)]
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


def _is_missing(cell: object) -> bool:
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or cell != cell  # NaN


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
