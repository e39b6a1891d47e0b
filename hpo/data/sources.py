"""From what `data.source` says to the tables of its splits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from hpo.data.files import read_file
from hpo.data.hub import read_hub
from hpo.data.table import Table
from hpo.data.unread import (
    check_splits_left,
    is_unlabelled,
    looks_like_data,
    not_read,
    not_read_in_words,
)
from hpo.errors import DataError, nearest_name
from hpo.spec.effects import refuse_idle
from hpo.spec.locations import path_of
from hpo.spec.registries import data_format
from hpo.spec.study import DEMO, DataSection

if TYPE_CHECKING:
    from hpo.demo.grammar import Review

VALIDATION_NAMES: Final = ("validation", "valid", "val", "dev", "eval", "evaluation")
TEST_NAMES: Final = ("test", "testing")

# Endings that say "a file", not "a hub id", also where the file is missing or cannot be read.
_FILE_SUFFIXES: Final = (
    *(".json", ".ndjson", ".txt", ".xls", ".xlsx", ".ods", ".gz", ".zip", ".arrow", ".feather"),
)
_HUB_ID: Final = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)

_Part = TypeVar("_Part")


@dataclass(frozen=True, eq=False)
class SourceTables:
    """The splits that a source has, unchecked; validation and test are None where it has none."""

    source: str
    train: Table
    validation: Table | None
    test: Table | None
    warnings: tuple[str, ...] = ()


def read_source(section: DataSection) -> SourceTables:
    """Read the splits of `section.source`: the demo, a file, a folder of splits, or a hub data set.

    Raises:
        DataError: The source or a split that was named does not exist or cannot be read.
    """
    source = section.source
    if source == DEMO:
        return _chosen(section, _demo_tables())
    path = path_of(source, lambda reason: _no_source(source, reason))
    if path.exists():
        kind = "folder" if path.is_dir() else "file"
        refuse_idle("data", section, "a hub data set", f"{source} is a {kind}")
    if path.is_dir():
        return _folder(section, path)
    if path.exists():
        return _single_file(section, path)
    if names_a_path(source) or not _HUB_ID.fullmatch(source):
        raise _no_source(source, "no such file or folder")
    hub = read_hub(source, config=section.config, revision=section.revision)
    return _chosen(section, hub.splits, hub.warnings)


def names_a_path(source: str) -> bool:
    """Whether a source means a file or folder, also one that is not there, and no hub data set."""
    path = Path(source)
    return (
        source.startswith((".", "/", "~"))
        or path.suffix.lower() in _FILE_SUFFIXES
        or data_format(path) is not None
    )


def _no_source(source: str, found: str) -> DataError:
    return DataError(
        source,
        found=found,
        expected="a file, a folder, a hub id (owner/name) or demo",
        hint="Check the path.",
    )


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
    return SourceTables(section.source, read_file(path), None, None)


def _folder(section: DataSection, folder: Path) -> SourceTables:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(
            str(folder),
            found=f"a folder that cannot be read ({error.strerror or error})",
            expected="a folder with a file for each split",
            hint="Check its rights.",
        ) from error
    files: dict[str, Path] = {}
    for path in entries:
        name = path.stem.lower()
        if data_format(path) is None or not path.is_file():
            continue
        if name in files and name in _wanted(section):
            raise DataError(
                str(folder),
                found=f"both {files[name].name} and {path.name}",
                expected="one file for each split",
                hint="Remove or rename one of them.",
            )
        files[name] = path
    data = [path for path in entries if looks_like_data(path, _wanted(section))]
    # First what no key could name: it may be the very split that is missed next.
    _check_unread(section, folder, [path for path in data if path not in files.values()])
    chosen = train, validation, test = _pick(section, files, place=str(folder), noun="file")
    unread = [path for path in data if path not in chosen]
    _check_unread(section, folder, unread)
    return SourceTables(
        section.source,
        read_file(train),
        read_file(validation) if validation else None,
        read_file(test) if test else None,
        _not_read(str(folder), "file", [path.name for path in unread]),
    )


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
        if path.stem.lower() not in replaced and not is_unlabelled(path.name)
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


def _demo_tables() -> dict[str, Table]:
    from hpo.demo.grammar import demo_splits

    # The default seed whatever the study's, so that all demo studies are about the same data.
    return {name: _demo_table(name, reviews) for name, reviews in demo_splits().items()}


def _demo_table(name: str, reviews: list[Review]) -> Table:
    from hpo.demo.questions import stars_of, tags_of

    columns: dict[str, list[object]] = {
        "text": [review.text for review in reviews],
        "label": [review.label for review in reviews],
        "tags": [tags_of(review) for review in reviews],
        "stars": [stars_of(review) for review in reviews],
    }
    rows = np.arange(1, len(reviews) + 1, dtype=np.int64)
    return Table(f"demo, {name} split", tuple(columns), columns.__getitem__, rows)
