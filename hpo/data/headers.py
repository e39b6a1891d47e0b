"""Tables whose first line is no header but a row already, and how to go on with them."""

from __future__ import annotations

import re

from hpo.data.column_guesses import guessed_label, guessed_text
from hpo.data.table import Table

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_MOST_WORDS_IN_A_NAME = 5
_LOOKED_AT = 1_000


def first_row_as_header(table: Table) -> bool:
    """Whether what names the columns looks like data: a number, a sentence, or a value of the column."""
    if not table.has_header:
        return False
    return any(_looks_like_data(table, name) for name in table.names)


def without_header(table: Table) -> str:
    """The options that read it without one, or that name columns that have none."""
    names = list(table.names)
    text = guessed_text(table) or names[-1]
    label = guessed_label(table, text) or next((name for name in names if name != text), text)
    columns = f"--text-column {names.index(text) + 1} --label-column {names.index(label) + 1}"
    return f"--set data.header=false {columns}" if table.has_header else columns


def _looks_like_data(table: Table, name: str) -> bool:
    if _NUMBER.fullmatch(name) or len(name.split()) > _MOST_WORDS_IN_A_NAME:
        return True
    return bool(name) and name in table.column(name)[:_LOOKED_AT]
