"""Label columns with several labels in one cell, told from class names that merely contain commas.

Each combination would pass for a class of its own: hundreds of them where there are twenty labels.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

SEPARATORS: Final = {",": "commas", ";": "semicolons", "|": "bars"}
_BRACKETS: Final = ("[]", "{}")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
# Labels that stand first in one combination and later in another have no fixed place, as the words
# of a name have; so many of them are no coincidence.
_ENOUGH_WITHOUT_PLACE: Final = 3


@dataclass(frozen=True)
class Several:
    """A cell with several labels.

    Attributes:
        cell: As it stands in the column.
        why: What gives it away.
        separator: What parts the labels, None where they are written as a list.
    """

    cell: str
    why: str
    separator: str | None = None


def several_labels(names: Collection[str]) -> Several | None:
    """The plainest cell with several labels among a column's different ones, or None.

    They are taken for several where the parts are classes of their own (`joy,love` beside `joy` and
    `love`), where the same parts come together in several ways, or where cells are written as lists.
    `Sales, Marketing` is a name unless there are classes `Sales` and `Marketing`.
    """
    listed = _written_as_lists(names)
    if listed is not None:
        return listed
    for separator, word in SEPARATORS.items():
        parts = {name: _parts(name, separator) for name in names if separator in name}
        combined = {name: split for name, split in parts.items() if len(split) > 1}
        for name in sorted(combined, key=lambda name: (len(combined[name]), name)):
            if all(part in names for part in combined[name]):
                beside = " and ".join(repr(part) for part in combined[name][:2])
                return Several(name, f"beside {beside}", separator)
        if _mixed(combined.values()):
            shortest = min(combined, key=lambda name: (len(name), name))
            why = f"and the same parts in other combinations, between {word}"
            return Several(shortest, why, separator)
    return None


def _parts(name: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in name.split(separator) if part.strip())


def _mixed(combinations: Iterable[tuple[str, ...]]) -> bool:
    """Whether parts are put together freely: in two orders, or many of them now first, now later."""
    seen: set[tuple[str, ...]] = set(combinations)
    if len({frozenset(parts) for parts in seen}) < len(seen):
        return True
    first = {parts[0] for parts in seen}
    later = {part for parts in seen for part in parts[1:]}
    return len(first & later) >= _ENOUGH_WITHOUT_PLACE


def _written_as_lists(names: Collection[str]) -> Several | None:
    """A cell such as `['joy', 'love']`, where all labels are written so."""
    lists = {name: listed_items(name) for name in names}
    if not lists or any(items is None for items in lists.values()):
        return None
    found = {name: items for name, items in lists.items() if items is not None}
    sizes = {len(items) for items in found.values()}
    if sizes == {2} and all(_NUMBER.fullmatch(x) for items in found.values() for x in items):
        return None  # intervals: `[18, 25]`
    longest = max(found, key=lambda name: (len(found[name]), name))
    return Several(longest, "written as a list")


def listed_items(name: str) -> tuple[str, ...] | None:
    """The items of a cell that is written as a list, in Python, JSON, NumPy or SQL; else None."""
    if len(name) < 2 or name[0] + name[-1] not in _BRACKETS:
        return None
    inner = name[1:-1]
    try:
        value = ast.literal_eval(f"[{inner}]")
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    one = len(re.findall("['\"]", inner)) == 2
    if isinstance(value, list) and ("," in inner or one):
        return tuple(str(item) for item in value)
    items = tuple(re.split(r"[,\s]+", inner.strip())) if inner.strip() else ()
    quoted = all(item[0] in "'\"" for item in items if item)
    numbers = all(_NUMBER.fullmatch(item) for item in items)
    if name[0] == "{" or quoted or numbers:
        return tuple(item.strip("'\"") for item in items)
    return None
