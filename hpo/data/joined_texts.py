"""Texts that stand in several columns, joined to one: a title and what it is the title of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hpo.data.columns import named_column
from hpo.data.labels import is_missing
from hpo.data.source_tables import SourceTables
from hpo.data.table import Table, check_repeated
from hpo.spec.effects import refuse_idle
from hpo.spec.study import DataSection


def with_joined_texts(
    source: SourceTables, section: DataSection
) -> tuple[SourceTables, str | None]:
    """The tables with a column of the joined texts, where the study names several.

    Returns:
        The tables, and the name of the column of texts, None where it is still to be found.

    Raises:
        DataError: There is no such column.
        StudyFileError: A separator is set for a single column.
    """
    if section.text is None or isinstance(section.text, str):
        refuse_idle("data", section, "several text columns", "data.text names no list of columns")
        return source, section.text
    columns = [named_column(source.train, "text", name) for name in section.text]
    check_repeated("data.text", columns)
    joined = " + ".join(columns)
    return source.changed(
        lambda table: _with_column(table, joined, columns, section.text_separator)
    ), joined


def _with_column(table: Table, joined: str, columns: Sequence[str], separator: str) -> Table:
    found = [named_column(table, "text", name) for name in columns]

    def column(name: str) -> list[object]:
        if name != joined:
            return table.column(name)
        cells = zip(*map(table.column, found), strict=True)
        return [_joined(row, separator) for row in cells]

    return replace(table, names=(*table.names, joined), column=column)


def _joined(cells: Sequence[object], separator: str) -> object:
    """The texts with the separator between them, empty ones left out; what is no text as it is."""
    filled = [cell for cell in cells if not is_missing(cell)]
    stray = next((cell for cell in filled if not isinstance(cell, str)), None)
    if stray is not None:
        return stray
    return separator.join(map(str, filled)) if filled else None
