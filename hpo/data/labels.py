"""What the values of a column of classes mean: their names, their order, and which rows have none."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hpo.data.column_guesses import LAY_OPEN
from hpo.data.several_labels import several_labels
from hpo.data.table import Table, kind_of, shortened
from hpo.errors import DataError, nearest_name

Kind = Literal["index", "integer", "boolean", "text"]

NO_CLASS: Final = -1

WHOLE_NUMBER: Final = re.compile(r"([+-]?(?:0|[1-9]\d{0,17}))(?:\.0*)?", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)

# More classes than this, most of them seen once, are no classes but an identifier or a measure.
_FEW_CLASSES: Final = 20
_ONE_EACH: Final = "one label for each text"
_MULTI_LABEL: Final = 'Set data.task = "multi_label", or name another column with --label-column.'
_REGRESSION: Final = (
    'Set data.task = "regression" for numbers, or name another column with --label-column.'
)


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Attributes:
        names: In order.
        kind: How the column writes them.
        index_names: For columns that hold indices of named classes, all names, classes without rows
            included.
    """

    names: tuple[str, ...]
    kind: Kind
    index_names: tuple[str, ...] = ()

    def encode(self, values: Sequence[object]) -> tuple[NDArray[np.int64], list[str | None]]:
        """Class numbers (n,), NO_CLASS where there is none, and the name each was taken for."""
        number = {name: index for index, name in enumerate(self.names)}
        spelled = [_name(value, self.kind, self.index_names) for value in values]
        labels = [NO_CLASS if name is None else number.get(name, NO_CLASS) for name in spelled]
        return np.array(labels, dtype=np.int64), spelled


def find_classes(
    table: Table, column: str, values: Sequence[object], indices: NDArray[np.int64]
) -> Classes:
    """The classes in the label column of the training split.

    Whole numbers come in their order, text by code point, false before true, and named classes in
    the order of their names.

    Args:
        values: Its (n,) labels.
        indices: (n,) their positions in the table, for messages.

    Raises:
        DataError: The values are no classes, or fewer than two.
    """
    index_names = table.class_names.get(column, ())
    kind: Kind = "index" if index_names else _kind(table, column, values, indices)
    counts: dict[str, int] = {}
    for value in values:
        name = _name(value, kind, index_names)
        if name is not None:
            counts[name] = counts.get(name, 0) + 1
    check_unicode(table, counts)
    if kind == "text":
        _check_one_label_each(table, column, counts)
    _check_count(table, column, kind, counts, rows=len(values))
    if kind == "index":
        stray = [name for name in counts if name not in index_names]
        if stray:
            raise DataError(
                table.place,
                found=f"the class index {stray[0]} in column {shortened(column)}",
                expected=f"0 to {len(index_names) - 1}, one of its named classes",
                hint="Correct the column.",
            )
        return Classes(tuple(name for name in index_names if name in counts), kind, index_names)
    return Classes(tuple(sorted(counts, key=int if kind == "integer" else None)), kind)


def is_missing(value: object) -> bool:
    """Whether a label cell is empty: nothing, not a number, or blank text."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def unknown_label(
    table: Table, names: Sequence[str], name: str, rows: NDArray[np.int64]
) -> DataError:
    """The error for rows (k,) of a validation or test table whose label training does not have."""
    near = nearest_name(name, names)
    listed = ", ".join(shortened(known, 30) for known in names[:8])
    return DataError(
        f"{table.place}, {table.rows_named(rows)}",
        found=f"the label {shortened(name)}, which the training split does not have",
        expected=listed + ", …" * (len(names) > 8),
        hint=f"Write {near!r}, or add such rows to the training split."
        if near
        else "Correct the label, or add such rows to the training split.",
    )


def _name(value: object, kind: Kind, index_names: tuple[str, ...]) -> str | None:
    """The class that a cell means, or None where it is empty."""
    if is_missing(value):
        return None
    if kind == "index":
        if isinstance(value, int):
            if value == -1:  # how the datasets library writes "no label" in a column of classes
                return None
            return index_names[value] if 0 <= value < len(index_names) else str(value)
        return str(value).strip()
    if kind == "boolean":
        return str(value).strip().lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    text = str(value).strip()
    if kind == "integer" and (whole := WHOLE_NUMBER.fullmatch(text)):
        return str(int(whole[1]))
    return text


def _kind(table: Table, column: str, values: Sequence[object], indices: NDArray[np.int64]) -> Kind:
    """How a column writes its classes. Raises DataError where types mix or are no classes."""
    first: dict[Kind, int] = {}
    texts: set[str] = set()
    for position, value in enumerate(values):
        if is_missing(value):
            continue
        kind: Kind
        if isinstance(value, bool):
            kind = "boolean"
        elif isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            kind = "integer"
        elif isinstance(value, str):
            kind = "text"
            texts.add(value.strip())
        else:
            raise _no_class(table, column, int(indices[position]), value)
        first.setdefault(kind, position)
    if len(first) > 1:
        (one, at_one), (other, at_other) = list(first.items())[:2]
        raise DataError(
            table.place,
            found=f"labels of two types in column {shortened(column)}: {kind_of(values[at_one])} in"
            f" {table.row_noun} {table.rows[indices[at_one]]}, {kind_of(values[at_other])} in"
            f" {table.row_noun} {table.rows[indices[at_other]]}",
            expected=f"all of them {_WORDS[one]} or all {_WORDS[other]}",
            hint="Write all labels in the same way.",
        )
    if texts and all(_NUMBER.fullmatch(text) for text in texts):
        fractions = {text for text in texts if not float(text).is_integer()}
        if fractions:
            position = next(i for i, value in enumerate(values) if str(value).strip() in fractions)
            raise _no_class(table, column, int(indices[position]), float(str(values[position])))
        if all(WHOLE_NUMBER.fullmatch(text) for text in texts):
            return "integer"
    return next(iter(first), "text")


def _check_one_label_each(table: Table, column: str, counts: dict[str, int]) -> None:
    several = several_labels(counts)
    if several is not None:
        raise DataError(
            table.place,
            found=f"what looks like several labels in one cell of the label column"
            f" {shortened(column)}: {shortened(several.cell)} {several.why}",
            expected=_ONE_EACH,
            hint="Set data.label_delimiter to what parts the labels of a text, or name another column"
            " with --label-column; the name of a single class has to be written without it."
            if several.separator
            else _MULTI_LABEL,
        )


def _no_class(table: Table, column: str, index: int, value: object) -> DataError:
    if isinstance(value, list | tuple):
        return DataError(
            table.where(index),
            found=f"a list in the label column {shortened(column)}, which looks like several labels"
            f" in one cell: {shortened(value)}",
            expected=_ONE_EACH,
            hint=_MULTI_LABEL,
        )
    found = f"the number {value}" if isinstance(value, float) else kind_of(value)
    measure = isinstance(value, float) and math.isfinite(value)
    return DataError(
        table.where(index),
        found=f"{found} in the label column {shortened(column)}",
        expected="a class: text, a whole number, true or false",
        hint=_REGRESSION
        if measure
        else f"If it is inside, {LAY_OPEN}."
        if isinstance(value, dict)
        else "Write the classes as names, or name another column with --label-column.",
    )


def _check_count(table: Table, column: str, kind: Kind, counts: dict[str, int], rows: int) -> None:
    if len(counts) < 2:
        found = f"one class ({shortened(next(iter(counts)))})" if counts else "no labels"
        raise DataError(
            table.place,
            found=f"{found} in the label column {shortened(column)}",
            expected="two classes or more",
            hint="Add rows of other classes, or name another column with --label-column.",
        )
    if too_many(counts, rows):
        raise DataError(
            table.place,
            found=f"{len(counts):,} labels in {rows:,} rows of the column {shortened(column)}",
            expected="classes that have several rows each",
            hint=_REGRESSION if kind == "integer" else "Name another column with --label-column.",
        )


def too_many(counts: Mapping[str, int], rows: int) -> bool:
    """Whether there are so many labels that they are none, but an identifier or a measure."""
    return len(counts) > max(_FEW_CLASSES, rows // 2)


def check_unicode(table: Table, names: Iterable[str]) -> None:
    """Raise DataError where a label cannot be written."""
    for name in names:
        if not _is_unicode(name):
            raise DataError(
                table.place,
                found=f"the label {name!r} with half of a surrogate pair",
                expected="valid Unicode",
                hint="Correct that label.",
            )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_WORDS: Final[dict[Kind, str]] = {
    "boolean": "true or false",
    "integer": "whole numbers",
    "text": "text",
    "index": "class indices",
}
