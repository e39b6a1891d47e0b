"""Tables whose first line is no header but a row already, and how to go on with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hpo.data.column_guesses import guessed_label, guessed_text
from hpo.data.table import Table, check_repeated

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_MOST_WORDS_IN_A_NAME = 5
_LOOKED_AT = 1_000


def first_row_as_header(table: Table) -> bool:
    """Whether what names the columns looks like data: a number, a sentence, or a value of the column."""
    if not table.has_header:
        return False
    return any(_looks_like_data(name, table.column(name)) for name in table.names)


def check_header(place: str, names: Sequence[str], as_rows: Callable[[], Table]) -> None:
    """Raise DataError where two columns have one name, with the way on where that line looks like data.

    Args:
        place: Of the header.
        names: In it.
        as_rows: Reads the table as one without a header.
    """
    named = [name for name in names if name]
    if len(set(named)) == len(named):
        return
    table, hint = as_rows(), "Rename one of them."
    columns = zip(names, table.names, strict=True)
    if any(_looks_like_data(name, table.column(column)[1:]) for name, column in columns):
        way = f"--set data.header=false {without_header(table)}"
        hint = f"That {table.row_noun} looks like data; if it is, add `{way}`, and else rename one of them."
    check_repeated(place, names, hint)


def without_header(table: Table) -> str:
    """The options that read it without one, or that name columns that have none."""
    names = list(table.names)
    text = guessed_text(table) or names[-1]
    label = guessed_label(table, text) or next((name for name in names if name != text), text)
    columns = f"--text-column {names.index(text) + 1} --label-column {names.index(label) + 1}"
    return f"--set data.header=false {columns}" if table.has_header else columns


def _looks_like_data(name: str, cells: Sequence[object]) -> bool:
    if _NUMBER.fullmatch(name) or len(name.split()) > _MOST_WORDS_IN_A_NAME:
        return True
    return bool(name) and name in cells[:_LOOKED_AT]
