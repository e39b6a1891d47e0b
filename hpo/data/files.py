"""Reading csv, tsv, jsonl and parquet files into tables, with the line at fault in errors."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hpo.data.table import Table, shortened
from hpo.errors import DataError

if TYPE_CHECKING:
    import pyarrow.parquet

_FORMATS: Final = "csv, tsv, jsonl or parquet"


def read_file(path: Path) -> Table:
    """The table in a file, by its suffix. Raises DataError naming the file and the line or row."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            str(path),
            found=f"a file with the suffix {path.suffix!r}"
            if path.suffix
            else "a file with no suffix",
            expected=f"a {_FORMATS} file",
            hint="Convert it, or give it the suffix of its format.",
        )
    if not path.is_file():
        raise DataError(
            str(path),
            found="a folder" if path.is_dir() else "no such file",
            expected=f"a {_FORMATS} file",
            hint="Check the path.",
        )
    try:
        table = reader(path)
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


def _read_csv(path: Path) -> Table:
    return _table_of(path, _parsed(path, _decoded(path), ",", quotes=True), ",")


def _read_tsv(path: Path) -> Table:
    # Some programs quote tsv fields as in csv, others leave quotation marks bare in them. A file
    # with bare ones rarely reads as quoted throughout, so quoted is tried first; where it does, one
    # field holds what is between two of them: whole lines.
    text = _decoded(path)
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
    _check_repeated(f"{path}, line 1", header)
    for other, word in ((";", "semicolons"), ("\t", "tabs"), (",", "commas")):
        if len(header) == 1 and other in header[0] and other != delimiter:
            raise DataError(
                f"{path}, line 1",
                found=f"columns separated by {word}",
                expected="tabs" if delimiter == "\t" else "commas",
                hint="Write the file anew, or give it the suffix of its format.",
            )


def _check_repeated(place: str, names: Sequence[str]) -> None:
    repeated = [name for name in names if name and names.count(name) > 1]
    if repeated:
        raise DataError(
            place,
            found=f"more than one column named {shortened(repeated[0])}",
            expected="each column named once",
            hint="Rename one of them.",
        )


@contextmanager
def _unlimited_fields() -> Iterator[None]:
    """Lift the csv module's limit of 128 KiB a field, one for the whole process, for a while."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_jsonl(path: Path) -> Table:
    records: list[Mapping[str, object]] = []
    lines: list[int] = []
    # Not splitlines: JSON strings may hold U+2028 and its like, which are no ends of lines.
    for number, line in enumerate(_decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}",
                found=f"broken JSON ({getattr(error, 'msg', error)})",
                expected="one JSON object a line",
                hint="Write each row on a line of its own, not as an array."
                if line.startswith("[")
                else "Correct that line.",
            ) from error
        if not isinstance(record, dict):
            raise DataError(
                f"{path}, line {number}",
                found=kind_of(record),
                expected="one JSON object a line",
                hint='Write each row as {"text": …, "label": …}.',
            )
        records.append(record)
        lines.append(number)
    names = tuple(dict.fromkeys(name for record in records for name in record))

    def column(name: str) -> list[object]:
        return [record.get(name) for record in records]

    return Table(str(path), names, column, np.array(lines, dtype=np.int64), "line")


def _read_parquet(path: Path) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise _no_parquet(path, error) from error
    _check_repeated(str(path), file.schema_arrow.names)

    def column(name: str) -> list[object]:
        try:
            values: list[object] = file.read(columns=[name]).column(name).to_pylist()
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _no_parquet(path, error) from error
        except (OverflowError, ValueError) as error:  # a date beyond the year 9999
            raise DataError(
                f"{path}, column {shortened(name)}",
                found=f"values that Python cannot hold ({_first_line(error)})",
                expected="texts or labels",
                hint="Name another column with --text-column or --label-column.",
            ) from error
        return values

    return Table(
        str(path),
        tuple(file.schema_arrow.names),
        column,
        np.arange(1, file.metadata.num_rows + 1, dtype=np.int64),
        class_names=_class_names(file),
    )


def _class_names(file: pyarrow.parquet.ParquetFile) -> dict[str, tuple[str, ...]]:
    """Names of the classes that the datasets library writes into the metadata of parquet files."""
    metadata = file.schema_arrow.metadata or {}
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {
            name: tuple(feature["names"])
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}


def _no_parquet(path: Path, error: Exception) -> DataError:
    return DataError(
        str(path),
        found=f"a file that cannot be read as parquet ({_first_line(error)})",
        expected="a whole parquet file",
        hint="Write or download it again.",
    )


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        str(path),
        found=error.strerror or _first_line(error),
        expected="a readable file",
        hint="Check the file and its rights.",
    )


def _decoded(path: Path) -> str:
    """The text of a UTF-8 file, its byte order mark left out. Raises DataError naming the line."""
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _not_utf8(str(path), "UTF-16 text")
    nul = data.find(b"\0")
    if nul >= 0:
        place = f"{path}, line {_line_of(data, nul)}"
        raise _not_utf8(place, "a NUL byte, so this is no text file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts from after the byte order mark.
        start = error.start + len(codecs.BOM_UTF8) * data.startswith(codecs.BOM_UTF8)
        place = f"{path}, line {_line_of(data, start)}"
        raise _not_utf8(
            place, f"bytes that are not UTF-8 ({data[start : start + 4].hex(' ')})"
        ) from error
    if not text.strip():
        raise DataError(
            str(path),
            found="an empty file",
            expected="a table of texts and labels",
            hint="Name a file that has rows.",
        )
    return text


def _not_utf8(place: str, found: str) -> DataError:
    return DataError(place, found=found, expected="UTF-8 text", hint="Save the file as UTF-8.")


def _line_of(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def kind_of(value: object) -> str:
    """What a value is, in words for a message."""
    if value is None:
        return "nothing"
    for kind, words in _KINDS:
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"


_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "text"),
    ((list, tuple), "a list"),
    (dict, "an object"),
    ((bytes, bytearray), "bytes"),
)

READERS: Final[Mapping[str, Callable[[Path], Table]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
