"""Tables of any length, written some rows at a time and put in place whole."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from hpo.atomic import whole_file
from hpo.errors import DataError, OptionError, first_line

if TYPE_CHECKING:
    import pyarrow

Columns = Mapping[str, Sequence[Any]]
WRITTEN: Final = ("csv", "tsv", "jsonl", "parquet")
"""The formats that are written, by suffix; the first three also with `.gz` after it."""

_DELIMITERS: Final = {"csv": ",", "tsv": "\t"}


def written_format(path: Path) -> str:
    """The format that a file's name asks for.

    Raises:
        OptionError: It is none that is written.
    """
    name = Path(path.stem) if path.suffix.lower() == ".gz" else path
    kind = name.suffix.lower().removeprefix(".").replace("ndjson", "jsonl")
    if kind not in WRITTEN or (name != path and kind == "parquet"):
        raise OptionError(
            "--output",
            found=path.name,
            expected=f"a file that ends in .{', .'.join(WRITTEN)}, or .csv.gz and the like",
            hint="Change its suffix.",
        )
    return kind


@contextmanager
def write_rows(
    path: Path, schema: pyarrow.Schema | None = None
) -> Iterator[Callable[[Columns], None]]:
    """Write a table; the file is there once all of it is, and not before.

    Args:
        path: Of the file; its suffix names the format.
        schema: Types of columns for parquet, of as many as have one.

    Yields:
        What takes some rows as columns of equal lengths, always the same ones.

    Raises:
        DataError: Values that the format cannot hold.
        OSError: It cannot be written.
    """
    kind = written_format(path)
    with whole_file(path, durable=False) as partial:
        if kind == "parquet":
            with _parquet(partial, path, schema) as write:
                yield write
            return
        # What was no text in the input is written as it came.
        with (
            _opened(partial, path) as raw,
            io.TextIOWrapper(raw, "utf-8", errors="surrogateescape", newline="") as file,
        ):
            yield _json_lines(file) if kind == "jsonl" else _delimited(file, _DELIMITERS[kind])


@contextmanager
def in_background(write: Callable[[Columns], None]) -> Iterator[Callable[[Columns], None]]:
    """Write rows while whoever has them works on the next; all are written where it ends without a fault.

    Args:
        write: Takes some rows.

    Yields:
        What takes some rows as `write` does, and waits for those before alone. It raises, and so does
        the end, what writing them raised.
    """
    with ThreadPoolExecutor(1) as writer:
        before: Future[None] | None = None

        def take(columns: Columns) -> None:
            nonlocal before
            if before is not None:
                before.result()
            before = writer.submit(write, columns)

        yield take
        if before is not None:
            before.result()


def _opened(partial: Path, path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return gzip.GzipFile(partial, "wb", compresslevel=6, mtime=0)  # type: ignore[return-value]
    return partial.open("wb")


def _delimited(file: io.TextIOWrapper, delimiter: str) -> Callable[[Columns], None]:
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    is_first = True

    def write(columns: Columns) -> None:
        nonlocal is_first
        if is_first:
            writer.writerow(columns)
            is_first = False
        writer.writerows(zip(*map(_cells, columns.values()), strict=True))

    return write


def _cells(column: Sequence[Any]) -> Sequence[Any]:
    """A column as a csv file has it: lists and objects as JSON."""
    if not any(isinstance(cell, (list, dict)) for cell in column):
        return column
    return [
        json.dumps(cell, ensure_ascii=False) if isinstance(cell, (list, dict)) else cell
        for cell in column
    ]


def _json_lines(file: io.TextIOWrapper) -> Callable[[Columns], None]:
    def write(columns: Columns) -> None:
        for row in zip(*columns.values(), strict=True):
            document = dict(zip(columns, row, strict=True))
            file.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")

    return write


@contextmanager
def _parquet(
    partial: Path, path: Path, schema: pyarrow.Schema | None
) -> Iterator[Callable[[Columns], None]]:
    import pyarrow
    import pyarrow.parquet

    writer: Any = None
    known = {} if schema is None else {each.name: each.type for each in schema}

    def write(columns: Columns) -> None:
        nonlocal writer
        try:
            arrays = {
                name: pyarrow.array(
                    column, known.get(name) if writer is None else writer.schema.field(name).type
                )
                for name, column in columns.items()
            }
            table = pyarrow.table(arrays)
            if writer is None:
                writer = pyarrow.parquet.ParquetWriter(partial, table.schema)
            writer.write_table(table)
        except (pyarrow.ArrowException, KeyError, UnicodeError) as error:
            raise DataError(
                str(path),
                found=f"values that parquet cannot hold ({first_line(error)})",
                expected="one type in each column",
                hint="Write .jsonl instead.",
            ) from error

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()
