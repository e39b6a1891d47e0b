"""Arrow tables: parquet, arrow and feather files, and the names of classes in their metadata."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.data.formats.options import AS_USUAL, ReadOptions
from hpo.data.table import Table, check_repeated, shortened
from hpo.documents import parse_json
from hpo.errors import DataError, first_line

if TYPE_CHECKING:
    import pyarrow


def read_parquet(path: Path, options: ReadOptions = AS_USUAL) -> Table:
    """A parquet file, its columns read when they are asked for.

    Raises:
        DataError: The data cannot be used as it is.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, "parquet", error) from error
    return _table(
        path,
        "parquet",
        file.schema_arrow,
        lambda name: file.read(columns=[name]).column(name),
        file.metadata.num_rows,
    )


def read_arrow(path: Path, options: ReadOptions = AS_USUAL) -> Table:
    """An Arrow file, or stream as the datasets library writes it, or a feather file.

    Raises:
        DataError: The data cannot be used as it is.
    """
    import pyarrow
    import pyarrow.feather

    try:
        table = _stream_or_file(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(path, "Arrow", error) from error
    return _table(path, "Arrow", table.schema, table.column, table.num_rows)


def _stream_or_file(path: Path) -> pyarrow.Table:
    import pyarrow
    import pyarrow.feather

    with path.open("rb") as file:
        magic = file.read(6)
    if magic in (b"ARROW1", b"FEA1\0\0") or magic.startswith(b"FEA1"):
        return pyarrow.feather.read_table(path)
    with pyarrow.memory_map(str(path)) as mapped:
        return pyarrow.ipc.open_stream(mapped).read_all()


def _table(
    path: Path,
    kind: str,
    schema: pyarrow.Schema,
    read: Callable[[str], Any],
    rows: int,
) -> Table:
    import pyarrow

    check_repeated(str(path), schema.names)

    @cache
    def column(name: str) -> list[object]:
        try:
            values: list[object] = read(name).to_pylist()
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _unreadable(path, kind, error) from error
        except (OverflowError, ValueError) as error:  # a date beyond the year 9999
            raise DataError(
                f"{path}, column {shortened(name)}",
                found=f"values that Python cannot hold ({first_line(error)})",
                expected="texts or labels",
                hint="Name another column with --text-column or --label-column.",
            ) from error
        return values

    numbers = np.arange(1, rows + 1, dtype=np.int64)
    names = _class_names(schema.metadata or {})
    return Table(str(path), tuple(schema.names), column, numbers, class_names=names)


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Names of the classes that the datasets library writes into the metadata of its files."""
    try:
        features = parse_json(metadata[b"huggingface"])["info"]["features"]
        named = {name: _named(feature) for name, feature in features.items()}
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}
    return {name: names for name, names in named.items() if names}


def _named(feature: object) -> tuple[str, ...]:
    """The names of a column's classes, or none where it has no such names, each once."""
    inner = feature.get("feature", feature) if isinstance(feature, dict) else None
    if not isinstance(inner, dict) or inner.get("_type") != "ClassLabel":
        return ()
    names = inner.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return ()
    return tuple(names) if len(set(names)) == len(names) else ()


def _unreadable(path: Path, kind: str, error: Exception) -> DataError:
    return DataError(
        str(path),
        found=f"a file that cannot be read as {kind} ({first_line(error)})",
        expected=f"a whole {kind} file",
        hint="Write or download it again.",
    )
