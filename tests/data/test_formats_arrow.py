"""Metadata of parquet files, of every shape: classes have names where those are such, and nothing ever raises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from hpo.data.files import read_file
from hpo.data.labels import find_classes
from hpo.data.table import Table
from hpo.errors import DataError


def read(folder: Path, metadata: bytes, indices: list[int]) -> Table:
    table = pyarrow.table({"text": [f"text {i}" for i in range(len(indices))], "label": indices})
    pyarrow.parquet.write_table(
        table.replace_schema_metadata({b"huggingface": metadata}), folder / "my.parquet"
    )
    return read_file(folder / "my.parquet")


def features(label: Any) -> bytes:
    return json.dumps({"info": {"features": {"label": label}}}).encode()


def classes(names: Any) -> bytes:
    return features({"names": names, "_type": "ClassLabel"})


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'{"info":' * 5_000 + b"1" + b"}" * 5_000,
        b"null",
        b"[]",
        b"17",
        b'"info"',
        b'{"info": []}',
        b'{"info": {"features": null}}',
        b'{"info": {"features": ["label"]}}',
        features(None),
        features([]),
        features({"feature": None}),
        features({"feature": ["ClassLabel"]}),
        features({"_type": ["ClassLabel"]}),
        features({"_type": "ClassLabel"}),
        classes(None),
        classes("ab"),
        classes({"a": 0, "b": 1}),
        classes([]),
        classes([0, 1]),
        classes([["a"], {"b": 1}]),
        classes(["a", None]),
        classes(["a", "a"]),
    ],
    ids=lambda metadata: metadata[:50].decode(errors="replace") or "empty",
)
def test_metadata_that_name_no_classes_leave_the_column_as_it_is(
    metadata: bytes, tmp_path: Path
) -> None:
    table = read(tmp_path, metadata, [0, 1])
    assert table.class_names == {}
    found = find_classes(table, "label", table.column("label"), np.arange(2))
    assert found.names == ("0", "1")


def test_a_list_of_classes_has_their_names(tmp_path: Path) -> None:
    metadata = features({"feature": {"names": ["bad", "good"], "_type": "ClassLabel"}})
    assert read(tmp_path, metadata, [0, 1]).class_names == {"label": ("bad", "good")}


@pytest.mark.parametrize("stray", [2, 1_000_000, -2, -(2**63)])
def test_an_index_without_a_name_is_told(stray: int, tmp_path: Path) -> None:
    table = read(tmp_path, classes(["bad", "good"]), [0, 1, stray])
    with pytest.raises(DataError) as caught:
        find_classes(table, "label", table.column("label"), np.arange(3))
    assert f"found the class index {stray} in column 'label'; expected 0 to 1" in str(caught.value)


def test_minus_one_is_no_label(tmp_path: Path) -> None:
    table = read(tmp_path, classes(["bad", "good"]), [0, 1, -1])
    found = find_classes(table, "label", table.column("label"), np.arange(3))
    assert found.names == ("bad", "good")
