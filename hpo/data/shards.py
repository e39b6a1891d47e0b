"""Files that are one split together: shards, as the hub names them, and the parts that Spark and Dask write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from hpo.data.files import file_format, read_file, read_rows, split_name
from hpo.data.formats.options import ReadOptions
from hpo.data.headers import first_row_as_header, without_header
from hpo.data.table import Table, shortened
from hpo.errors import DataError
from hpo.spec.numbers import counted

# The hub long named shards with a digest of each behind its number.
_SHARD: Final = re.compile(r"(.+?)[-_.](\d+)-of-(\d+)(?:-[0-9a-f]{6,64})?")
_PART: Final = re.compile(r"part[-_.](?:[a-z]-)?(\d+)(?:[-_.].*)?")
_MOST_NAMED: Final = 5


def without_shard(name: str) -> str:
    """What a file's name says besides which shard it is: `train-00000-of-00002`, `train`."""
    shard = _SHARD.fullmatch(name)
    return shard[1] if shard else name


def part_files(folder: Path) -> list[Path]:
    """The part files of a folder in their order, `part-00000-….snappy.parquet`; none where it holds other tables."""
    tables = [path for path in folder.iterdir() if file_format(path) and path.is_file()]
    parts = {path: _PART.fullmatch(path.name.lower()) for path in tables}
    numbers = {path: int(part[1]) for path, part in parts.items() if part}
    if len(numbers) < len(tables):
        return []
    return sorted(tables, key=lambda path: (numbers[path], path.name))


def read_shards(paths: Sequence[Path], options: ReadOptions) -> Table:
    """The files of one split, one after the other.

    Args:
        paths: In their order; a single one as it is.

    Raises:
        DataError: Shards are missing, or have other columns than the first.
    """
    if len(paths) == 1 and not _SHARD.fullmatch(split_name(paths[0])):
        return read_file(paths[0], options)
    if _PART.fullmatch(paths[0].name.lower()):
        # What had no rows to write is there too, without any.
        tables = [read_rows(path, options) for path in paths if path.stat().st_size]
        tables = [table for table in tables if len(table)] or [read_file(paths[0], options)]
        return _joined(tables, f"{paths[0].parent} ({counted(len(paths), 'part')})")
    _check_whole(paths)
    name = without_shard(split_name(paths[0]))
    place = f"{paths[0].parent / name} ({counted(len(paths), 'shard')})"
    return _joined([read_file(path, options) for path in paths], place)


def _joined(tables: Sequence[Table], place: str) -> Table:
    first = tables[0]
    for table in tables[1:]:
        if set(table.names) != set(first.names):
            raise DataError(
                table.place,
                found=f"other columns ({', '.join(map(shortened, table.names))}) than {first.place}",
                expected=", ".join(map(shortened, first.names)),
                hint=f"If they have no header, add `{without_header(first)}`."
                if first_row_as_header(first)
                else "Write all shards in the same way.",
            )
    return Table(
        place,
        first.names,
        lambda name: [value for table in tables for value in table.column(name)],
        np.arange(1, sum(map(len, tables)) + 1, dtype=np.int64),
        class_names=first.class_names,
        has_header=first.has_header,
        is_numbered=first.is_numbered,
        warnings=tuple(warning for table in tables for warning in table.warnings),
        written=first.written,
    )


def _check_whole(paths: Sequence[Path]) -> None:
    """Raise DataError unless the shards are those of one set, each of them once."""
    shards = [_SHARD.fullmatch(split_name(path)) for path in paths]
    numbers = [int(shard[2]) if shard else -1 for shard in shards]
    totals = [int(shard[3]) if shard else 0 for shard in shards]
    if len(set(totals)) > 1 or len(set(numbers)) < len(numbers):
        listed = ", ".join(path.name for path in paths[:_MOST_NAMED])
        raise DataError(
            str(paths[0].parent),
            found=f"shards of more than one set ({listed}{', …' * (len(paths) > _MOST_NAMED)})",
            expected="one set, each of its shards once",
            hint="Remove those that are of an older download, or are not of this split.",
        )
    start = 1 if 0 not in numbers and totals[0] in numbers else 0
    missing = sorted(set(range(start, start + totals[0])) - set(numbers))
    if missing:
        named = ", ".join(f"{number:05d}" for number in missing[:_MOST_NAMED])
        raise DataError(
            str(paths[0]),
            found=f"{len(numbers)} of {totals[0]} shards ({named} missing)",
            expected="all of them",
            hint="Download the missing ones.",
        )
