"""Tables whose first line is no header but a row already, and how to go on with them."""

from __future__ import annotations

import re

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
    text, label = _positions(table)
    columns = f"--text-column {text} --label-column {label}"
    return f"--set data.header=false {columns}" if table.has_header else columns


def _looks_like_data(table: Table, name: str) -> bool:
    if _NUMBER.fullmatch(name) or len(name.split()) > _MOST_WORDS_IN_A_NAME:
        return True
    return bool(name) and name in table.column(name)[:_LOOKED_AT]


def _positions(table: Table) -> tuple[int, int]:
    """Which columns hold texts and labels, from 1: the longest values, and the fewest others."""
    columns = [[str(cell) for cell in table.column(name)[:_LOOKED_AT]] for name in table.names]
    lengths = [sum(map(len, cells)) for cells in columns]
    text = lengths.index(max(lengths))
    others = [index for index in range(len(columns)) if index != text]
    label = min(others, key=lambda index: len(set(columns[index])), default=text)
    return text + 1, label + 1
