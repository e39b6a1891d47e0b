"""Parquet files, and the names of classes in their metadata."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpo.data.table import Table, check_repeated, shortened
from hpo.errors import DataError, first_line

if TYPE_CHECKING:
    import pyarrow.parquet


def read_parquet(path: Path) -> Table:
    """A parquet file, its columns read when they are asked for.

    Raises:
        DataError: The data cannot be used as it is.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise _no_parquet(path, error) from error
    check_repeated(str(path), file.schema_arrow.names)

    @cache
    def column(name: str) -> list[object]:
        try:
            values: list[object] = file.read(columns=[name]).column(name).to_pylist()
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _no_parquet(path, error) from error
        except (OverflowError, ValueError) as error:  # a date beyond the year 9999
            raise DataError(
                f"{path}, column {shortened(name)}",
                found=f"values that Python cannot hold ({first_line(error)})",
                expected="texts or labels",
                hint="Name another column with --text-column or --label-column.",
            ) from error
        return values

    return Table(
        str(path),
        tuple(file.schema_arrow.names),
        column,
        np.arange(1, file.metadata.num_rows + 1, dtype=np.int64),
        class_names=_class_names(file),
    )


def _class_names(file: pyarrow.parquet.ParquetFile) -> dict[str, tuple[str, ...]]:
    """Names of the classes that the datasets library writes into the metadata of parquet files."""
    metadata = file.schema_arrow.metadata or {}
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {
            name: tuple(named["names"])
            for name, feature in features.items()
            if isinstance(feature, dict)
            and (named := feature.get("feature", feature)).get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}


def _no_parquet(path: Path, error: Exception) -> DataError:
    return DataError(
        str(path),
        found=f"a file that cannot be read as parquet ({first_line(error)})",
        expected="a whole parquet file",
        hint="Write or download it again.",
    )
