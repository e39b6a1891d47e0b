"""Excel workbooks, through the library that pandas uses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from hpo.data.formats.options import AS_USUAL, ReadOptions
from hpo.data.headers import check_header
from hpo.data.table import Table
from hpo.errors import DataError, first_line


def read_excel(path: Path, options: ReadOptions = AS_USUAL) -> Table:
    """The first sheet of a workbook, cells as they are, empty ones as nothing.

    Raises:
        DataError: The data cannot be used as it is, or the extra `excel` is not installed.
    """
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise DataError(
            str(path),
            found="an Excel workbook, which needs openpyxl",
            expected="the extra that reads it",
            hint="Install it with `pip install 'hpo[excel]'`, or save the sheet as csv.",
        ) from error
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheet = book.worksheets[0]
        rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    except (OSError, ValueError, KeyError, IndexError, BadZipFile, InvalidFileException) as error:
        raise DataError(
            str(path),
            found=f"a file that cannot be read as a workbook ({first_line(error)})",
            expected="a whole xlsx file with a sheet",
            hint="Save it again, or as csv.",
        ) from error
    numbers = [
        number for number, row in enumerate(rows, start=1) if any(c is not None for c in row)
    ]
    filled = [rows[number - 1] for number in numbers]
    others = ", ".join(repr(other.title) for other in book.worksheets[1:])
    if not others:
        return _table(path, filled, numbers, options, ())
    warning = f"{path}: of {len(book.worksheets)} sheets the first is read, {sheet.title!r}"
    table = _table(path, filled, numbers, options, (warning,))
    return replace(table, place=f"{path} (its first sheet, {sheet.title!r}; not read: {others})")


def _table(
    path: Path,
    rows: list[list[object]],
    numbers: list[int],
    options: ReadOptions,
    warnings: tuple[str, ...],
) -> Table:
    if not rows:
        header: tuple[str, ...] = ()
    elif options.header:
        header = tuple("" if cell is None else str(cell).strip() for cell in rows[0])
        check_header(
            f"{path}, row {numbers[0]}",
            header,
            lambda: _table(path, rows, numbers, replace(options, header=False), ()),
        )
        rows, numbers = rows[1:], numbers[1:]
    else:
        header = tuple(str(index + 1) for index in range(len(rows[0])))
    position = {name: index for index, name in enumerate(header)}

    def column(name: str) -> list[object]:
        index = position[name]
        return [row[index] if index < len(row) else None for row in rows]

    kept = np.array(numbers, dtype=np.int64)
    return Table(
        str(path),
        header,
        column,
        kept,
        warnings=warnings,
        has_header=options.header,
        is_numbered=not options.header,
    )
