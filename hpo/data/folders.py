"""Layouts of folders that hold a data set: class folders and shards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from hpo.data.files import file_format, read_file, split_name
from hpo.data.formats.options import ReadOptions
from hpo.data.formats.text import decoded_bytes, is_utf8
from hpo.data.table import Table, shortened
from hpo.data.unread import is_unlabelled
from hpo.errors import DataError

_SHARD: Final = re.compile(r"(.+?)[-_.](\d+)-of-(\d+)")
_MOST_NAMED: Final = 5


def class_folders(folder: Path, options: ReadOptions) -> Table | None:
    """A table of texts that stand in a file each, in a folder for each class.

    The layout of the Large Movie Review Dataset (Maas et al., 2011). Folders that say by their names
    that their texts have no labels are passed over, with a warning.

    Returns:
        None where the folder is not laid out so.
    """
    classes = {entry.name: _texts_in(entry) for entry in _folders(folder)}
    labelled = {name: files for name, files in classes.items() if files and not is_unlabelled(name)}
    if len(labelled) < 2 or any(file_format(path) for path in _files(folder)):
        return None
    paths = [path for files in labelled.values() for path in files]
    labels: list[object] = [name for name, files in labelled.items() for _ in files]
    texts, warnings = _read_texts(folder, paths, options)
    left = [name for name, files in classes.items() if files and name not in labelled]
    if left:
        warnings += (f"{folder}: {', '.join(left)} without labels, not used",)
    columns: dict[str, list[object]] = {"text": texts, "label": labels}
    return Table(
        str(folder),
        tuple(columns),
        lambda name: list(columns[name]),
        np.arange(1, len(paths) + 1, dtype=np.int64),
        warnings=warnings,
        written="a folder of texts for each class",
    )


def split_folders(folder: Path, options: ReadOptions) -> Mapping[str, Table]:
    """The folders in a folder that hold class folders: `train/pos/*.txt`, `test/neg/*.txt`."""
    found = {entry.name: class_folders(entry, options) for entry in _folders(folder)}
    return {name: table for name, table in found.items() if table is not None}


def without_shard(name: str) -> str:
    """What a file's name says besides which shard it is: `train-00000-of-00002`, `train`."""
    shard = _SHARD.fullmatch(name)
    return shard[1] if shard else name


def read_shards(paths: Sequence[Path], options: ReadOptions) -> Table:
    """The files of one split, one after the other.

    Args:
        paths: In their order; a single one as it is.

    Raises:
        DataError: Shards are missing, or have other columns than the first.
    """
    if len(paths) == 1 and not _SHARD.fullmatch(split_name(paths[0])):
        return read_file(paths[0], options)
    _check_whole(paths)
    tables = [read_file(path, options) for path in paths]
    first = tables[0]
    for table in tables[1:]:
        if set(table.names) != set(first.names):
            raise DataError(
                table.place,
                found=f"other columns ({', '.join(map(shortened, table.names))}) than {first.place}",
                expected=", ".join(map(shortened, first.names)),
                hint="Write all shards in the same way.",
            )
    return Table(
        f"{paths[0].parent / without_shard(split_name(paths[0]))} ({len(paths)} shards)",
        first.names,
        lambda name: [value for table in tables for value in table.column(name)],
        np.arange(1, sum(map(len, tables)) + 1, dtype=np.int64),
        class_names=first.class_names,
        has_header=first.has_header,
        is_numbered=first.is_numbered,
        warnings=tuple(warning for table in tables for warning in table.warnings),
        written=first.written,
    )


def contents_in_words(folder: Path) -> str:
    """What lies in a folder that is laid out in no known way."""
    folders, files = [*_folders(folder)], [*_files(folder)]
    if not folders and not files:
        return "an empty folder"
    entries = [*(f"{entry.name}/" for entry in folders), *(entry.name for entry in files)]
    listed = ", ".join(entries[:_MOST_NAMED]) + ", …" * (len(entries) > _MOST_NAMED)
    return f"a folder of {listed}"


def _check_whole(paths: Sequence[Path]) -> None:
    shards = [_SHARD.fullmatch(split_name(path)) for path in paths]
    numbers = [(int(each[2]), int(each[3])) for each in shards if each]
    total = max(total for _, total in numbers)
    missing = sorted(set(range(total)) - {number for number, _ in numbers})
    if missing:
        named = ", ".join(f"{number:05d}" for number in missing[:_MOST_NAMED])
        raise DataError(
            str(paths[0]),
            found=f"{len(numbers)} of {total} shards ({named} missing)",
            expected="all of them",
            hint="Download the missing ones.",
        )


def _read_texts(
    folder: Path, paths: Iterable[Path], options: ReadOptions
) -> tuple[list[object], tuple[str, ...]]:
    contents = {path: path.read_bytes() for path in paths}
    # One encoding for all that are not UTF-8: a short text alone does not show its own.
    stray = {path: data for path, data in contents.items() if not (b"\0" in data or is_utf8(data))}
    if options.encoding or not stray:
        return [
            decoded_bytes(path, data, options.encoding).text for path, data in contents.items()
        ], ()
    name = decoded_bytes(folder, b"\n".join(stray.values())).guessed
    texts: list[object] = [
        decoded_bytes(path, data, name if path in stray else None).text
        for path, data in contents.items()
    ]
    files = "1 file is" if len(stray) == 1 else f"{len(stray):,} files are"
    return texts, (f"{folder}: {files} not UTF-8 and read as {name}; data.encoding sets it",)


def _texts_in(folder: Path) -> list[Path]:
    """The files that are a text each; none where there are tables among them."""
    files = [*_files(folder)]
    return [] if any(file_format(path) for path in files) else files


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_dir()]


def _files(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_file()]


def _entries(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "__")))
