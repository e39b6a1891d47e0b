from __future__ import annotations

import csv
import gzip
import re
import subprocess
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from hpo.data.files import read_file
from hpo.data.sources import read_source
from hpo.errors import DataError
from hpo.spec.study import DataSection

HEADER = b"text,label\n"
GOOD_LINES = b"fine,a\n" * 15

BAD_FILES = {
    "empty.csv": (b"", "empty.csv: found an empty file"),
    "blank.jsonl": (b" \n\n", "blank.jsonl: found an empty file"),
    "bom_only.csv": (b"\xef\xbb\xbf", "found an empty file"),
    "header_only.csv": (HEADER, "header_only.csv: found no rows"),
    "latin1_after_bom.csv": (b"\xef\xbb\xbf" + HEADER + b"\xe9,a\n", "line 2: found bytes (e9"),
    "binary.csv": (HEADER + b"fi\0ne,a\n", "line 2: found a NUL byte"),
    "binary.jsonl": (b"\x7fELF\0\0", "line 1: found a NUL byte"),
    "short_row.csv": (HEADER + GOOD_LINES + b"fine\n", "line 17: found 1 field; expected 2"),
    "long_row.csv": (HEADER + b"fine, really,a\n", "line 2: found 3 fields; expected 2"),
    "long_row.tsv": (b"text\tlabel\nfine\ta\nfine\treally\ta\n", "line 3: found 3 fields"),
    "ragged_after_break.csv": (
        HEADER + b'"two\nlines",a\n' + b"fine\n",
        "line 4: found 1 field",
    ),
    "open_quote.csv": (HEADER + b'fine,a\n"fine,a\nfine,a\n', "line 3: found a quotation mark"),
    "stray_quote.csv": (HEADER + b'"fine" indeed,a\n', "line 2: found a fault in its quotes"),
    "repeated.csv": (b"text,text,label\nfine,b,a\n", "line 1: found more than one column named"),
    "broken.jsonl": (
        b'{"text": "fine", "label": 1}\n' * 16 + b'{"text": "fine", \n',
        "line 17: found broken JSON",
    ),
    "deep.jsonl": (b"[" * 100_000, "line 1: found broken JSON"),
    "huge_number.jsonl": (b'{"label": ' + b"9" * 5_000 + b"}\n", "line 1: found broken JSON"),
    "list.jsonl": (b'\n{"text": "fine"}\n["fine", "a"]\n', "line 3: found a list; expected one"),
    "number.jsonl": (b"17\n", "line 1: found a whole number; expected one JSON object"),
    "null.jsonl": (b"null\n", "line 1: found nothing; expected one JSON object"),
    "text.parquet": (HEADER + GOOD_LINES, "found plain text; expected a parquet file"),
    "empty.parquet": (b"", "found a file that cannot be read as parquet"),
    "magic.parquet": (b"PAR1" + b"\7" * 100 + b"PAR1", "cannot be read as parquet"),
    "reviews.txt": (
        b"fine\n",
        "found no tabs, commas, semicolons or bars in the first line of a .txt",
    ),
    "reviews": (b"fine\n", "found a file with no suffix"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_gives_one_line_that_names_the_file_and_the_place(
    tmp_path: Path, name: str
) -> None:
    content, message = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_file(path)
    said = str(caught.value)
    if " (e9" in message:
        assert "line 2: found bytes that are not UTF-8 (e9" in said
    else:
        assert message in said
    assert str(path) in said
    assert "\n" not in said


def test_a_missing_file_and_a_folder_in_its_place_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_file(tmp_path / "reviews.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="found a folder"):
        read_file(tmp_path / "folder.csv")


def test_a_truncated_parquet_file_is_told(tmp_path: Path, write) -> None:
    path = write("train.parquet", [{"text": f"number {i}", "label": i % 2} for i in range(5_000)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_file(path)


def test_damage_inside_a_parquet_file_is_told_when_the_column_is_read(
    tmp_path: Path, write
) -> None:
    path = write("train.parquet", [{"text": f"number {i}", "label": i % 2} for i in range(5_000)])
    content = bytearray(path.read_bytes())
    content[4:2_000] = bytes(1_996)
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_file(path).column("text")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_all_formats_give_the_same_table(write, suffix: str) -> None:
    texts = ["plain", 'with "quotes", commas\tand\nlines', "千万别去", "x" * 300_000, "\u2028"]
    rows = [{"text": text, "label": "a"} for text in texts]
    table = read_file(write(f"reviews.{suffix}", rows))
    assert table.names == ("text", "label")
    assert table.column("text") == texts
    assert table.column("label") == ["a"] * 5


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(b"\xef\xbb\xbftext,label\r\n\r\nfine,a\r\n\r\nbad,b\r\n")
    table = read_file(path)
    assert table.names == ("text", "label")
    assert table.column("text") == ["fine", "bad"]
    assert table.rows.tolist() == [3, 5]


def test_a_row_is_named_by_the_line_on_which_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text('text,label\n"one\ntwo\nthree",a\nfine,b\n', encoding="utf-8")
    table = read_file(path)
    assert table.rows.tolist() == [2, 5]
    assert table.where(1) == f"{path}, line 5"


def test_a_tsv_file_with_bare_quotation_marks_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "reviews.tsv"
    path.write_text('sentence\tlabel\n"fine" it says\t1\n" bad\t0\nfine\t1\n', encoding="utf-8")
    assert read_file(path).column("sentence") == ['"fine" it says', '" bad', "fine"]


def test_a_bare_quotation_mark_that_begins_a_field_swallows_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "reviews.tsv"
    lines = ["id\ttext\tlabel", "1\tfine\tgood", "2\tdull\tbad"]
    lines += ['3\t"Never again\tbad', "4\ta joy\tgood", '5\tHe said "\tbad', "6\tso-so\tbad"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = read_file(path)
    expected = ["fine", "dull", '"Never again', "a joy", 'He said "', "so-so"]
    assert table.column("text") == expected
    assert table.rows.tolist() == [2, 3, 4, 5, 6, 7]


def test_a_text_of_several_lines_with_tabs_is_one_text(tmp_path: Path, write) -> None:
    texts = ["one\ttwo\nthree", "one\ttwo\nthree\tfour\nfive", 'he said "yes"\tto\nall', "plain"]
    table = read_file(write("reviews.tsv", [{"text": text, "label": "a"} for text in texts]))
    assert table.column("text") == texts


def test_a_parquet_file_with_two_columns_of_one_name_is_told(tmp_path: Path) -> None:
    path = tmp_path / "reviews.parquet"
    columns = [pyarrow.array(["fine"]), pyarrow.array(["a"]), pyarrow.array(["b"])]
    table = pyarrow.Table.from_arrays(columns, names=["text", "label", "label"])
    pyarrow.parquet.write_table(table, path)
    with pytest.raises(DataError, match="found more than one column named 'label'"):
        read_file(path)


def test_a_parquet_column_that_python_cannot_hold_is_told_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "reviews.parquet"
    times = pyarrow.array([2**62], type=pyarrow.timestamp("ms"))
    pyarrow.parquet.write_table(pyarrow.table({"text": ["fine"], "label": times}), path)
    table = read_file(path)
    assert table.column("text") == ["fine"]
    with pytest.raises(DataError, match="column 'label': found values that Python cannot hold"):
        table.column("label")


def test_reading_a_long_field_leaves_the_limit_of_the_csv_module_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "x" * 1_000_000 + ",a\n", encoding="utf-8")
    assert len(str(read_file(path).column("text")[0])) == 1_000_000
    assert csv.field_size_limit() == before


def test_jsonl_rows_need_not_have_the_same_keys(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    path.write_text('{"text": "fine"}\n{"label": 1, "text": "bad"}\n', encoding="utf-8")
    table = read_file(path)
    assert table.names == ("text", "label")
    assert table.column("label") == [None, 1]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("text", ["some words", "some words, with a comma"])
def test_fasttext_is_told_with_the_command_that_makes_a_table_of_it(
    tmp_path: Path, text: str, compressed: bool
) -> None:
    path = tmp_path / ("train.ft.txt.gz" if compressed else "train.ft.txt")
    content = f"__label__1 {text}\n__label__2 others\n".encode()
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(DataError, match="found fastText's format") as caught:
        read_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    if not compressed:
        command = re.search(r"`(.*)`", str(caught.value))
        assert command
        subprocess.run(["sh", "-c", command[1]], cwd=tmp_path, check=True)
        assert read_file(tmp_path / "train.tsv").column("text") == [text, "others"]


KINDS = [
    *(
        "arff",
        "rds",
        "rdata",
        "sav",
        "dta",
        "sas7bdat",
        "ods",
        "xls",
        "xlsb",
        "pkl",
        "pickle",
        "npy",
    ),
    *("npz", "sqlite", "sqlite3", "db", "avro", "orc", "h5", "tfrecord", "7z", "rar", "zst", "lz4"),
    *("tar", "tgz", "docx", "doc", "odt", "rtf", "pdf", "xml", "html", "htm", "yaml", "yml"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_that_are_not_read_are_told_with_a_tool(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"data.{kind}"
    path.write_bytes(b"anything")
    with pytest.raises(DataError, match=f"found a file with the suffix '.{kind}'") as caught:
        read_file(path)
    assert "Convert it, or give it" not in str(caught.value)


def test_documents_beside_the_splits_are_no_data(tmp_path: Path, write, reviews) -> None:
    write("train.csv", reviews())
    for name in ("about.docx", "paper.pdf", "page.html", "settings.yaml"):
        (tmp_path / name).write_text("notes")
    source = read_source(DataSection(source=str(tmp_path)))
    assert source.train.column("text") == [row["text"] for row in reviews()]
    assert not source.warnings
