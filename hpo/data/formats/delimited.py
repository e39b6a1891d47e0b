"""Tables with a delimiter between their fields: csv and tsv, as programs really write them."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from hpo.data.formats.options import AS_USUAL, ReadOptions
from hpo.data.formats.text import decoded
from hpo.data.table import Table, check_repeated
from hpo.errors import DataError

_WORDS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_MOST_LINES: Final = 100_000  # of one record; what goes on for longer was never meant to


@dataclass(frozen=True)
class Dialect:
    """How fields are written."""

    delimiter: str
    quotes: bool = True
    backslash: bool = False  # before a quotation mark inside a field, as Spark writes it


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
    quoted, bare = Dialect(delimiter), Dialect(delimiter, quotes=False)
    dialects = [quoted, replace(quoted, backslash=True)] if '\\"' in head else [quoted]
    for dialect in dialects:
        with suppress(DataError):
            rows = _parsed(path, head, dialect)
            lines_in_fields = any(
                "\t" in each and "\n" in each for row in rows.values() for each in row
            )
            return bare if delimiter == "\t" and lines_in_fields else dialect
    return bare if delimiter == "\t" else min(dialects, key=lambda dialect: _faults(head, dialect))


def _faults(text: str, dialect: Dialect) -> int:
    with unlimited_fields():
        read = records(io.StringIO(text, newline=""), dialect)
        return sum(record.fault is not None for record in read)


@dataclass(frozen=True)
class Record:
    """What stands on a line, or on several where a field in quotes holds line breaks.

    Attributes:
        line: On which it begins, from 1.
        fields: Of a record whose quotes are at fault those of its first line, quotation marks and all.
        fault: Of its quotes, in words.
    """

    line: int
    fields: list[str]
    fault: str | None = None


def records(lines: Iterable[str], dialect: Dialect) -> Iterator[Record]:
    """What some lines hold, without those that are empty.

    A quotation mark that opens a field and does not close it well spoils its own line alone: reading
    goes on with the line after it.
    """
    rest, line = iter(lines), 1
    again: deque[str] = deque()
    taken: list[str] = []

    def each() -> Iterator[str]:
        while len(taken) < _MOST_LINES:
            following = again.popleft() if again else next(rest, None)
            if following is None:
                return
            taken.append(following)
            yield following

    while True:
        taken.clear()
        try:
            for fields in _reader(each(), dialect):
                if fields:
                    yield Record(line, fields)
                line += len(taken)
                taken.clear()
            return
        except csv.Error as error:
            bare = next(_reader(taken[:1], replace(dialect, quotes=False, backslash=False)))
            yield Record(line, bare, _in_words(error))
            line += 1
            again.extendleft(reversed(taken[1:]))


def _reader(lines: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quoting=csv.QUOTE_MINIMAL if dialect.quotes else csv.QUOTE_NONE,
        doublequote=not dialect.backslash,
        escapechar="\\" if dialect.backslash else None,
        strict=True,
    )


def _in_words(error: csv.Error) -> str:
    if "end of data" in str(error):
        return "a quotation mark that is never closed"
    return f"a fault in its quotes ({error})"


def refused(place: str, fault: Record) -> DataError:
    """What is to be raised for a record whose quotes are at fault.

    Args:
        place: What messages call the table.
        fault: That record.
    """
    return DataError(
        f"{place}, line {fault.line}",
        found=str(fault.fault),
        expected='fields in quotes, with "" for a quotation mark inside one',
        hint="Correct that line, or write the file with a csv library.",
    )


def _separated(path: Path, options: ReadOptions, usual: str) -> Table:
    found = decoded(path, options.encoding)
    delimiter = _delimiter_of(found.text, usual)
    if delimiter == "\t":
        rows, warnings = _tab_separated(path, found.text)
    else:
        rows, warnings = _quoted(path, found.text, delimiter)
    table = _table_of(path, rows, options, (*found.warnings, *warnings))
    return replace(table, written=f"{_WORDS[delimiter]}, {found.encoding}")


def _delimiter_of(text: str, usual: str) -> str:
    """The usual delimiter, unless the first line has none of it and has another.

    A usual one that only stands inside quoted names, or that cuts later lines into other numbers of
    fields than another does, is none.
    """
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
    if any("\t" in field and "\n" in field for row in rows.values() for field in row):
        with suppress(DataError):
            bare = _parsed(path, text, plain)
            if _holds_rows(bare, rows):
                rows = bare
    return rows, ()


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
    first, *records = rows.values()
    width = len(first)
    if records and all(len(each) == width + 1 and not each[-1] for each in records):
        # A delimiter at the end of each line but the first.
        return {line: row[:width] for line, row in rows.items()}
    for line, record in rows.items():
        if len(record) != width:
            raise _ragged(path, line, record, width, delimiter)
    return rows


def _table_of(
    path: Path, rows: Mapping[int, list[str]], options: ReadOptions, warnings: tuple[str, ...]
) -> Table:
    lines, records = [*rows], [*rows.values()]
    if options.header:
        header = tuple(name.strip() for name in records.pop(0))
        del lines[0]
        check_repeated(f"{path}, line 1", header)
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
    word = _WORDS[delimiter].removesuffix("s")
    hint = f"Put fields that contain a {word} or a line break in quotes, or mend the line."
    if len(record) == width + 1 and not record[-1]:
        hint = f"Take the {word} at the end of the line away."
    return DataError(
        f"{path}, line {line}",
        found=f"{len(record)} field{'s' * (len(record) != 1)}",
        expected=f"{width}, as in the first line",
        hint=hint,
    )


@contextmanager
def unlimited_fields() -> Iterator[None]:
    """Lift the csv module's limit of 128 KiB a field, one for the whole process, for a while."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)
