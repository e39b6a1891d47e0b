"""Which columns of a table may hold its texts and its labels, by what stands in them: for messages, never to go by."""

from __future__ import annotations

import re
from typing import Final, Literal

from hpo.data.table import Table

_LOOKED_AT: Final = 1_000
_LONG_TEXT: Final = 20  # characters of cells, in the mean, that make a text without spaces
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
_MOST_CLASSES: Final = 200
# What to do with a column of objects.
LAY_OPEN: Final = "make columns of what it holds first, with `pandas.json_normalize` or jq"


def may_hold(table: Table, name: str, role: Literal["text", "label"]) -> bool:
    """Whether what stands in a column may be texts, or may be classes or numbers to learn."""
    if is_nested(table, name, role):
        return False
    cells = _cells(table, name)
    if role == "text":
        return _amount_of_text(cells) > 0
    numbers = {cell for cell in cells if cell and _NUMBER.fullmatch(cell)}
    return _classes_in(cells) > 0 or 1 < len(numbers) == len(set(filter(None, cells)))


def is_nested(table: Table, name: str, role: Literal["text", "label"]) -> bool:
    """Whether most cells of a column are objects, or lists of more than labels: nothing to read as they are."""
    cells = [cell for cell in table.column(name)[:_LOOKED_AT] if cell is not None]
    if role == "label":
        cells = [cell[0] if isinstance(cell, list | tuple) and cell else cell for cell in cells]
    return 2 * sum(isinstance(cell, dict | list | tuple) for cell in cells) > len(cells)


def guessed_text(table: Table) -> str | None:
    """The column with the most text in it; None where none has cells of several words."""
    names = [name for name in table.names if not is_nested(table, name, "text")]
    amounts = {name: _amount_of_text(_cells(table, name)) for name in names}
    best = max(amounts, key=lambda name: amounts[name], default=None)
    return best if best is not None and amounts[best] else None


def guessed_label(table: Table, text: str | None) -> str | None:
    """The column of the fewest values, each in several rows; None where there is none beside the texts'."""
    names = [name for name in table.names if name != text and not is_nested(table, name, "label")]
    counts = {name: _classes_in(_cells(table, name)) for name in names}
    counts = {name: count for name, count in counts.items() if count}
    return min(counts, key=lambda name: counts[name], default=None)


def _cells(table: Table, name: str) -> list[str]:
    cells = table.column(name)[:_LOOKED_AT]
    return ["" if cell is None else str(cell).strip() for cell in cells]


def _amount_of_text(cells: list[str]) -> int:
    """Characters in all, where cells are texts; 0 where they are numbers, addresses or single words."""
    filled = [cell for cell in cells if cell]
    letters = [cell for cell in filled if re.search(r"[^\W\d_]", cell) and "://" not in cell[:10]]
    worded = [cell for cell in letters if len(cell.split()) > 1 or not cell.isascii()]
    amount = sum(map(len, letters))
    is_text = len(worded) * 2 > len(filled) or amount > _LONG_TEXT * len(filled)
    return amount if letters and is_text and len(set(letters)) > 1 else 0


def _classes_in(cells: list[str]) -> int:
    """How many values there are, where they may be classes; 0 where they may not."""
    filled = [cell for cell in cells if cell]
    values = set(filled)
    repeated = len(values) <= max(2, len(filled) // 2) and len(filled) > len(values)
    is_filled = len(filled) * 2 > len(cells)
    return len(values) if repeated and is_filled and 2 <= len(values) <= _MOST_CLASSES else 0
