"""Reading a file into a table, by the format that its suffix names, or that its first bytes show."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hpo.data.aliases import called, spoken_of_as
from hpo.data.contents import (
    SAYS_NOTHING,
    binary_content,
    check_content,
    check_inside,
    way_to_a_format,
)
from hpo.data.formats.fasttext import refuse_fasttext
from hpo.data.formats.options import AS_USUAL, ReadOptions
from hpo.data.packed import is_packed, name_inside, unpacked
from hpo.data.table import Table
from hpo.errors import DataError, first_line
from hpo.spec.registries import DATA_FORMATS, data_format


def file_format(path: Path) -> str | None:
    """The format of a file by its name, looking through what it is compressed by; None: of none."""
    return data_format(Path(name_inside(path)))


def split_name(path: Path) -> str:
    """What a file's name says besides format and compression, in lower case: `train.csv.gz`, `train`."""
    inside = Path(name_inside(path))
    return (inside.stem if data_format(inside) else inside.name).lower()


def read_file(path: Path, options: ReadOptions = AS_USUAL) -> Table:
    """The table in a file.

    Raises:
        DataError: It has no rows, is of no known format, or is broken; the place names the line or row.
    """
    table = read_rows(path, options)
    if not len(table):
        raise DataError(
            table.place,
            found="no rows",
            expected="a table of texts and labels",
            hint="Name a file that has rows.",
        )
    return table


def read_rows(path: Path, options: ReadOptions = AS_USUAL) -> Table:
    """The table in a file, also where it has no rows.

    Raises:
        DataError: It is of no known format, or is broken; the place names the line or row.
    """
    if path.exists() and not path.is_file():
        raise _no_file(path, "a folder" if path.is_dir() else "no regular file")
    if not path.exists():
        raise _no_file(path, "no such file")
    try:
        check_content(path)
        return _unpacked_table(path, options) if is_packed(path) else _table(path, options)
    except OSError as error:
        raise _unreadable(path, error) from error


def formats_in_words() -> str:
    """`csv, tsv, jsonl, … or parquet`."""
    *most, last = DATA_FORMATS
    return f"{', '.join(most)} or {last}"


def _table(path: Path, options: ReadOptions) -> Table:
    if path.suffix.lower() in SAYS_NOTHING:
        refuse_fasttext(path)
    name = data_format(path) or _shown_format(path)
    if name is None:
        raise DataError(
            str(path),
            found=_unknown_in_words(path),
            expected=f"a {formats_in_words()} file",
            hint=f"{way_to_a_format(path)}.",
        )
    read: Callable[..., Table] = DATA_FORMATS[name]
    # A format of another package's may know of no options.
    takes_options = len(inspect.signature(read).parameters) > 1
    table = read(path, options) if takes_options else read(path)
    return replace(table, written=", ".join(filter(None, (name, table.written))))


def _unknown_in_words(path: Path) -> str:
    if not path.suffix:
        return "a file with no suffix, and no tabs, commas, semicolons or bars in its first line"
    if path.suffix.lower() in SAYS_NOTHING:
        return f"no tabs, commas, semicolons or bars in the first line of a {path.suffix} file"
    return f"a file with the suffix {path.suffix!r}"


def _shown_format(path: Path) -> str | None:
    """The format of a file whose suffix says nothing, by its first bytes."""
    if path.suffix.lower() not in SAYS_NOTHING:
        return None
    with path.open("rb") as file:
        content = binary_content(file)
        file.seek(0)
        head = file.read(4_096)
    if content is not None:
        return data_format(Path(f"table{content.suffixes[0]}"))
    line = head.lstrip(b"\xef\xbb\xbf").partition(b"\n")[0].strip()
    if line.startswith((b"{", b"[")):
        return "json"
    if b"\t" in line:
        return "tsv"
    return "csv" if any(mark in line for mark in (b",", b";", b"|")) else None


def _unpacked_table(path: Path, options: ReadOptions) -> Table:
    """The table in a compressed file, all of it in memory, with the file's own name in all messages."""
    with unpacked(path) as inside:
        with inside.open("rb") as file:
            check_inside(path, inside.name, file)
        with spoken_of_as(inside, str(path)):
            table = _table(inside, options)
        named = called(table, inside, str(path), read=True)
        return replace(named, written=f"{table.written}, {path.suffix.lower().removeprefix('.')}")


def _no_file(path: Path, found: str) -> DataError:
    return DataError(
        str(path), found=found, expected=f"a {formats_in_words()} file", hint="Check the path."
    )


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        str(path),
        found=error.strerror or first_line(error),
        expected="a readable file",
        hint="Check the file and its rights.",
    )
