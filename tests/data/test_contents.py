"""Files whose names say another format than they hold: what they are is told, and the name that fits."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.data.contents import binary_content
from hpo.data.files import read_file
from hpo.data.row_stream import open_rows
from hpo.data.sources import read_source
from hpo.errors import DataError
from hpo.spec.study import DataSection
from tests.data.conftest import Read
from tests.data.web_server import WebServer

FRAME = pd.DataFrame({"text": ["fine, yes", "dull"], "label": ["a", "b"]})
CSV = FRAME.to_csv(index=False).encode()
PAGE = b"<!DOCTYPE html>\n<html><body>404, no such file</body></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


def _written(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _zip(buffer: io.BytesIO, name: str = "reviews.csv", content: bytes = CSV) -> None:
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)


def _tar(buffer: io.BytesIO) -> None:
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("reviews.csv"))


def _database() -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE reviews (text TEXT)")
        return connection.serialize()


XLSX = _written(lambda buffer: FRAME.to_excel(buffer, index=False))
PARQUET = _written(lambda buffer: FRAME.to_parquet(buffer))

# What is written into a file of this name, what it is, and what to do.
MISNAMED = {
    "gz.csv": (gzip.compress(CSV), "a gzip file", "Rename it to gz.csv.gz."),
    "gz": (gzip.compress(CSV), "a gzip file", "Rename it to gz.gz."),
    "gz.csv.bz2": (gzip.compress(CSV), "a gzip file", "Rename it to gz.csv.gz."),
    "bz2.jsonl": (bz2.compress(CSV), "a bzip2 file", "Rename it to bz2.jsonl.bz2."),
    "xz.tsv": (lzma.compress(CSV), "an xz file", "Rename it to xz.tsv.xz."),
    "zip.csv": (_written(_zip), "a zip file", "Rename it to zip.zip."),
    "excel.csv": (XLSX, "an Excel workbook", "Rename it to excel.xlsx."),
    "excel.zip": (XLSX, "an Excel workbook", "Rename it to excel.xlsx."),
    "parquet.csv": (PARQUET, "a parquet file", "Rename it to parquet.parquet."),
    "parquet.csv.gz": (gzip.compress(PARQUET), "a parquet file in it", "Unpack it, and rename it"),
    "feather.json": (_written(FRAME.to_feather), "an Arrow file", "Rename it to feather.arrow."),
    "tar.csv": (_written(_tar), "a tar archive", "Unpack it with `tar -xf`"),
    "database.csv": (_database(), "a SQLite database", "Export the table with `sqlite3 -csv`."),
    "pickle.csv": (_written(FRAME.to_pickle), "a pickle", "Convert it with pandas, if you trust"),
    "old.csv": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "an old Office file", "Save it as xlsx."),
    "pdf.csv": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document", "Save its table as csv."),
    "pointer.csv": (POINTER, "a Git LFS pointer", "Get the file itself with `git lfs pull`."),
    "pointer.parquet": (POINTER, "a Git LFS pointer", "Get the file itself with `git lfs pull`."),
    "page.csv": (PAGE, "a web page (text/html)", "Download the file itself"),
    "page.jsonl": (PAGE, "a web page (text/html)", "Download the file itself"),
    "xml.csv": (b'<?xml version="1.0"?>\n<a>fine, yes</a>\n', "an XML document", "Convert it with"),
    "records.csv": (FRAME.to_json(orient="records").encode(), "JSON", "Rename it to records.json."),
    "pretty.tsv": (FRAME.to_json(indent=1).encode(), "JSON", "Rename it to pretty.json."),
    "lines.csv": (FRAME.to_json(orient="records", lines=True).encode(), "JSON", "lines.json."),
    "text.csv.gz": (CSV, "plain text", "Take .gz off its name."),
    "text.zip": (CSV, "plain text", "Take .zip off its name."),
    "text.xlsx": (CSV, "plain text", "Call it .csv, if it is csv."),
    "text.json": (CSV, "plain text", "Call it .csv, if it is csv."),
    "text.jsonl": (CSV, "plain text", "Call it .csv, if it is csv."),
    "text.arrow": (CSV, "plain text", "Call it .csv, if it is csv."),
}


@pytest.mark.parametrize("name", MISNAMED)
def test_what_a_misnamed_file_holds_is_told(tmp_path: Path, name: str) -> None:
    content, what, way = MISNAMED[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as of_data:
        read_source(DataSection(source=str(path)))
    assert str(of_data.value).startswith(f"{path}: found {what}; expected ")
    assert way in str(of_data.value)
    with pytest.raises(DataError) as of_rows, open_rows(path):
        pass
    if path.suffix != ".zip":
        assert str(of_rows.value) == str(of_data.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.csv", b"<html><b>fine</b></html>,a\n<html>dull</html>,b\n"),
        ("page.tsv", b"<html>fine</html>\n<html>dull</html>\n"),
        ("json.tsv", b'[{"a": 1}, {"b": 2}]\tx\n[{"a": 3}, {"b": 4}]\ty\n'),
        ("json.csv", b'{"a": 1}|x\n{"a": 2}|y\n'),
        ("names.csv", b"PAR1,ORC\nfine,a\n"),
        ("names.tsv", b"BZh\tRar!\nfine\ta\n"),
    ],
)
def test_rows_that_only_begin_like_another_format_are_rows(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    first_cell = read_file(path).names[0].encode()
    assert content.startswith(first_cell)


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=300))
def test_no_text_is_taken_for_a_binary_format(text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert binary_content(io.BytesIO(text.encode(encoding))) is None


def test_a_misnamed_member_of_a_zip_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "reviews.zip"
    path.write_bytes(_written(lambda buffer: _zip(buffer, "reviews.csv", PARQUET)))
    with pytest.raises(DataError, match=r"reviews\.zip: found a parquet file in it"):
        read_source(DataSection(source=str(path)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.csv", POINTER)
    with pytest.raises(DataError, match=r"reviews\.zip/other\.csv: found a Git LFS pointer"):
        read_source(DataSection(source=f"{path}::other.csv"))


def test_a_download_is_kept_under_the_name_of_what_it_holds(server: WebServer, read: Read) -> None:
    for name, content in (("excel.csv", XLSX), ("parquet.txt", PARQUET), ("zip", _written(_zip))):
        address = server.put(f"/{name}", content, Content_Type="text/csv")
        assert read(address).train.column("text") == ["fine, yes", "dull"]
    with pytest.raises(DataError, match="found a Git LFS pointer"):
        read(server.put("/pointer.csv", POINTER))
