"""Layouts of folders that hold a data set: a folder for each class, and what is said of those that are not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from hpo.data.files import file_format, formats_in_words
from hpo.data.formats.options import ReadOptions
from hpo.data.formats.text import beyond_ascii, decoded_bytes, is_utf8
from hpo.data.table import Table
from hpo.data.unread import is_unlabelled
from hpo.errors import DataError

_MOST_NAMED: Final = 5
# Of files that are a text each, rather than a table.
_OF_TEXTS: Final = ("", ".txt", ".text", ".md", ".eml")


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


def unknown_layout(folder: Path) -> DataError:
    """The error for a folder that is laid out in no known way: what lies in it, and what mends that."""
    folders, files = [*_folders(folder)], [*_files(folder)]
    entries = [*(f"{entry.name}/" for entry in folders), *(entry.name for entry in files)]
    listed = ", ".join(entries[:_MOST_NAMED]) + ", …" * (len(entries) > _MOST_NAMED)
    found, hint = "a folder of", "Call the training file train.csv, or whatever its format is."
    if folders and all("=" in entry.name for entry in folders):
        found, hint = "a partitioned table,", _one_file_of(folder)
    elif len(files) > 1 and all(path.suffix.lower() in _OF_TEXTS for path in files):
        hint = (
            "Move each text to a folder named by its class (pos/0.txt, neg/1.txt), or write all of "
            "them to one train.csv with a column for the text and one for the label."
        )
    return DataError(
        str(folder),
        found=f"{found} {listed}" if entries else "an empty folder",
        expected=f"a file for each split ({formats_in_words()}), a folder of texts for each "
        "class, or what save_to_disk wrote",
        hint=hint,
    )


def _one_file_of(folder: Path) -> str:
    """What makes one file of a table that is partitioned, as Spark, Hive and pandas write them."""
    formats = {path.suffix.lower() for path in folder.rglob("*.*") if path.is_file()}
    if formats <= {".parquet"}:
        return f"Make one file of it: `pandas.read_parquet({str(folder)!r}).to_parquet('train.parquet')`."
    kind = next((kind for kind in ("csv", "json") if f".{kind}" in formats), "parquet")
    table = f"pyarrow.dataset.dataset({str(folder)!r}, format={kind!r}, partitioning='hive')"
    return f"Make one file of it: `{table}.to_table().to_pandas().to_parquet('train.parquet')`."


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
    together = decoded_bytes(folder, b"\n".join(stray.values()))
    name = together.guessed
    texts: list[object] = [
        decoded_bytes(path, data, name if path in stray else None).text
        for path, data in contents.items()
    ]
    files = "1 file is" if len(stray) == 1 else f"{len(stray):,} files are"
    shown = beyond_ascii(together.text)
    return texts, (f"{folder}: {files} not UTF-8 and read as {name}{shown}; data.encoding sets it",)


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
