"""Zip files of several members: a folder of splits or classes, one table among notes, or a choice for the user."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from hpo.data.contents import check_content
from hpo.data.files import file_format, split_name
from hpo.data.packed import FAULTS, damaged, members
from hpo.data.shards import without_shard
from hpo.data.unread import is_no_data, looks_like_data
from hpo.errors import DataError, nearest_name

_MOST_NAMED: Final = 5
_OF_DATASETS: Final = ("dataset_dict.json", "state.json")
_FEWEST_TEXTS: Final = 2  # in a folder, for it to be one of a class


def parted(source: str) -> tuple[str, str | None]:
    """A source and the member of it that is meant.

    >>> parted("data.zip::train.csv"), parted("data.csv"), parted("https://[::1]/data.zip")
    (('data.zip', 'train.csv'), ('data.csv', None), ('https://[::1]/data.zip', None))
    """
    named = re.fullmatch(r"(.+\.zip|https?://.+)::([^\]]+)", source, re.IGNORECASE | re.DOTALL)
    return (named[1], named[2]) if named else (source, None)


def is_archive(path: Path) -> bool:
    """Whether a file is a zip file of several members."""
    return path.suffix.lower() == ".zip" and path.is_file() and len(members(path)) > 1


@contextmanager
def opened_archive(path: Path, member: str | None, train_name: str) -> Iterator[tuple[Path, Path]]:
    """Unpack what is to be read of a zip file, for as long as it is read.

    Args:
        path: Of the zip file.
        member: The one that the user named, or None.
        train_name: What the training split is called, in lower case.

    Yields:
        Where it was unpacked, and the file or folder there that is to be read.

    Raises:
        DataError: It is damaged, too large, has no such member, or several tables that are no splits.
        OSError: It cannot be unpacked.
    """
    if path.suffix.lower() != ".zip":
        raise DataError(
            f"{path}::{member}",
            found="a member of what is no zip file",
            expected="a zip file before the ::",
            hint="Name the file alone.",
        )
    check_content(path)
    names = members(path)
    chosen = _chosen(path, names, member, train_name.lower())
    with TemporaryDirectory(prefix="hpo-unpacked-") as folder:
        root = Path(folder).resolve() / "zip"
        try:
            with zipfile.ZipFile(path) as archive:
                wanted = names if chosen is None else [chosen]
                _check_room(path, sum(archive.getinfo(name).file_size for name in wanted), folder)
                inside = [Path(archive.extract(name, root)) for name in wanted]
        except FAULTS as error:
            raise damaged(path, error) from error
        yield root, _without_outer_folders(root, train_name) if chosen is None else inside[0]


def _chosen(path: Path, names: Sequence[str], member: str | None, train_name: str) -> str | None:
    """The member to read; None: all of them, as a folder."""
    if member is not None:
        return _named(path, names, member)
    if _is_data_set(names, train_name):
        return None
    tables = [name for name in names if looks_like_data(Path(name), (train_name,))]
    tables = tables or [name for name in names if not is_no_data(Path(name))]
    if len(tables) == 1:
        return tables[0]
    raise DataError(
        str(path),
        found=f"a zip file of {len(tables)} tables ({_listed(tables)})"
        if tables
        else "no table in it",
        expected=f"one table, or one called {train_name} and others for the other splits",
        hint=f"Name one of them, as in {path.name}::{tables[0]}."
        if tables
        else "Unpack it with `unzip`, and name a file or folder.",
    )


def _named(path: Path, names: Sequence[str], member: str) -> str:
    meant = [name for name in names if member in (name, PurePosixPath(name).name)]
    if len(meant) == 1 or member in meant:
        return member if member in meant else meant[0]
    near = nearest_name(member, names)
    raise DataError(
        f"{path}::{member}",
        found="no such member" if not meant else f"several members of this name ({_listed(meant)})",
        expected=f"one of {_listed(names)}",
        hint=f"Write {path.name}::{near or names[0]}." if names else "Check the zip file.",
    )


def _is_data_set(names: Sequence[str], train_name: str) -> bool:
    """Whether the members are a folder of splits, of class folders, or what save_to_disk wrote."""
    paths = [PurePosixPath(name) for name in names]
    splits = {part.lower() for path in paths for part in path.parts[:-1]}
    splits |= {
        without_shard(split_name(Path(path.name))) for path in paths if file_format(Path(path.name))
    }
    if train_name in splits or any(path.name in _OF_DATASETS for path in paths):
        return True
    if any(file_format(Path(path.name)) for path in paths):
        return False
    parents = [path.parent for path in paths]
    classes = (
        {parent for parent in parents if parents.count(parent) >= _FEWEST_TEXTS}
        if len(parents) < 1_000
        else set(parents)
    )
    return len(classes - {PurePosixPath(".")}) > 1


def _without_outer_folders(folder: Path, train_name: str) -> Path:
    """The folder that holds the data, where archives have put it into others."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
    folders = [entry for entry in entries if entry.is_dir()]
    others = [entry for entry in entries if not is_no_data(entry) and entry not in folders]
    if len(folders) == 1 and not others and folders[0].name.lower() != train_name:
        return _without_outer_folders(folders[0], train_name)
    return folder


def _check_room(path: Path, size: int, folder: str) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DataError(
            str(path),
            found=f"{size / 1e6:,.0f} MB in it, with {free / 1e6:,.0f} MB free in {folder}",
            expected="room to unpack it",
            hint="Free some space, or set TMPDIR to another folder.",
        )


def _listed(names: Collection[str]) -> str:
    return ", ".join([*names][:_MOST_NAMED]) + ", …" * (len(names) > _MOST_NAMED)
