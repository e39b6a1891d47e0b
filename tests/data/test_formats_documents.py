"""Tables in JSON, Excel and Arrow files, each made by the program that makes them elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import openpyxl
import pandas as pd
import pyarrow
import pyarrow.feather
import pyarrow.ipc
import pytest

from hpo.data.files import read_file
from hpo.errors import DataError

TEXTS = ["fine, yes", 'so "good"', "café"]
FRAME = pd.DataFrame({"text": TEXTS, "label": [1, 0, 1]})


@pytest.mark.parametrize("orient", ["records", "columns", "split", "table", "index"])
@pytest.mark.parametrize("index", [None, ["r1", "r2", "r3"]])
def test_all_forms_of_json_that_pandas_writes(
    tmp_path: Path, orient: str, index: list[str] | None
) -> None:
    path = tmp_path / "reviews.json"
    frame = FRAME if index is None else FRAME.set_axis(index)
    frame.to_json(path, orient=orient)
    table = read_file(path)
    assert table.column("text") == TEXTS
    assert table.column("label") == [1, 0, 1]


@pytest.mark.parametrize(
    "name", ["reviews.json", "reviews.jsonl", "reviews.jsonl.gz", "reviews.ndjson"]
)
def test_lines_of_json(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    FRAME.to_json(path, orient="records", lines=True)
    table = read_file(path)
    assert table.column("text") == TEXTS
    assert table.row_noun == "line"


def test_rows_of_json_without_names_are_numbered_columns(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    FRAME.to_json(path, orient="values")
    table = read_file(path)
    assert table.column("1") == TEXTS
    assert table.column("2") == [1, 0, 1]
    assert table.is_numbered


def test_rows_beside_what_is_said_of_them(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    path.write_text(json.dumps({"version": "1.0", "data": FRAME.to_dict("records")}))
    assert read_file(path).column("text") == TEXTS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "row 1: found a whole number"),
        ('{"a": [1], "b": [1, 2]}', "found an object of something else"),
        ("3", "found a whole number"),
        (
            '[["a", 1], ["b"]]',
            "row 2: found a list of 1; expected a list of 2, as the first row is",
        ),
        ('[["a", 1], 3]', "row 2: found a whole number; expected a list of 2"),
        ("[[], []]", "row 1: found a list"),
        ("{}", "found"),
        ('{"columns": ["a"], "data": [[1, 2]]}', "do not fit together"),
        ("[" * 100_000, "broken JSON"),
        ('[{"text": "a"},\n{"text" 1}]', "line 2: found broken JSON"),
    ],
)
def test_other_json_is_told(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "reviews.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_file(path)


def test_a_workbook_of_pandas(tmp_path: Path) -> None:
    path = tmp_path / "reviews.xlsx"
    FRAME.to_excel(path, index=False)
    table = read_file(path)
    assert table.names == ("text", "label")
    assert table.column("text") == TEXTS
    assert table.column("label") == [1, 0, 1]
    assert table.rows.tolist() == [2, 3, 4]


def test_a_workbook_of_several_sheets_and_empty_rows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Reviews"
    for row in (["text", "label"], ["fine", "a"], [None, None], ["NA", "b"]):
        sheet.append(row)
    book.create_sheet("Notes")
    path = tmp_path / "reviews.xlsx"
    book.save(path)
    table = read_file(path)
    assert table.column("text") == ["fine", "NA"]
    assert table.rows.tolist() == [2, 4]
    assert table.warnings == (f"{path}: of 2 sheets the first is read, 'Reviews'",)
    assert table.place == f"{path} (its first sheet, 'Reviews'; not read: 'Notes')"


@pytest.mark.parametrize("content", [b"", b"PK\3\4 and no more"])
def test_what_is_no_workbook_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "reviews.xlsx"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a workbook"):
        read_file(path)


@pytest.mark.parametrize("suffix", ["arrow", "feather"])
def test_feather_and_arrow_files_of_pyarrow(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"reviews.{suffix}"
    arrow = pyarrow.Table.from_pandas(FRAME)
    if suffix == "feather":
        pyarrow.feather.write_feather(arrow, path)
    else:
        with pyarrow.ipc.new_file(path, arrow.schema) as writer:
            writer.write_table(arrow)
    table = read_file(path)
    assert table.column("text") == TEXTS
    assert table.column("label") == [1, 0, 1]


def test_the_arrow_stream_of_the_datasets_library_with_names_of_classes(tmp_path: Path) -> None:
    data = datasets.Dataset.from_pandas(FRAME).cast_column(
        "label", datasets.ClassLabel(names=["bad", "good"])
    )
    data.save_to_disk(tmp_path / "saved")
    table = read_file(tmp_path / "saved/data-00000-of-00001.arrow")
    assert table.column("text") == TEXTS
    assert table.class_names["label"] == ("bad", "good")
    data.to_parquet(tmp_path / "reviews.parquet")
    assert read_file(tmp_path / "reviews.parquet").class_names["label"] == ("bad", "good")


def test_what_is_no_arrow_file_is_told(tmp_path: Path) -> None:
    for content in (b"", b"ARROW1\0\0", b"FEA1"):
        path = tmp_path / "reviews.arrow"
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as Arrow"):
            read_file(path)
