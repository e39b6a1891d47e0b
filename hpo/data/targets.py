"""Columns of numbers that a text is to be given, as a rating is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpo.data.labelled import Labels
from hpo.data.labels import is_missing
from hpo.data.table import Table, kind_of, shortened
from hpo.errors import DataError
from hpo.spec.study import TaskName

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LARGEST: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Numbers:
    """Each text has a number."""

    column: str
    task: TaskName = "regression"
    doubtful_names: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.column,)

    def encode(
        self, table: Table, indices: NDArray[np.int64], *, published: bool
    ) -> tuple[Labels, NDArray[np.bool_]]:
        """Numbers, (n,) float32; 0 where there is none."""
        read = [
            _number(value, table, self.column, int(index))
            for value, index in zip(table.values(self.column, indices), indices, strict=True)
        ]
        missing = np.array([number is None for number in read], dtype=np.bool_)
        return np.array([number or 0 for number in read], dtype=np.float32), missing


def find_numbers(table: Table, column: str, indices: NDArray[np.int64]) -> Numbers:
    """The numbers in the label column of the training split.

    Raises:
        DataError: A cell holds something else, or all hold the same.
    """
    numbers = Numbers(column)
    labels, missing = numbers.encode(table, indices, published=False)
    found = labels[~missing]
    if len(found) and found.min() == found.max():
        raise DataError(
            table.place,
            found=f"the number {found[0]:g} in every row of the label column {shortened(column)}",
            expected="numbers that differ",
            hint="Name another column with --label-column.",
        )
    return numbers


def _number(value: object, table: Table, column: str, index: int) -> float | None:
    """The number in a cell, None where it is empty."""
    if is_missing(value):
        return None
    in_words = isinstance(value, str) and _NUMBER.fullmatch(value.strip())
    is_one = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if (in_words or is_one) and abs(number := float(str(value))) <= _LARGEST:
        return number
    raise _no_number(value, table, column, index)


def _no_number(value: object, table: Table, column: str, index: int) -> DataError:
    found = shortened(value) if isinstance(value, str | float | int) else kind_of(value)
    return DataError(
        table.where(index),
        found=f"{found} in the label column {shortened(column)}",
        expected='a number, as data.task = "regression" has it',
        hint="Correct the row, or name another column with --label-column.",
    )
