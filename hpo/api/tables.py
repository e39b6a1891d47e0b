"""Data that a program has in memory, kept as files that are named after what they hold.

A worker, a later run and a replay read the file, and equal tables have one name: the same table is the
same study's data, whatever process made it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.atomic import whole_file, whole_folder
from hpo.errors import DataError, DiskError, first_line
from hpo.runtime.study_folder import data_folder

if TYPE_CHECKING:
    import pyarrow

_DIGITS = 16  # of a digest, in a name that people read
_ROWS_AT_ONCE = 65_536
_NAMES_OF_CLASSES = b"huggingface"  # where the datasets library keeps them, and we look for them
_PLACE = "data"


@dataclass(frozen=True)
class KeptTables:
    """Tables and their place.

    Attributes:
        path: A file; of several splits a folder.
        tables: By split; of one table alone, by the empty name.
    """

    path: Path
    tables: Mapping[str, pyarrow.Table]

    def write(self) -> None:
        """Put them in their place, unless they are there.

        Raises:
            DiskError: They cannot be written.
        """
        if self.path.exists():
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.suffix:
                with whole_file(self.path, durable=True) as file:
                    _write(self.tables[""], file)
                return
            with whole_folder(self.path, durable=True, replace=False) as folder:
                for split, table in self.tables.items():
                    _write(table, folder / f"{split}.parquet")
        except OSError as error:
            raise DiskError(
                str(self.path),
                found=error.strerror or first_line(error),
                expected="a file that can be written",
                hint="Free some space, or set HPO_STATE to another folder.",
            ) from error


def kept_tables(data: object, state: Path) -> KeptTables | None:
    """Data in memory as the file that they are to be; None where they are none, but named by a text or path.

    Args:
        data: A pandas DataFrame, a Dataset of the datasets library, or a mapping of splits to such.
        state: The folder under which they are kept.

    Raises:
        DataError: They are something else, or cannot be kept.
    """
    if isinstance(data, str | Path):
        return None
    if isinstance(data, Mapping):
        tables = {
            _split(name): _filled(_table(each, f"data[{name!r}]"), f"data[{name!r}]")
            for name, each in data.items()
        }
        if not tables:
            raise _no_data(_PLACE, "an empty mapping")
        several, kind = True, "splits"
    else:
        tables = {"": _filled(_table(data, _PLACE), _PLACE)}
        several, kind = False, "dataset" if hasattr(data, "features") else "dataframe"
    name = f"{kind}-{_digest(tables)[:_DIGITS]}" + ("" if several else ".parquet")
    return KeptTables(data_folder(state) / name, tables)


def _split(name: object) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w-]*", name):
        raise _no_data(_PLACE, f"a split {name!r}")
    return name


def _table(data: Any, place: str) -> pyarrow.Table:
    """A DataFrame or Dataset as an Arrow table."""
    import pyarrow

    try:
        if hasattr(data, "with_format") and hasattr(data, "features") and hasattr(data, "__len__"):
            named = data.features.arrow_schema.metadata or {}
            kept = {_NAMES_OF_CLASSES: named[_NAMES_OF_CLASSES]} if named else None
            return data.with_format("arrow")[:].replace_schema_metadata(kept)
        if not (hasattr(data, "columns") and hasattr(data, "iloc")):
            raise _no_data(place, f"a value of type {type(data).__name__}")
        repeated = data.columns[data.columns.duplicated()]
        if len(repeated):
            raise _no_data(place, f"two columns {repeated[0]!r}")
        named_by_text = data.set_axis([str(name) for name in data.columns], axis=1)
        table = pyarrow.Table.from_pandas(named_by_text, preserve_index=False)
    except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError) as error:
        raise _no_data(place, f"a table that Arrow cannot hold ({first_line(error)})") from error
    return table.replace_schema_metadata(None)


def _filled(table: pyarrow.Table, place: str) -> pyarrow.Table:
    """The table, which has rows."""
    if table.num_rows:
        return table
    raise DataError(
        place,
        found="a table without rows",
        expected="a row for each text",
        hint="Look at what it was read or filtered from.",
    )


def _digest(tables: Mapping[str, pyarrow.Table]) -> str:
    """Of names and values, whatever types and blocks the tables hold them in."""
    digest = hashlib.sha256()

    def add(*values: object) -> None:
        digest.update(json.dumps(values, default=str).encode())

    for split, table in tables.items():
        add(split, table.column_names, str((table.schema.metadata or {}).get(_NAMES_OF_CLASSES)))
        for start in range(0, table.num_rows, _ROWS_AT_ONCE):
            part = table.slice(start, _ROWS_AT_ONCE)
            add(*zip(*(column.to_pylist() for column in part.columns), strict=True))
    return digest.hexdigest()


def _write(table: pyarrow.Table, file: Path) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, file)


def _no_data(place: str, found: str) -> DataError:
    return DataError(
        place,
        found=found,
        expected="a DataFrame, a Dataset, a mapping of split names to such, a path or a hub id",
        hint="Name the columns with text_column and label_column.",
    )
