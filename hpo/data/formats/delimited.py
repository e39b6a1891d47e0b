"""Tables with a delimiter between their fields: csv and tsv, as programs really write them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import dropwhile
from pathlib import Path
from typing import Final

import numpy as np

from hpo.data.formats.csv_records import Dialect, records, refused, unlimited_fields
from hpo.data.formats.options import AS_USUAL, ReadOptions
from hpo.data.formats.text import decoded
from hpo.data.headers import check_header
from hpo.data.table import Table
from hpo.errors import DataError
from hpo.spec.numbers import counted

_WORDS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# A first line for Excel, which takes the delimiter from it.
_SEPARATOR: Final = re.compile(r'("?)sep=([,;\t|])\1(?=[\r\n])', re.IGNORECASE)
_FEWEST_BELOW: Final = 2  # lines of several fields, for lines of one above them to be no header


def read_csv(path: Path, options: ReadOptions = AS_USUAL) -> Table:
    """A table with commas between its fields or, where it has none, semicolons, tabs or bars.

    Raises:
        DataError: The data cannot be used as it is.
    """
    return _separated(path, options, ",")


def read_tsv(path: Path, options: ReadOptions = AS_USUAL) -> Table:
    """A table with tabs between its fields, quoted or not; or with what else its first line has.

    Raises:
        DataError: The data cannot be used as it is.
    """
    return _separated(path, options, "\t")


def sniffed(path: Path, head: str, usual: str) -> Dialect:
    """How the fields of a file are written, by the whole lines that it begins with.

    Args:
        head: Those lines.
        usual: The delimiter of files of its suffix.
    """
    delimiter = _delimiter_of(head, usual)
    head = without_separator(head)
    quoted, bare = Dialect(delimiter), Dialect(delimiter, quotes=False)
    dialects = [quoted, replace(quoted, backslash=True)] if '\\"' in head else [quoted]
    for dialect in dialects:
        with suppress(DataError):
            rows = _parsed(path, head, dialect)
            if delimiter == "\t" and _bare_rows(path, head, rows) is not None:
                return bare
            return dialect
    return bare if delimiter == "\t" else min(dialects, key=lambda dialect: _faults(head, dialect))


def without_separator(start: str) -> str:
    """The first lines of a file without the delimiter's name for Excel, which leaves an empty line."""
    said = _SEPARATOR.match(start)
    return start[said.end() :] if said else start


def _faults(text: str, dialect: Dialect) -> int:
    with unlimited_fields():
        read = records(io.StringIO(text, newline=""), dialect)
        return sum(record.fault is not None for record in read)


def _separated(path: Path, options: ReadOptions, usual: str) -> Table:
    found = decoded(path, options.encoding)
    delimiter = _delimiter_of(found.text, usual)
    below = without_separator(found.text)
    text = below if below.strip() else found.text
    if delimiter == "\t":
        rows, warnings = _tab_separated(path, text)
    else:
        rows, warnings = _quoted(path, text, delimiter)
    table = _table_of(path, rows, options, (*found.warnings, *warnings))
    return replace(table, written=f"{_WORDS[delimiter]}, {found.encoding}")


def _delimiter_of(text: str, usual: str) -> str:
    """The one that the file names for Excel, or the usual, unless the first line has none of it and has another.

    A usual one that only stands inside quoted names, or that cuts later lines into other numbers of
    fields than another does, is none.
    """
    said = _SEPARATOR.match(text)
    if said:
        return said[2]
    lines = _first_records(text, usual)
    if lines and len(lines[0]) > 1 and len({len(line) for line in lines}) == 1:
        return usual
    for other in _WORDS:
        if other != usual:
            fields = {len(line) for line in _first_records(text, other)}
            if len(fields) == 1 and fields.pop() > 1:
                return other
    return usual


def _first_records(text: str, delimiter: str, most: int = 50) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    records: list[list[str]] = []
    with suppress(csv.Error), unlimited_fields():
        for record in reader:
            if record:
                records.append(record)
            if len(records) == most:
                break
    return records


def _quoted(path: Path, text: str, delimiter: str) -> tuple[dict[int, list[str]], tuple[str, ...]]:
    """The rows of a file that quotes as csv does, or with backslashes."""
    dialect = Dialect(delimiter)
    try:
        return _parsed(path, text, dialect), ()
    except DataError:
        if '\\"' not in text:
            raise
        with suppress(DataError):
            rows = _parsed(path, text, replace(dialect, backslash=True))
            return rows, (f'{path}: quotation marks are written \\" in it, and are read so',)
        raise


def _tab_separated(path: Path, text: str) -> tuple[dict[int, list[str]], tuple[str, ...]]:
    # Some programs quote tsv fields as in csv, others leave quotation marks bare in them. A file
    # with bare ones rarely reads as quoted throughout, so quoted is tried first; where it does, one
    # field holds what is between two of them: whole lines.
    plain = Dialect("\t", quotes=False)
    try:
        rows = _parsed(path, text, Dialect("\t"))
    except DataError as as_quoted:
        try:
            return _parsed(path, text, plain), ()
        except DataError:
            raise as_quoted from None
    return _bare_rows(path, text, rows) or rows, ()


def _bare_rows(
    path: Path, text: str, quoted: Mapping[int, list[str]]
) -> dict[int, list[str]] | None:
    """The rows with bare quotation marks, where what is quoted between two of them is rows; otherwise None."""
    if any("\t" in field and "\n" in field for row in quoted.values() for field in row):
        with suppress(DataError):
            bare = _parsed(path, text, Dialect("\t", quotes=False))
            if _holds_rows(bare, quoted):
                return bare
    return None


def _holds_rows(bare: Mapping[int, list[str]], quoted: Mapping[int, list[str]]) -> bool:
    """Whether lines that stand between two quotation marks are rows, and not parts of a text.

    Rows have a value in common with others, the label, in one column.
    """
    known = [row for line, row in bare.items() if quoted.get(line) == row]
    other = [row for line, row in bare.items() if quoted.get(line) != row]
    width = len(known[0])
    return any({row[at] for row in other} <= {row[at] for row in known} for at in range(width))


def _parsed(path: Path, text: str, dialect: Dialect) -> dict[int, list[str]]:
    """The fields of each row by its first line, the header first; all rows of the same width."""
    rows: dict[int, list[str]] = {}
    with unlimited_fields():
        for record in records(io.StringIO(text, newline=""), dialect):
            if record.fault is not None:
                raise refused(str(path), record)
            rows[record.line] = record.fields
    return _of_one_width(path, rows, dialect.delimiter)


def _of_one_width(path: Path, rows: dict[int, list[str]], delimiter: str) -> dict[int, list[str]]:
    if not rows:
        return rows
    first, *records = rows.values()
    width = len(first)
    if records and all(len(each) == width + 1 and not each[-1] for each in records):
        # A delimiter at the end of each line but the first.
        return {line: row[:width] for line, row in rows.items()}
    _check_above_header(path, rows, delimiter)
    for line, record in rows.items():
        if len(record) != width:
            raise _ragged(path, line, record, width, delimiter)
    return rows


def _check_above_header(path: Path, rows: Mapping[int, list[str]], delimiter: str) -> None:
    """Raise DataError where what stands in the first lines is one field, and two or more in all others."""
    widths = [len(row) for row in rows.values()]
    below = list(dropwhile(lambda width: width == 1, widths))
    if len(below) == len(widths) or len(below) < _FEWEST_BELOW or len({*below}) > 1:
        return
    raise DataError(
        f"{path}, line {next(iter(rows))}",
        found="1 field",
        expected=f"{below[0]}, as in the lines below it",
        hint="Remove it, if it is a title or a comment, or put fields that contain a "
        f"{_word(delimiter)} in quotes.",
    )


def _table_of(
    path: Path, rows: Mapping[int, list[str]], options: ReadOptions, warnings: tuple[str, ...]
) -> Table:
    lines, records = [*rows], [*rows.values()]
    if options.header:
        header = tuple(name.strip() for name in records[0])
        as_rows = replace(options, header=False)
        place = f"{path}, line {lines[0]}"
        check_header(place, header, lambda: _table_of(path, rows, as_rows, ()))
        del lines[0], records[0]
    else:
        header = tuple(str(number + 1) for number in range(len(records[0])))
    position = {name: index for index, name in enumerate(header)}

    def column(name: str) -> list[object]:
        index = position[name]
        return [record[index] for record in records]

    numbers = np.array(lines, dtype=np.int64)
    return Table(
        str(path),
        header,
        column,
        numbers,
        "line",
        warnings=warnings,
        has_header=options.header,
        is_numbered=not options.header,
    )


def _ragged(path: Path, line: int, record: list[str], width: int, delimiter: str) -> DataError:
    word = _word(delimiter)
    hint = f"Put fields that contain a {word} or a line break in quotes, or mend the line."
    if len(record) == width + 1 and not record[-1]:
        hint = f"Take the {word} at the end of the line away."
    return DataError(
        f"{path}, line {line}",
        found=counted(len(record), "field"),
        expected=f"{width}, as in the first line",
        hint=hint,
    )


def _word(delimiter: str) -> str:
    return _WORDS[delimiter].removesuffix("s")
