"""From what `data.source` says to the tables of its splits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from hpo.data.aliases import called, spoken_of_as
from hpo.data.archives import is_archive, opened_archive, parted
from hpo.data.contents import OTHER_TABLES
from hpo.data.downloads import Downloads
from hpo.data.files import file_format, read_file, split_name
from hpo.data.folders import (
    class_folders,
    split_folders,
    unknown_layout,
)
from hpo.data.formats.options import OF_DATASETS, read_options, refuse_unread_options
from hpo.data.hub import read_hub, saved_dataset
from hpo.data.shards import part_files, read_shards, without_shard
from hpo.data.source_tables import SourceTables
from hpo.data.table import Table
from hpo.data.unread import (
    check_splits_left,
    is_unlabelled,
    looks_like_data,
    not_read,
    not_read_in_words,
)
from hpo.errors import DataError, HpoError, first_line, nearest_name
from hpo.redaction import without_credentials
from hpo.spec.addresses import is_address, shown, why_no_address
from hpo.spec.effects import refuse_idle
from hpo.spec.locations import path_of
from hpo.spec.study import DEMO, DataSection

VALIDATION_NAMES: Final = ("validation", "valid", "val", "dev", "eval", "evaluation")
TEST_NAMES: Final = ("test", "testing")

# Endings that say "a file", not "a hub id", also where the file is missing or cannot be read.
_FILE_SUFFIXES: Final = (*OTHER_TABLES, ".txt", ".gz", ".bz2", ".xz", ".zip")
_HUB_ID: Final = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)

_Part = TypeVar("_Part")


def read_source(section: DataSection, downloads: Downloads | None = None) -> SourceTables:
    """Read the splits of `section.source`: the demo, a file, a folder of splits, an address, or a hub data set.

    Args:
        section: Of the study.
        downloads: Where files from addresses are kept; left out, in the usual cache.

    Raises:
        DataError: The source or a split that was named does not exist or cannot be read.
    """
    source, member = parted(section.source)
    if source == DEMO:
        from hpo.data.demo_tables import demo_tables

        refuse_unread_options(section, [OF_DATASETS])
        return _chosen(section, demo_tables())
    if is_address(source):
        return _of_address(section, source, member, downloads or Downloads.usual())
    path = path_of(source, lambda reason: _no_source(source, reason))
    if path.exists():
        return _of_path(section, path, member)
    if names_a_path(source) or not _HUB_ID.fullmatch(source):
        raise _no_source(source, "no such file or folder")
    refuse_unread_options(section, [OF_DATASETS])
    hub = read_hub(source, config=section.config, revision=section.revision)
    return _chosen(section, hub.splits, hub.warnings)


def _of_path(section: DataSection, path: Path, member: str | None = None) -> SourceTables:
    """What a file or folder holds, or one member of a zip file."""
    kind = "folder" if path.is_dir() else "file"
    refuse_idle("data", section, "a hub data set", f"{section.source} is a {kind}")
    if path.is_dir():
        try:
            return _told(_folder(section, path))
        except OSError as error:
            where = f"{error.filename or path}: {error.strerror}"
            raise _no_source(section.source, where) from error
    if member is None and not is_archive(path):
        return _told(_single_file(section, path))
    try:
        with opened_archive(path, member, section.train_split) as (root, inside):
            return _copied(section, inside, root, str(path), read=True)
    except OSError as error:
        raise DataError(
            str(path),
            found=f"a zip file that cannot be unpacked ({error.strerror or first_line(error)})",
            expected="a whole file, and room for what is in it",
            hint="Check the file, its rights and the disk.",
        ) from error


def _of_address(
    section: DataSection, address: str, member: str | None, downloads: Downloads
) -> SourceTables:
    """What a file from a web server holds. One that was fetched just now and cannot be read is not kept."""
    refused = why_no_address(address)
    if refused is not None:
        raise DataError(without_credentials(address), **refused._asdict())
    copy, name = downloads.get(address), shown(address)
    section = section.model_copy(update={"source": name})
    try:
        source = _copied(section, copy.path, copy.path, name, read=False, member=member)
    except HpoError:
        if copy.is_new:
            downloads.drop(address)
        raise
    return replace(source, warnings=(*copy.warnings, *source.warnings))


def _copied(
    section: DataSection,
    path: Path,
    copy: Path,
    name: str,
    *,
    read: bool,
    member: str | None = None,
) -> SourceTables:
    """What a copy holds, by the name of what was copied in all that is said of it."""
    with spoken_of_as(copy, name):
        source = _of_path(section, path, member)
    warnings = tuple(warning.replace(str(copy), name) for warning in source.warnings)
    tables = source.changed(lambda table: called(table, copy, name, read=read))
    return replace(tables, warnings=warnings)


def names_a_path(source: str) -> bool:
    """Whether a source means a file or folder, also one that is not there, and no hub data set."""
    path = Path(source)
    return (
        source.startswith((".", "/", "~"))
        or path.suffix.lower() in _FILE_SUFFIXES
        or file_format(path) is not None
    )


def _no_source(source: str, found: str) -> DataError:
    return DataError(
        source,
        found=found,
        expected="a file, a folder, a hub id (owner/name), an address (https://…) or demo",
        hint="Check the path.",
    )


def _told(source: SourceTables) -> SourceTables:
    """The tables with what was guessed in reading each."""
    read = [source.train, source.validation, source.test]
    guesses = [warning for table in read if table is not None for warning in table.warnings]
    return replace(source, warnings=(*source.warnings, *guesses))


def _single_file(section: DataSection, path: Path) -> SourceTables:
    usual = DataSection.model_fields["train_split"].default
    for key, name in (
        ("train", section.train_split if section.train_split != usual else None),
        ("validation", section.validation_split),
        ("test", section.test_split),
    ):
        if name is not None:
            raise DataError(
                f"data.{key}_split",
                found=f"{name!r}, but {path} is one file",
                expected="no split names with a single file",
                hint="Remove it, or name a folder with a file for each split.",
            )
    refuse_unread_options(section, [file_format(path)])
    return SourceTables(section.source, read_file(path, read_options(section)), None, None)


def _folder(section: DataSection, folder: Path) -> SourceTables:
    try:
        return _laid_out(section, folder)
    except OSError as error:
        raise DataError(
            str(folder),
            found=f"a folder that cannot be read ({error.strerror or error})",
            expected="a folder with a file for each split",
            hint="Check its rights.",
        ) from error


def _laid_out(section: DataSection, folder: Path) -> SourceTables:
    """The splits of a folder, in whatever way it is laid out."""
    saved = saved_dataset(folder)
    if saved is not None:
        refuse_unread_options(section, [OF_DATASETS])
        return _chosen(section, saved)
    files = _files_of_splits(section, folder)
    if not files:
        options = read_options(section)
        splits = split_folders(folder, options)
        if splits:
            return _chosen(section, splits)
        table = class_folders(folder, options)
        if table is not None:
            return SourceTables(section.source, table, None, None)
        if (folder / "data").is_dir() and _files_of_splits(section, folder / "data"):
            return _laid_out(section, folder / "data")  # as the hub's repositories are
    return _folder_of_files(section, folder, files)


def _files_of_splits(section: DataSection, folder: Path) -> dict[str, list[Path]]:
    """The files of a folder that can be read, by the split that they name; several where it is in shards."""
    parts = part_files(folder)
    usual = DataSection.model_fields["train_split"].default
    if parts and section.train_split == usual:
        return {usual: parts}
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        name = without_shard(split_name(path))
        if path.is_dir():
            found = part_files(path) if name in _wanted(section) else []
        else:
            found = [path] if path.is_file() and file_format(path) else []
        if not found:
            continue
        others = files.setdefault(name, [])
        if others and name == split_name(path) and name in _wanted(section):
            raise DataError(
                str(folder),
                found=f"both {others[0].name} and {path.name}",
                expected="one file for each split",
                hint="Remove or rename one of them.",
            )
        others += found
    return files


def _folder_of_files(
    section: DataSection, folder: Path, files: Mapping[str, list[Path]]
) -> SourceTables:
    known = _paths_and_folders(files.values())
    data = [path for path in sorted(folder.iterdir()) if looks_like_data(path, _wanted(section))]
    # First what no key could name: it may be the very split that is missed next.
    _check_unread(section, folder, [path for path in data if path not in known])
    if not files:
        raise unknown_layout(folder)
    chosen = _pick(section, files, place=str(folder), noun="file")
    read = _paths_and_folders(filter(None, chosen))
    refuse_unread_options(section, {file_format(path) for path in read if path.is_file()})
    unread = [path for path in data if path not in read]
    _check_unread(section, folder, unread)
    train, validation, test = (
        None if paths is None else read_shards(paths, read_options(section)) for paths in chosen
    )
    assert train is not None, "there is always a training split"
    warnings = _not_read(str(folder), "file", [path.name for path in unread])
    return SourceTables(section.source, train, validation, test, warnings)


def _paths_and_folders(paths: Iterable[Sequence[Path]]) -> set[Path]:
    """Files, and the folders of those that are parts of a split."""
    return {each for several in paths for path in several for each in (path, path.parent)}


def _check_unread(section: DataSection, folder: Path, unread: Sequence[Path]) -> None:
    """Raise DataError where data are not read that the user has not left out by naming others."""
    if section.validation_split and section.test_split:
        return
    replaced = {
        name
        for named, usual in (
            (section.validation_split, VALIDATION_NAMES),
            (section.test_split, TEST_NAMES),
        )
        if named
        for name in usual
    }
    surprising = [
        path
        for path in unread
        if without_shard(split_name(path)) not in replaced and not is_unlabelled(path.name)
    ]
    if surprising:
        raise not_read(folder, surprising)


def _wanted(section: DataSection) -> set[str]:
    named = (section.train_split, section.validation_split, section.test_split)
    return {name.lower() for name in named if name} | {*VALIDATION_NAMES, *TEST_NAMES}


def _chosen(
    section: DataSection, tables: Mapping[str, Table], warnings: tuple[str, ...] = ()
) -> SourceTables:
    train, validation, test = _pick(section, tables, place=section.source, noun="split")
    read = (train, validation, test)
    left = [name for name, table in tables.items() if not any(table is each for each in read)]
    roles = {"validation": (validation, VALIDATION_NAMES), "test": (test, TEST_NAMES)}
    lacking = {key: usual for key, (table, usual) in roles.items() if table is None}
    check_splits_left(section.source, left, lacking)
    warnings += _not_read(section.source, "split", left)
    return SourceTables(section.source, train, validation, test, warnings)


def _not_read(place: str, noun: str, names: Sequence[str]) -> tuple[str, ...]:
    return (not_read_in_words(place, noun, names),) if names else ()


def _pick(
    section: DataSection, parts: Mapping[str, _Part], *, place: str, noun: str
) -> tuple[_Part, _Part | None, _Part | None]:
    """The training, validation and test part among those that there are, in any case."""
    names = {name.lower(): name for name in parts}

    def named(key: str, name: str) -> _Part:
        if name.lower() in names:
            return parts[names[name.lower()]]
        near = nearest_name(name.lower(), names)
        raise DataError(
            place,
            found=f"no {noun} named {name!r}, but " + (", ".join(sorted(parts)) or "none at all"),
            expected=f"the {noun} that data.{key}_split names",
            hint=f"Set data.{key}_split to {names[near]!r}." if near else f"Set data.{key}_split.",
        )

    def found(key: str, name: str | None, usual: Iterable[str]) -> _Part | None:
        if name is not None:
            return named(key, name)
        present = [usual_name for usual_name in usual if usual_name in names]
        if len(present) > 1:
            raise DataError(
                place,
                found=f"more than one {key} {noun}: {', '.join(names[name] for name in present)}",
                expected="one",
                hint=f"Set data.{key}_split.",
            )
        return parts[names[present[0]]] if present else None

    return (
        named("train", section.train_split),
        found("validation", section.validation_split, VALIDATION_NAMES),
        found("test", section.test_split, TEST_NAMES),
    )
