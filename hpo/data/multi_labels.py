"""Labels of which a text may have several, or none: in a list, in a cell of text, or in columns of 0 and 1.

A cell that is empty in a file of text, and an empty list, is a text without labels; where there is no
cell at all (null), the text is unlabelled and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hpo.data.labelled import Labels
from hpo.data.labels import check_unicode, is_missing, too_many, unknown_label
from hpo.data.several_labels import SEPARATORS, listed_items
from hpo.data.table import Table, kind_of, shortened
from hpo.errors import DataError
from hpo.spec.numbers import counted
from hpo.spec.study import TaskName

_BITS: Final = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


@dataclass(frozen=True)
class LabelLists:
    """Each cell of a column holds all labels of its text.

    Attributes:
        in_text: The cells are text, parted by the delimiter or, without one, written as lists.
        index_names: Where lists hold indices of named labels, all names.
    """

    column: str
    names: tuple[str, ...]
    in_text: bool
    delimiter: str | None
    index_names: tuple[str, ...] = ()
    task: TaskName = "multi_label"

    @property
    def doubtful_names(self) -> bool:
        return not self.index_names

    def encode(
        self, table: Table, indices: NDArray[np.int64], *, published: bool
    ) -> tuple[Labels, NDArray[np.bool_]]:
        """0 and 1, (n, labels) float32."""
        number = {name: index for index, name in enumerate(self.names)}
        labels = np.zeros((len(indices), len(self.names)), dtype=np.float32)
        missing = np.zeros(len(indices), dtype=np.bool_)
        for row, each in enumerate(self.read(table, indices)):
            if each is None:
                missing[row] = True
                continue
            for name in each:
                if name not in number:
                    raise unknown_label(table, self.names, name, indices[row : row + 1])
                labels[row, number[name]] = 1
        if published and not labels.any():
            missing[:] = True
        return labels, missing

    def read(self, table: Table, indices: NDArray[np.int64]) -> list[tuple[str, ...] | None]:
        """The names in each of some cells, None where there is no cell."""
        return [
            self._names_in(value, table, int(index))
            for value, index in zip(table.values(self.column, indices), indices, strict=True)
        ]

    def _names_in(self, value: object, table: Table, index: int) -> tuple[str, ...] | None:
        if isinstance(value, str):
            return self._names_in_text(value, table, index)
        if is_missing(value):
            return None
        if not isinstance(value, list | tuple):
            raise self._no_labels(kind_of(value), table, index)
        names = [self._name(item, table, index) for item in value]
        return tuple(name for name in names if name)

    def _names_in_text(self, cell: str, table: Table, index: int) -> tuple[str, ...]:
        if not cell.strip():
            return ()
        items = cell.split(self.delimiter) if self.delimiter is not None else listed_items(cell)
        if items is None:
            separators = [mark for mark in SEPARATORS if mark in cell]
            raise DataError(
                table.where(index),
                found=f"the text {shortened(cell)} in the label column {shortened(self.column)}",
                expected="lists of labels, or data.label_delimiter to say what parts them",
                hint=f'Set data.label_delimiter = "{(separators or [","])[0]}".',
            )
        return tuple(name for item in items if (name := item.strip()))

    def _name(self, item: object, table: Table, index: int) -> str:
        if self.index_names and isinstance(item, int):
            if 0 <= item < len(self.index_names):
                return self.index_names[item]
            raise self._no_labels(f"the index {item}", table, index)
        if isinstance(item, bool) or not isinstance(item, str | int):
            raise self._no_labels(f"a list with {kind_of(item)}", table, index)
        return str(item).strip()

    def _no_labels(self, found: str, table: Table, index: int) -> DataError:
        names = f" below {len(self.index_names)}" if self.index_names else ""
        return DataError(
            table.where(index),
            found=f"{found} in the label column {shortened(self.column)}",
            expected=f'lists of names or whole numbers{names}, as data.task = "multi_label" has them',
            hint="Correct the row, name another column with --label-column, or name a column of 0 and"
            " 1 for each label in data.label.",
        )


@dataclass(frozen=True)
class LabelColumns:
    """A column of 0 and 1 for each label, which is called after it."""

    names: tuple[str, ...]
    task: TaskName = "multi_label"
    doubtful_names: bool = False

    def encode(
        self, table: Table, indices: NDArray[np.int64], *, published: bool
    ) -> tuple[Labels, NDArray[np.bool_]]:
        """0 and 1, (n, labels) float32. A row where a label is left open, with -1 too, has none."""
        labels = np.zeros((len(indices), len(self.names)), dtype=np.float32)
        missing = np.zeros(len(indices), dtype=np.bool_)
        for column, name in enumerate(self.names):
            for row, value in enumerate(table.values(name, indices)):
                bit = _bit(value)
                if bit is None:
                    raise _no_bit(value, table, name, int(indices[row]))
                missing[row] |= bit < 0
                labels[row, column] = max(bit, 0)
        return labels, missing


def find_label_lists(
    table: Table, column: str, indices: NDArray[np.int64], delimiter: str | None
) -> LabelLists:
    """The labels in a column of lists, or of text with several in a cell, of the training split.

    Whole numbers come in their order, text by code point, named labels in the order of their names.

    Raises:
        DataError: A cell holds something else, there are fewer than two labels, or the delimiter
            parts none.
    """
    values = table.values(column, indices)
    in_text = any(isinstance(value, str) and value.strip() for value in values)
    index_names = table.class_names.get(column, ())
    reader = LabelLists(column, (), in_text, delimiter, index_names)
    counts: dict[str, int] = {}
    for cell in reader.read(table, indices):
        for name in set(cell or ()):
            counts[name] = counts.get(name, 0) + 1
    check_unicode(table, counts)
    if in_text and delimiter is not None:
        _check_delimiter(table, column, values, delimiter)
    if len(counts) < 2:
        raise DataError(
            table.place,
            found=f"{counted(len(counts), 'label')} in the label column {shortened(column)}",
            expected="two labels or more",
            hint="Name another column with --label-column.",
        )
    if too_many(counts, len(indices)):
        raise DataError(
            table.place,
            found=f"{len(counts):,} labels in {len(indices):,} rows of the column {shortened(column)}",
            expected="labels that have several rows each",
            hint="Check data.label_delimiter, or name another column with --label-column.",
        )
    return LabelLists(column, _in_order(counts, index_names), in_text, delimiter, index_names)


def find_label_columns(
    table: Table, columns: Sequence[str], indices: NDArray[np.int64]
) -> LabelColumns:
    """The labels that have a column of 0 and 1 each.

    Raises:
        DataError: A cell holds something else, or a label has no row with 1.
    """
    found = LabelColumns(tuple(columns))
    labels, missing = found.encode(table, indices, published=False)
    for name, count in zip(found.names, labels[~missing].sum(0), strict=True):
        if not count:
            raise DataError(
                table.place,
                found=f"no row with 1 in the label column {shortened(name)}",
                expected="each label in several rows",
                hint="Leave it out of data.label.",
            )
    return found


def _in_order(counts: dict[str, int], index_names: tuple[str, ...]) -> tuple[str, ...]:
    if index_names:
        return tuple(name for name in index_names if name in counts)
    whole = all(name.removeprefix("-").isdecimal() for name in counts)
    return tuple(sorted(counts, key=int if whole else None))


def _check_delimiter(table: Table, column: str, values: Sequence[object], delimiter: str) -> None:
    """Raise DataError where no cell holds the delimiter."""
    cells = [value for value in values if isinstance(value, str)]
    if any(delimiter in cell for cell in cells):
        return
    others = [mark for mark in SEPARATORS if any(mark in cell for cell in cells)]
    raise DataError(
        "data.label_delimiter",
        found=f"{delimiter!r}, which no cell of the label column {shortened(column)} holds",
        expected="what parts the labels in a cell",
        hint=f'Set it to "{others[0]}".' if others else "Leave it out.",
    )


def _bit(value: object) -> int | None:
    """0 or 1, -1 where a cell is empty or leaves it open, None where it holds something else."""
    if is_missing(value):
        return -1
    if isinstance(value, bool | int | float):
        return int(value) if value in (-1, 0, 1) else None
    if isinstance(value, str):
        return -1 if value.strip() in ("-1", "-1.0") else _BITS.get(value.strip().lower())
    return None


def _no_bit(value: object, table: Table, column: str, index: int) -> DataError:
    found = shortened(value) if isinstance(value, str | float | int) else kind_of(value)
    return DataError(
        table.where(index),
        found=f"{found} in the label column {shortened(column)}",
        expected="0 or 1, for data.label names a column for each label",
        hint="Correct the row, or name the columns of 0 and 1 alone.",
    )
