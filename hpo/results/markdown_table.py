"""Markdown tables whose columns stand apart also on a page that sets them close, as MLflow's does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

_GAP: Final = "&emsp;"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; what cells hold of `|` is written so that it ends none."""
    return [_line(header), "|---" * len(header) + "|", *map(_line, rows)]


def rounded(value: object) -> str:
    """A parameter's value as people read it: a number with what matters of its digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(cells: Sequence[str]) -> str:
    *before, last = (cell.replace("|", "\\|") for cell in cells)
    return "| " + " | ".join([*(cell + _GAP for cell in before), last]) + " |"
