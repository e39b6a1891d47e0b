"""A table as it was read: columns of Python values, and the place of each row for messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hpo.errors import DataError

RowNoun = Literal["line", "row"]


@dataclass(frozen=True, eq=False)
class Table:
    """One file or one split of a data set, before anything is known of its columns.

    Attributes:
        place: What messages call it.
        names: Its columns.
        column: Reads one of them, as many values as there are rows, and raises DataError where it
            cannot.
        rows: (n,) the number of each row in its file, from 1.
        row_noun: What those numbers count.
        class_names: For columns that hold class indices or lists of them, their names.
        warnings: What was guessed in reading it.
        has_header: Whether its first line or row names the columns.
        is_numbered: Whether the columns are called by their position for want of names.
        written: How its file is written, in words, `csv, commas, UTF-8`; empty where there is no file.
    """

    place: str
    names: tuple[str, ...]
    column: Callable[[str], list[object]]
    rows: NDArray[np.int64]
    row_noun: RowNoun = "row"
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    has_header: bool = False
    is_numbered: bool = False
    written: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def values(self, column: str, indices: NDArray[np.int64]) -> list[object]:
        """The (n,) cells of a column in some rows."""
        cells = self.column(column)
        return [cells[index] for index in indices]

    def where(self, index: int) -> str:
        """The place of a row, `reviews.csv, line 17`.

        Args:
            index: Position in the table, from 0.
        """
        return f"{self.place}, {self.row_noun} {self.rows[index]}"

    def rows_named(self, indices: Sequence[int] | NDArray[np.int64]) -> str:
        """The first few of these rows, `lines 3, 17, 40, …`."""
        return named_rows(self.row_noun, self.rows[np.asarray(indices, dtype=np.int64)])


def named_rows(noun: str, numbers: Sequence[int] | NDArray[np.int64], most: int = 3) -> str:
    """Row numbers in words: `line 3`, or `lines 3, 17, 40, …` with no more than `most` of them."""
    listed = ", ".join(str(number) for number in numbers[:most])
    return f"{noun}{'s' * (len(numbers) > 1)} {listed}{', …' * (len(numbers) > most)}"


def shortened(value: object, most: int = 40) -> str:
    """A value in quotes, on one line, cut to `most` characters, fit for a message."""
    text = str(value)
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def kind_of(value: object) -> str:
    """What a value is, in words for a message."""
    if value is None:
        return "nothing"
    for kind, words in _KINDS:
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"


_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "text"),
    ((list, tuple), "a list"),
    (dict, "an object"),
    ((bytes, bytearray), "bytes"),
)


def check_repeated(place: str, names: Sequence[str], hint: str = "Rename one of them.") -> None:
    """Raise DataError at the place where two columns have one name."""
    repeated = [name for name in names if name and names.count(name) > 1]
    if repeated:
        raise DataError(
            place,
            found=f"more than one column named {shortened(repeated[0])}",
            expected="each column named once",
            hint=hint,
        )
