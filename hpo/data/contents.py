"""What a file holds by its first bytes, whatever its name says; and what to do where the two do not agree."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from hpo.data.packed import is_packed
from hpo.documents import parse_json
from hpo.errors import DataError
from hpo.spec.registries import data_format

# Files of tables that hpo does not read, and what makes a file of them that it does.
OTHER_TABLES: Final = {
    ".tab": "rename it to .tsv",
    ".psv": "rename it to .csv",
    ".xls": "save it as xlsx",
    ".xlsb": "save it as xlsx",
    ".ods": "save it as xlsx or csv",
    ".avro": "convert it with fastavro",
    ".orc": "convert it with pyarrow.orc and pyarrow.parquet",
    ".h5": "convert it with pandas: read_hdf, then to_parquet",
    ".hdf5": "convert it with pandas: read_hdf, then to_parquet",
    ".pkl": "convert it with pandas, if you trust it: read_pickle, then to_parquet",
    ".pickle": "convert it with pandas, if you trust it: read_pickle, then to_parquet",
    ".npy": "convert it with numpy and pandas: to_parquet",
    ".npz": "convert it with numpy and pandas: to_parquet",
    ".db": "export the table with `sqlite3 -csv`",
    ".sqlite": "export the table with `sqlite3 -csv`",
    ".sqlite3": "export the table with `sqlite3 -csv`",
    ".dta": "convert it with pandas: read_stata, then to_parquet",
    ".sav": "convert it with pandas: read_spss, then to_parquet",
    ".xml": "convert it with pandas: read_xml, then to_parquet",
    ".tar": "unpack it with `tar -xf`, and name the folder",
    ".tgz": "unpack it with `tar -xf`, and name the folder",
    ".zst": "decompress it with `unzstd`",
    ".7z": "unpack it with `7z x`",
    ".rar": "unpack it with `unrar x`",
    ".lz4": "decompress it with `lz4 -d`",
    ".br": "decompress it with `brotli -d`",
    ".arff": "convert it with liac-arff and pandas: arff.load, then to_parquet",
    ".rds": "write it in R: write.csv(readRDS(file), 'train.csv', row.names = FALSE)",
    ".rdata": "load it in R, and write its table: write.csv(…, 'train.csv', row.names = FALSE)",
    ".sas7bdat": "convert it with pandas: read_sas, then to_parquet",
    ".tfrecord": "read it with tensorflow (tf.data.TFRecordDataset), and write csv or parquet",
}
# Documents, which are no tables, and what makes one of them.
_DOCUMENTS: Final = {
    ".docx": "write the texts to a table with python-docx, or save them as txt in a folder for each class",
    ".doc": "save it as txt in a folder for each class, or write the texts to a table",
    ".rtf": "save it as txt in a folder for each class, or write the texts to a table",
    ".odt": "save it as txt in a folder for each class, or write the texts to a table",
    ".pdf": "take its text out with `pdftotext`, into a folder for each class",
    ".html": "convert it with pandas: read_html for a table in it, then to_parquet",
    ".htm": "convert it with pandas: read_html for a table in it, then to_parquet",
    ".yaml": "convert it with `yq -o=json`",
    ".yml": "convert it with `yq -o=json`",
}
SAYS_NOTHING: Final = ("", ".txt", ".data", ".dat")
"""Suffixes that say nothing of the format: the file itself does."""

PAGE: Final = re.compile(rb"\s*(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)\b", re.I | re.S)
"""How a web page begins."""

_OF_BYTES: Final = (".parquet", ".arrow", ".feather", ".xlsx")
_OF_OBJECTS: Final = (".json", ".jsonl", ".ndjson")
_HEAD_BYTES: Final = 4_096
_OBJECT: Final = re.compile(rb"^\s*(\xef\xbb\xbf)?[{[]", re.MULTILINE)
_CONTROLS: Final = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]")


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes:
        what: In words.
        suffixes: Of names that say so, the usual one first; none where it is no table.
        way: What to do with it where no name helps.
    """

    what: str
    suffixes: tuple[str, ...] = ()
    way: str = ""


_ZIP: Final = Content("a zip file", (".zip", ".npz"))
_BROKEN_ZIP: Final = Content("a zip file", (*_ZIP.suffixes, ".xlsx"))
_IN_ZIP: Final = {
    "xl/workbook.xml": Content("an Excel workbook", (".xlsx",)),
    "xl/workbook.bin": Content("a binary Excel workbook", (".xlsb",)),
    "META-INF/manifest.xml": Content("an OpenDocument file", (".ods",)),
    "word/document.xml": Content("a Word document", way="save its table as csv"),
}
_JSON: Final = Content("JSON", (*_OF_OBJECTS, *SAYS_NOTHING))
_WEB_PAGE: Final = Content(
    "a web page (text/html)", way="download the file itself, to which the page may lead"
)
_XML: Final = Content("an XML document", (".xml",))
# No text begins like any of them.
_MAGICS: Final = tuple(
    (re.compile(start, re.DOTALL), content)
    for start, content in (
        (rb"\x1f\x8b", Content("a gzip file", (".gz", ".tgz"))),
        (rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)", Content("a bzip2 file", (".bz2",))),
        (rb"\xfd7zXZ\0", Content("an xz file", (".xz",))),
        (rb"PK(\x03\x04|\x05\x06\0)", _ZIP),
        (rb"PAR1(?![\t\r\n -~])", Content("a parquet file", (".parquet", *SAYS_NOTHING))),
        (
            rb"(ARROW1|FEA1)(?![\t\r\n -~])",
            Content("an Arrow file", (".arrow", ".feather", *SAYS_NOTHING)),
        ),
        (rb"\x28\xb5\x2f\xfd", Content("a zstd file", (".zst",))),
        (rb"\x04\x22\x4d\x18", Content("an lz4 file", (".lz4",))),
        (rb"Rar!\x1a\x07", Content("a RAR archive", (".rar",))),
        (rb"7z\xbc\xaf\x27\x1c", Content("a 7z archive", (".7z",))),
        (rb"(?=[^\n]{1,110}\0).{257}ustar[\0 ]", Content("a tar archive", (".tar",))),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Content("an old Office file", (".xls",))),
        (rb"SQLite format 3\0", Content("a SQLite database", (".sqlite",))),
        (rb"\x89HDF\r\n\x1a\n", Content("an HDF5 file", (".h5",))),
        (rb"Obj\x01", Content("an Avro file", (".avro",))),
        (rb"ORC[\0-\x08\x0e-\x1f\x80-\xff]", Content("an ORC file", (".orc",))),
        (rb"\x93NUMPY[\x01-\x03]\0", Content("a NumPy array", (".npy",))),
        (rb"\x80[\x02-\x05]", Content("a pickle", (".pkl",))),
        (rb"%PDF-\d\.\d\s", Content("a PDF document", way="save its table as csv")),
        (
            rb"version https://git-lfs\.github\.com/spec/",
            Content("a Git LFS pointer", way="get the file itself with `git lfs pull`"),
        ),
    )
)


def way_to_a_format(path: Path) -> str:
    """What makes a file that can be read of one that cannot, by its name."""
    known = (OTHER_TABLES | _DOCUMENTS).get(path.suffix.lower())
    return _as_sentence(known or "convert it, or give it the suffix of its format")


def binary_content(file: IO[bytes]) -> Content | None:
    """What a file holds that no text begins like, to be read from where it stands; None: something else."""
    head = file.read(_HEAD_BYTES)
    content = next((content for start, content in _MAGICS if start.match(head)), None)
    return _in_zip(file) if content is _ZIP else content


def check_content(path: Path) -> None:
    """Raise DataError where a file's first bytes show another format than its name does.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        _check(path, path, file)


def check_inside(path: Path, name: str, file: IO[bytes]) -> None:
    """The same of the file in a compressed one.

    Args:
        path: Of the compressed one.
        name: Of what is in it.
    """
    _check(path, Path(name), file)
    file.seek(0)


def _check(path: Path, named: Path, file: IO[bytes]) -> None:
    suffix = named.suffix.lower()
    if suffix in OTHER_TABLES or _is_of_another_package(named):
        return
    content = binary_content(file) or _document(file, suffix)
    if content is None:
        if is_packed(named) or suffix in (*_OF_BYTES, *_OF_OBJECTS):
            _check_no_text(path, named, file)
    elif suffix not in content.suffixes:
        unpack = "" if path is named else "unpack it, and "
        raise DataError(
            str(path),
            found=f"{content.what}{' in it' * bool(unpack)}",
            expected=_said_by(named)
            if content.suffixes and content.suffixes[0] not in OTHER_TABLES
            else "a table of texts and labels",
            hint=f"{_as_sentence(unpack + _way(content, named))}.",
        )


def _is_of_another_package(named: Path) -> bool:
    """Whether a format that is not hpo's own is to look at a file by itself."""
    known = {suffix for _, content in _MAGICS for suffix in content.suffixes}
    known |= {".csv", ".tsv", ".xlsx", *_JSON.suffixes}
    return data_format(named) is not None and named.suffix.lower() not in known


def _way(content: Content, named: Path) -> str:
    if not content.suffixes:
        return content.way
    usual = content.suffixes[0]
    if usual in OTHER_TABLES:
        return OTHER_TABLES[usual]
    is_around = usual in (".gz", ".bz2", ".xz") and not is_packed(named)
    return f"rename it to {named.name + usual if is_around else named.with_suffix(usual).name}"


def _in_zip(file: IO[bytes]) -> Content:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return _BROKEN_ZIP
    return next((content for member, content in _IN_ZIP.items() if member in names), _ZIP)


def _document(file: IO[bytes], suffix: str) -> Content | None:
    """A document that is text but no rows of fields: only what is one from its beginning to its end."""
    file.seek(0)
    head = file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    if PAGE.match(head) or head.startswith(b"<?xml"):
        file.seek(0)
        whole = file.read().lower()
        # Texts in a column may be pages: then there are several, or a label follows.
        is_one = whole.count(b"<html") + whole.count(b"<?xml") <= 1
        if whole.rstrip().endswith(b">") and is_one:
            return _WEB_PAGE if PAGE.match(head) else _XML
    if head.startswith((b"{", b"[")) and suffix not in _JSON.suffixes:
        return _JSON if _is_json(head.partition(b"\n")[0], file) else None
    return None


def _is_json(first_line: bytes, file: IO[bytes]) -> bool:
    """Whether all of a file, or its first line, is JSON that may be rows."""
    try:
        line = parse_json(first_line)
        if isinstance(line, dict) and len(line) > 1:
            return True
    except ValueError:
        pass
    file.seek(0)
    try:
        document = parse_json(file.read().removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return False
    rows = [*document.values()] if isinstance(document, dict) else document
    return isinstance(rows, list) and bool(rows) and isinstance(rows[0], list | dict)


def _check_no_text(path: Path, named: Path, file: IO[bytes]) -> None:
    """Raise DataError where a file of a binary format's name, or of JSON's, is other text."""
    file.seek(0)
    head, suffix = file.read(_HEAD_BYTES), named.suffix.lower()
    if not head.strip() or _CONTROLS.search(head) or zipfile.is_zipfile(file):
        return  # a zip file may follow on a program that unpacks it
    if suffix in _OF_OBJECTS and (_OBJECT.search(head) or _is_value(head)):
        return
    way = f"take {suffix} off its name" if is_packed(named) else "call it .csv, if it is csv"
    unpack = "" if path is named else "unpack it, and "
    raise DataError(
        str(path),
        found=f"plain text{' in it' * bool(unpack)}",
        expected=_said_by(named),
        hint=f"{_as_sentence(unpack + way)}.",
    )


def _is_value(head: bytes) -> bool:
    """Whether the first line is JSON, be it only a number."""
    try:
        parse_json(head.strip().partition(b"\n")[0])
    except ValueError:
        return False
    return True


def _said_by(named: Path) -> str:
    """What a file is by its name."""
    if data_format(named) or is_packed(named):
        return f"a {named.suffix.lower()[1:]} file, as its name says"
    return "a name that says what the file is"


def _as_sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}"
