"""JSON: an object on each line, an array of objects, or columns in one object."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hpo.data.formats.options import AS_USUAL, ReadOptions
from hpo.data.formats.text import Decoded, decoded
from hpo.data.table import RowNoun, Table, check_repeated, kind_of
from hpo.errors import DataError

_FORMS = "an array of objects or lists, an object on each line, or an object of columns"


def read_jsonl(path: Path, options: ReadOptions = AS_USUAL) -> Table:
    """A table with a JSON object on each line.

    Raises:
        DataError: The data cannot be used as it is.
    """
    found = decoded(path, options.encoding)
    return replace(_lines(path, found), written=found.encoding)


def read_json(path: Path, options: ReadOptions = AS_USUAL) -> Table:
    """A table as one JSON document, in any of the forms in which pandas and others write it; or JSON lines.

    Raises:
        DataError: The data cannot be used as it is.
    """
    found = decoded(path, options.encoding)
    return replace(_document(path, found), written=found.encoding)


def _document(path: Path, found: Decoded) -> Table:
    try:
        document = json.loads(found.text)
    except (ValueError, RecursionError) as error:
        if getattr(error, "msg", "") == "Extra data":
            return _lines(path, found)
        line = getattr(error, "lineno", 1)
        raise _broken(path, line, error, _FORMS, "Correct that line.") from error
    if isinstance(document, dict):
        return _object(path, document, found.warnings)
    if isinstance(document, list):
        return _array(path, document, found.warnings)
    raise _other_form(path, kind_of(document))


def _lines(path: Path, found: Decoded) -> Table:
    records: list[Mapping[str, object]] = []
    lines: list[int] = []
    # Not splitlines: JSON strings may hold U+2028 and its like, which are no ends of lines.
    for number, line in enumerate(found.text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            is_array = line.lstrip().startswith("[")
            hint = "Call the file .json, if it is one array." if is_array else "Correct that line."
            raise _broken(path, number, error, "one JSON object a line", hint) from error
        if not isinstance(record, dict):
            raise DataError(
                f"{path}, line {number}",
                found=kind_of(record),
                expected="one JSON object a line",
                hint='Write each row as {"text": …, "label": …}.',
            )
        records.append(record)
        lines.append(number)
    return _of_records(path, records, lines, "line", found.warnings)


def _array(path: Path, document: Sequence[Any], warnings: tuple[str, ...]) -> Table:
    if document and isinstance(document[0], list) and document[0]:
        return _rows_without_names(path, document, warnings)
    for number, record in enumerate(document, start=1):
        if not isinstance(record, dict):
            raise DataError(
                f"{path}, row {number}",
                found=kind_of(record),
                expected="an object",
                hint='Write each row as {"text": …, "label": …}.',
            )
    return _of_records(path, document, range(1, len(document) + 1), "row", warnings)


def _rows_without_names(path: Path, rows: Sequence[Any], warnings: tuple[str, ...]) -> Table:
    """Rows as lists, whose columns have no names, as `to_json(orient="values")` writes them."""
    width = len(rows[0])
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list) or len(row) != width:
            raise DataError(
                f"{path}, row {number}",
                found=f"a list of {len(row)}" if isinstance(row, list) else kind_of(row),
                expected=f"a list of {width}, as the first row is",
                hint='Write each row as {"text": …, "label": …}.',
            )
    columns = {str(index + 1): [row[index] for row in rows] for index in range(width)}
    return replace(_of_columns(path, columns, len(rows), warnings), is_numbered=True)


def _object(path: Path, document: Mapping[str, Any], warnings: tuple[str, ...]) -> Table:
    """A table in one object: columns of values, columns by index, or columns and rows apart."""
    if {"columns", "data"} <= document.keys() and isinstance(document["columns"], list):
        return _columns_and_rows(path, document, warnings)
    values = list(document.values())
    if _is_rows(document):
        return _array(path, values, warnings)  # the rows by index
    lists = [value for value in values if isinstance(value, list)]
    if len(lists) == 1 and lists[0] and isinstance(lists[0][0], dict):
        return _array(path, lists[0], warnings)  # the rows beside what is said of them
    columns: dict[str, list[object]] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            columns[name] = [*value.values()]
        elif isinstance(value, list):
            columns[name] = value
    sizes = {len(column) for column in columns.values()}
    if len(columns) != len(values) or len(sizes) != 1:
        raise _other_form(path, "an object of something else")
    return _of_columns(path, columns, sizes.pop(), warnings)


def _is_rows(document: Mapping[str, Any]) -> bool:
    """Whether the objects in one are rows by an index, and not columns: an index has numbers, or is longer."""
    values = list(document.values())
    if not all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
        return False
    if not values or all(name.isdecimal() for name in values[0]):
        return False
    return all(name.isdecimal() for name in document) or len(document) > len(values[0])


def _columns_and_rows(path: Path, document: Mapping[str, Any], warnings: tuple[str, ...]) -> Table:
    names, rows = [str(name) for name in document["columns"]], document["data"]
    if not isinstance(rows, list) or any(
        not isinstance(row, list) or len(row) != len(names) for row in rows
    ):
        raise _other_form(path, "columns and data that do not fit together")
    check_repeated(str(path), names)
    columns = {name: [row[index] for row in rows] for index, name in enumerate(names)}
    return _of_columns(path, columns, len(rows), warnings)


def _of_records(
    path: Path,
    records: Sequence[Mapping[str, object]],
    numbers: Sequence[int],
    noun: RowNoun,
    warnings: tuple[str, ...],
) -> Table:
    names = tuple(dict.fromkeys(name for record in records for name in record))

    def column(name: str) -> list[object]:
        return [record.get(name) for record in records]

    return _table(path, names, column, np.array(numbers, dtype=np.int64), noun, warnings)


def _of_columns(
    path: Path, columns: Mapping[str, list[object]], rows: int, warnings: tuple[str, ...]
) -> Table:
    numbers = np.arange(1, rows + 1, dtype=np.int64)
    return _table(path, tuple(columns), lambda name: list(columns[name]), numbers, "row", warnings)


def _table(
    path: Path,
    names: tuple[str, ...],
    column: Callable[[str], list[object]],
    numbers: Any,
    noun: RowNoun,
    warnings: tuple[str, ...],
) -> Table:
    return Table(str(path), names, column, numbers, noun, warnings=warnings)


def _broken(path: Path, line: int, error: Exception, expected: str, hint: str) -> DataError:
    return DataError(
        f"{path}, line {line}",
        found=f"broken JSON ({getattr(error, 'msg', error)})",
        expected=expected,
        hint=hint,
    )


def _other_form(path: Path, found: str) -> DataError:
    return DataError(
        str(path), found=found, expected=_FORMS, hint='Write rows as {"text": …, "label": …}.'
    )
