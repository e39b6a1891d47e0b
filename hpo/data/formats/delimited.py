"""Tables with a delimiter between their fields: csv and tsv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from hpo.data.formats.text import decoded
from hpo.data.table import Table, check_repeated
from hpo.errors import DataError


def read_csv(path: Path) -> Table:
    """A table with commas between its fields.

    Raises:
        DataError: The data cannot be used as it is.
    """
    return _table_of(path, _parsed(path, decoded(path), ",", quotes=True), ",")


def read_tsv(path: Path) -> Table:
    """A table with tabs between its fields, quoted or not.

    Raises:
        DataError: The data cannot be used as it is.
    """
    # Some programs quote tsv fields as in csv, others leave quotation marks bare in them. A file
    # with bare ones rarely reads as quoted throughout, so quoted is tried first; where it does, one
    # field holds what is between two of them: whole lines.
    text = decoded(path)
    try:
        rows = _parsed(path, text, "\t", quotes=True)
    except DataError as as_quoted:
        try:
            return _table_of(path, _parsed(path, text, "\t", quotes=False), "\t")
        except DataError:
            raise as_quoted from None
    if any("\t" in field and "\n" in field for row in rows.values() for field in row):
        with suppress(DataError):
            bare = _parsed(path, text, "\t", quotes=False)
            if _holds_rows(bare, rows):
                rows = bare
    return _table_of(path, rows, "\t")


def _holds_rows(bare: Mapping[int, list[str]], quoted: Mapping[int, list[str]]) -> bool:
    """Whether lines that stand between two quotation marks are rows, and not parts of a text.

    Rows have a value in common with others, the label, in one column.
    """
    known = [row for line, row in bare.items() if quoted.get(line) == row]
    other = [row for line, row in bare.items() if quoted.get(line) != row]
    width = len(known[0])
    return any({row[at] for row in other} <= {row[at] for row in known} for at in range(width))


def _parsed(path: Path, text: str, delimiter: str, *, quotes: bool) -> dict[int, list[str]]:
    """The fields of each row by its first line, the header first; all rows of the same width."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    rows: dict[int, list[str]] = {}
    header: list[str] | None = None
    line = 1  # where the record begins; a quoted field may span several lines
    try:
        with _unlimited_fields():
            for record in reader:
                if record:
                    header = header or record
                    if len(record) != len(header):
                        raise _ragged(path, line, record, header, delimiter)
                    rows[line] = record
                line = reader.line_num + 1
    except csv.Error as error:
        unclosed = "end of data" in str(error)
        raise DataError(
            f"{path}, line {line}",
            found="a quotation mark that is never closed"
            if unclosed
            else f"a fault in its quotes ({error})",
            expected='fields in quotes, with "" for a quotation mark inside one',
            hint="Correct that line, or write the file with a csv library.",
        ) from error
    return rows


def _table_of(path: Path, rows: Mapping[int, list[str]], delimiter: str) -> Table:
    first, *records = rows.values()
    header = tuple(name.strip() for name in first)
    _check_header(path, header, delimiter)
    position = {name: index for index, name in enumerate(header)}

    def column(name: str) -> list[object]:
        index = position[name]
        return [record[index] for record in records]

    return Table(str(path), header, column, np.array([*rows][1:], dtype=np.int64), "line")


def _ragged(
    path: Path, line: int, record: list[str], header: list[str], delimiter: str
) -> DataError:
    separator = "tab" if delimiter == "\t" else "comma"
    return DataError(
        f"{path}, line {line}",
        found=f"{len(record)} field{'s' * (len(record) != 1)}",
        expected=f"{len(header)}, as in the first line",
        hint=f"Put fields that contain a {separator} or a line break in quotes, or mend the line.",
    )


def _check_header(path: Path, header: tuple[str, ...], delimiter: str) -> None:
    check_repeated(f"{path}, line 1", header)
    for other, word in ((";", "semicolons"), ("\t", "tabs"), (",", "commas")):
        if len(header) == 1 and other in header[0] and other != delimiter:
            raise DataError(
                f"{path}, line 1",
                found=f"columns separated by {word}",
                expected="tabs" if delimiter == "\t" else "commas",
                hint="Write the file anew, or give it the suffix of its format.",
            )


@contextmanager
def _unlimited_fields() -> Iterator[None]:
    """Lift the csv module's limit of 128 KiB a field, one for the whole process, for a while."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)
