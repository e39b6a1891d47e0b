"""Tables of a copy, and errors about it, that speak of what was copied: of the archive or the address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hpo.data.table import Table
from hpo.errors import HpoError


@contextmanager
def spoken_of_as(copy: Path, name: str) -> Iterator[None]:
    """Have errors that are raised meanwhile name this in place of the copy."""
    try:
        yield
    except HpoError as error:
        raise type(error)(
            error.place.replace(str(copy), name),
            found=error.found.replace(str(copy), name),
            expected=error.expected,
            hint=error.hint,
        ) from error


def called(table: Table, copy: Path, name: str, *, read: bool) -> Table:
    """The table, named so in all that is said of it.

    Args:
        table: Read of the copy, or of a part of it.
        copy: What the table calls it.
        name: What people call it.
        read: Whether to read all columns at once, for the copy goes away.
    """

    def column(name_of_column: str) -> list[object]:
        with spoken_of_as(copy, name):
            return table.column(name_of_column)

    values = {each: column(each) for each in table.names} if read else None
    return replace(
        table,
        place=table.place.replace(str(copy), name),
        column=column if values is None else lambda each: list(values[each]),
        warnings=tuple(warning.replace(str(copy), name) for warning in table.warnings),
    )
