"""Reading a file into a table, by the format that its suffix names."""

from __future__ import annotations

from pathlib import Path

from hpo.data.table import Table
from hpo.errors import DataError, first_line
from hpo.spec.registries import DATA_FORMATS, data_format


def read_file(path: Path) -> Table:
    """The table in a file, by its suffix.

    Raises:
        DataError: It has no rows, is of no known format, or is broken; the place names the line or row.
    """
    name = data_format(path)
    if name is None:
        raise DataError(
            str(path),
            found=f"a file with the suffix {path.suffix!r}"
            if path.suffix
            else "a file with no suffix",
            expected=f"a {formats_in_words()} file",
            hint="Convert it, or give it the suffix of its format.",
        )
    if not path.is_file():
        raise DataError(
            str(path),
            found="a folder" if path.is_dir() else "no such file",
            expected=f"a {formats_in_words()} file",
            hint="Check the path.",
        )
    try:
        table: Table = DATA_FORMATS[name](path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if not len(table):
        raise DataError(
            str(path),
            found="no rows",
            expected="a table of texts and labels",
            hint="Name a file that has rows.",
        )
    return table


def formats_in_words() -> str:
    """`csv, tsv, jsonl or parquet`."""
    *most, last = DATA_FORMATS
    return f"{', '.join(most)} or {last}"


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        str(path),
        found=error.strerror or first_line(error),
        expected="a readable file",
        hint="Check the file and its rights.",
    )
