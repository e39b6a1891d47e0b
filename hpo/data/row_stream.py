"""Tables of any length, read some rows at a time; a row that cannot be read is marked, and in nobody's way."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from hpo.data.contents import check_content, check_inside
from hpo.data.files import file_format, read_file
from hpo.data.formats.csv_records import Dialect, Record, records, refused, unlimited_fields
from hpo.data.formats.delimited import sniffed, without_separator
from hpo.data.formats.options import AS_USUAL, ReadOptions
from hpo.data.formats.text import encoding_of
from hpo.data.packed import FAULTS, is_packed, name_inside, opened
from hpo.data.table import RowNoun, check_repeated, kind_of
from hpo.documents import parse_json
from hpo.errors import DataError, first_line
from hpo.spec.numbers import counted

if TYPE_CHECKING:
    import pyarrow

ROWS_AT_ONCE: Final = 16_384
TEXT_LINES: Final = "txt"
"""What a file is called that has a text on each line, and nothing else."""

_HEAD_BYTES: Final = 1 << 20  # by which encoding and dialect are told
_DELIMITERS: Final = {"csv": ",", "tsv": "\t"}
_UNREADABLE: Final = (*FAULTS, OSError, UnicodeError, csv.Error)


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a table, in its order.

    Attributes:
        columns: Of equal lengths, in the table's order; what a row lacks is None.
        numbers: Of each row in its file, from 1.
        faults: Why a row could not be read, by its position here.
        share_read: How much of the table was read when these had been, from 0 to 1.
    """

    columns: Mapping[str, list[Any]]
    numbers: Sequence[int]
    faults: Mapping[int, str] = field(default_factory=dict)
    share_read: float = 1.0

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, eq=False)
class RowStream:
    """A table that is read once, from its beginning to its end.

    Attributes:
        place: What messages call it.
        names: Its columns; of JSON lines the keys of all rows.
        parts: Its rows, at most `ROWS_AT_ONCE` at a time.
        share_read: How much of it has been read, from 0 to 1.
        row_noun: What the numbers of rows count.
        schema: Types of its columns, where it has them.
        warnings: What was guessed in reading it.
    """

    place: str
    names: tuple[str, ...]
    parts: Iterator[Rows]
    share_read: Callable[[], float]
    row_noun: RowNoun = "line"
    schema: pyarrow.Schema | None = None
    warnings: tuple[str, ...] = ()


@contextmanager
def open_rows(path: Path, options: ReadOptions = AS_USUAL) -> Iterator[RowStream]:
    """Open a table: csv, tsv, jsonl or a text a line, compressed or not, and parquet are read row by row;
    other formats at once.

    Args:
        path: Of the file. `.txt` has a text on each line.
        options: How it is written.

    Raises:
        DataError: It is missing, empty, broken, or of no known format.
    """
    with ExitStack() as held:
        with _told(path):
            stream = _stream(path, options, held)
        yield replace(stream, parts=_each_told(path, stream))


def _stream(path: Path, options: ReadOptions, held: ExitStack) -> RowStream:
    is_lines = Path(name_inside(path)).suffix.lower() == f".{TEXT_LINES}"
    kind = TEXT_LINES if is_lines else file_format(path)
    if path.is_file() and path.suffix.lower() != ".zip":
        check_content(path)
        if kind == "parquet" and not is_packed(path):
            return _parquet(path)
        if kind in (*_DELIMITERS, "jsonl", "ndjson", TEXT_LINES):
            return _text(path, str(kind), options, held)
    return _at_once(path, options)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise DataError(
            str(path),
            found=f"a file that cannot be read ({first_line(error)})",
            expected="a whole file",
            hint="Check the file and its rights, or write it again.",
        ) from error


def _each_told(path: Path, stream: RowStream) -> Iterator[Rows]:
    """The parts, with faults of reading them told; those of whoever takes them pass."""
    while True:
        with _told(path):
            part = next(stream.parts, None)
        if part is None:
            return
        yield replace(part, share_read=stream.share_read())


def _text(path: Path, kind: str, options: ReadOptions, held: ExitStack) -> RowStream:
    source = held.enter_context(path.open("rb"))
    unpacked: Any = (
        held.enter_context(cast(IO[bytes], opened(path, source))) if is_packed(path) else source
    )
    if is_packed(path):
        check_inside(path, name_inside(path), unpacked)
    head = _head_of(unpacked)
    if not head.strip():
        raise _empty(str(path))
    encoding, warnings = (options.encoding, ()) if options.encoding else encoding_of(path, head)
    unpacked.seek(0)
    # What is not of this encoding shows as surrogates, and spoils its own row alone.
    lines = io.TextIOWrapper(unpacked, encoding, errors="surrogateescape", newline="")
    size = max(1, os.fstat(source.fileno()).st_size)
    place = str(path)

    def share_read() -> float:
        return 1.0 if source.closed else min(1.0, source.tell() / size)

    if kind == TEXT_LINES:
        parts = _line_parts(lines)
        return RowStream(place, ("text",), parts, share_read, warnings=warnings)
    if kind in _DELIMITERS:
        dialect = sniffed(path, head.decode(encoding, "replace"), _DELIMITERS[kind])
        without = chain([without_separator(next(lines))], lines)
        held.enter_context(unlimited_fields())
        read = _read_as(dialect, without)
        names, rest = _header(place, read, options)
        parts = _record_parts(rest, names)
        return RowStream(place, names, parts, share_read, warnings=warnings)
    # Read twice, for a key that comes late is a column of the first rows too.
    names = _json_names(lines)
    lines.seek(0)
    return RowStream(place, names, _json_parts(lines, names), share_read, warnings=warnings)


def _empty(place: str) -> DataError:
    return DataError(
        place,
        found="an empty file",
        expected="a table of texts",
        hint="Name a file that has rows.",
    )


def _head_of(source: IO[bytes]) -> bytes:
    head = source.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        return head
    return head[: head.rfind(b"\n") + 1] or head


def _read_as(dialect: Dialect, lines: Iterable[str]) -> Iterator[Record]:
    """The records of a table; between tabs a quotation mark that is none of csv's is part of the text."""
    for record in records(lines, dialect):
        yield replace(record, fault=None) if record.fault and dialect.delimiter == "\t" else record


def _header(
    place: str, read: Iterator[Record], options: ReadOptions
) -> tuple[tuple[str, ...], Iterator[Record]]:
    """The columns' names, and all rows."""
    first = next(read, None)
    if first is None:
        raise _empty(place)
    if first.fault is not None:
        raise refused(place, first)
    if options.header:
        names = tuple(name.strip().removeprefix("\ufeff") for name in first.fields)
        hint = "Rename one of them or, if that line is data, run `hpo.predict --no-header`."
        check_repeated(f"{place}, line {first.line}", names, hint)
        return names, read
    return tuple(str(number + 1) for number in range(len(first.fields))), chain([first], read)


def _record_parts(read: Iterator[Record], names: tuple[str, ...]) -> Iterator[Rows]:
    width = len(names)
    while part := list(islice(read, ROWS_AT_ONCE)):
        faults = {}
        for index, record in enumerate(part):
            fields, fault = record.fields, record.fault
            if len(fields) != width:
                fault = fault or f"{counted(len(fields), 'field')} where the first line has {width}"
                fields[:] = [*fields[:width], *[""] * (width - len(fields))]
            if fault is not None:
                faults[index] = fault
        columns = zip(*(record.fields for record in part), strict=True)
        numbers = [record.line for record in part]
        yield Rows(dict(zip(names, map(list, columns), strict=True)), numbers, faults)


def _line_parts(lines: io.TextIOWrapper) -> Iterator[Rows]:
    line = 1
    while part := [text.rstrip("\r\n") for text in islice(lines, ROWS_AT_ONCE)]:
        yield Rows({"text": part}, range(line, line + len(part)))
        line += len(part)


def _json_names(lines: Iterable[str]) -> tuple[str, ...]:
    """The keys of all rows, in the order in which they come."""
    names: dict[str, None] = {}
    for line in lines:
        with suppress(ValueError):
            record = parse_json(line)
            if isinstance(record, dict):
                names.update(dict.fromkeys(record))
    return tuple(names)


def _json_parts(lines: Iterable[str], names: Sequence[str]) -> Iterator[Rows]:
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    while part := list(islice(numbered, ROWS_AT_ONCE)):
        found, faults = [], {}
        for index, (_, line) in enumerate(part):
            try:
                record = parse_json(line)
                if not isinstance(record, dict):
                    raise ValueError(f"{kind_of(record)}, not an object")
            except ValueError as error:
                faults[index] = f"broken JSON: {first_line(error)}"
                record = {}
            found.append(record)
        columns = {name: [record.get(name) for record in found] for name in names}
        yield Rows(columns, [number for number, _ in part], faults)


def _parquet(path: Path) -> RowStream:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        read_file(path)  # tells what is wrong with it
        raise DataError(
            str(path), found=first_line(error), expected="a parquet file", hint="Write it again."
        ) from error
    schema, total, read = file.schema_arrow, file.metadata.num_rows, [0]
    check_repeated(str(path), schema.names)

    def parts() -> Iterator[Rows]:
        batches = file.iter_batches(ROWS_AT_ONCE)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                columns = {name: batch.column(name).to_pylist() for name in schema.names}
            except (pyarrow.ArrowException, OverflowError) as error:
                raise OSError(first_line(error)) from error
            numbers = range(read[0] + 1, read[0] + batch.num_rows + 1)
            read[0] += batch.num_rows
            yield Rows(columns, numbers)

    def share_read() -> float:
        return read[0] / total if total else 1.0

    return RowStream(str(path), tuple(schema.names), parts(), share_read, "row", schema)


def _at_once(path: Path, options: ReadOptions) -> RowStream:
    """A format that has to be read whole."""
    table = read_file(path, options)
    columns = {name: table.column(name) for name in table.names}
    read = [0]

    def parts() -> Iterator[Rows]:
        for start in range(0, len(table), ROWS_AT_ONCE):
            end = min(len(table), start + ROWS_AT_ONCE)
            read[0] = end
            part = {name: column[start:end] for name, column in columns.items()}
            yield Rows(part, [int(number) for number in table.rows[start:end]])

    return RowStream(
        str(path),
        table.names,
        parts(),
        lambda: read[0] / len(table),
        table.row_noun,
        warnings=table.warnings,
    )
