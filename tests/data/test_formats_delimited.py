"""Tables of lines as programs save them: encodings, delimiters, quotes, headers."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from hpo.data.files import read_file
from hpo.data.formats.options import ReadOptions
from hpo.data.sources import read_source
from hpo.errors import DataError, StudyFileError
from hpo.spec.study import DataSection

FRAME = pd.DataFrame({"text": ["fine, yes", 'so "good"', "a; b"], "label": ["a", "b", "a"]})
TEXTS = [*FRAME["text"]]
FRENCH = "text,label\nun café très “bon”,oui\ndéjà vu,non\nça va à l’été,oui\n"


@pytest.mark.parametrize(
    ("delimiter", "suffix"), [(";", "csv"), ("\t", "csv"), ("|", "csv"), (",", "tsv")]
)
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str, suffix: str) -> None:
    path = tmp_path / f"reviews.{suffix}"
    FRAME.to_csv(path, sep=delimiter, index=False)
    table = read_file(path)
    assert table.names == ("text", "label")
    assert table.column("text") == TEXTS
    assert table.warnings == ()


def test_semicolons_in_texts_are_no_delimiters(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\na; b; c,x\nd; e,y\n")
    assert read_file(path).column("text") == ["a; b; c", "d; e"]


@pytest.mark.parametrize("compression", ["gzip", "bz2", "xz", "zip"])
def test_what_pandas_compresses_is_read_under_its_own_name(
    tmp_path: Path, compression: str
) -> None:
    suffix = {"gzip": "gz", "bz2": "bz2", "xz": "xz", "zip": "zip"}[compression]
    path = tmp_path / f"reviews.csv.{suffix}"
    FRAME.to_csv(path, index=False, compression=compression)
    table = read_file(path)
    assert table.column("text") == TEXTS
    assert table.place == str(path)


def test_a_fault_in_a_compressed_file_names_that_file_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv.gz"
    pd.DataFrame({"text,label": ["a,b", "c"]}).to_csv(
        path, index=False, quoting=csv.QUOTE_NONE, sep="\x01", compression="gzip"
    )
    with pytest.raises(DataError, match=r"reviews\.csv\.gz, line 3: found 1 field"):
        read_file(path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match=r"reviews\.csv\.gz: found a compressed file that cannot"):
        read_file(path)


@pytest.mark.parametrize(
    ("encoding", "word"),
    [
        ("cp1252", "cp1252"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
    ],
)
def test_another_encoding_is_found_with_a_warning_and_can_be_set(
    tmp_path: Path, encoding: str, word: str
) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(FRENCH.replace("\n", "\r\n").encode(encoding))
    table = read_file(path)
    assert table.column("text") == ["un café très “bon”", "déjà vu", "ça va à l’été"]
    assert len(table.warnings) == 1
    assert word in table.warnings[0]
    assert "; data.encoding sets it" in table.warnings[0]
    told = read_file(path, ReadOptions(encoding=encoding))
    assert told.column("text") == table.column("text")
    assert told.warnings == ()


def test_latin_1_reads_as_windows_does_where_they_agree(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes("text,label\ncafé,a\nnaïve,b\n".encode("latin-1"))
    assert read_file(path).column("text") == ["café", "naïve"]


def test_cyrillic_text_of_windows_is_found(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    text = "это очень хороший фильм, я смотрел его два раза и ещё посмотрю"
    path.write_bytes(f'text,label\n"{text}",a\n'.encode("cp1251") * 1)
    table = read_file(path)
    assert table.column("text") == [text]
    assert "cp1251" in table.warnings[0]


def test_an_encoding_that_does_not_fit_is_told(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes("text,label\ncafé,a\n".encode("cp1252"))
    with pytest.raises(DataError, match="line 2: found bytes that are not UTF-8"):
        read_file(path, ReadOptions(encoding="utf-8"))


def test_an_index_without_a_name_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    FRAME.to_csv(path)
    table = read_file(path)
    assert table.names == ("", "text", "label")
    assert table.column("text") == TEXTS


def test_a_delimiter_at_the_end_of_all_lines_is_none(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\nfine,a,\nbad,b,\n")
    table = read_file(path)
    assert table.names == ("text", "label")
    assert table.column("label") == ["a", "b"]
    path.write_text("text,label\nfine,a,\nbad,b\n")
    with pytest.raises(DataError, match=r"line 2: found 3 fields.*Take the comma at the end"):
        read_file(path)


def test_quotation_marks_as_spark_escapes_them(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text('text,label\n"she said \\"no, never\\" twice",a\n"fine",b\n')
    table = read_file(path)
    assert table.column("text") == ['she said "no, never" twice', "fine"]
    assert "quotation marks are written" in table.warnings[0]


def test_words_for_nothing_are_texts_and_labels_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    words = ["NA", "None", "null", "nan", "N/A", "NULL"]
    path.write_text("text,label\n" + "".join(f"{word},{word}\n" for word in words))
    table = read_file(path)
    assert table.column("text") == words
    assert table.column("label") == words


def test_messages_without_a_header_or_a_suffix(tmp_path: Path) -> None:
    path = tmp_path / "SMSSpamCollection"
    path.write_text('ham\tGo until jurong point\nspam\tFree entry, "win" now\nham\tOk lar\n')
    table = read_file(path, ReadOptions(header=False))
    assert table.names == ("1", "2")
    assert table.column("1") == ["ham", "spam", "ham"]
    assert table.rows.tolist() == [1, 2, 3]


def test_news_in_quotes_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text('"3","Wall St. Bears","Short-sellers, again"\n"4","Sky","He said ""no"""\n')
    table = read_file(path, ReadOptions(header=False))
    assert table.names == ("1", "2", "3")
    assert table.column("3") == ["Short-sellers, again", 'He said "no"']


def test_keys_that_a_format_does_not_need_are_refused(tmp_path: Path, write, reviews) -> None:
    path = write("reviews.parquet", reviews())
    with pytest.raises(StudyFileError, match=r"data\.encoding"):
        read_source(DataSection(source=str(path), encoding="latin-1"))
    path = write("reviews.jsonl", reviews())
    with pytest.raises(StudyFileError, match=r"data\.header"):
        read_source(DataSection(source=str(path), header=False))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_first_line_for_excel_is_the_delimiter(
    tmp_path: Path, delimiter: str, suffix: str
) -> None:
    path = tmp_path / f"reviews.{suffix}"
    rows = FRAME.to_csv(sep=delimiter, index=False, lineterminator="\r\n")
    for first in (f"sep={delimiter}\r\n", f'"sep={delimiter}"\n', f"SEP={delimiter}\r"):
        path.write_bytes(first.encode("utf-8-sig") + rows.encode())
        table = read_file(path)
        assert table.names == ("text", "label")
        assert table.column("text") == TEXTS
        assert table.rows.tolist() == [3, 4, 5]
    path.write_bytes(first.encode())
    with pytest.raises(DataError, match="found no rows"):
        read_file(path)


NARROW = "Remove it, if it is a title or a comment, or put fields that contain a comma in quotes."


@pytest.mark.parametrize(
    ("above", "told"),
    [
        ("My reviews 2024\n\n", f"found 1 field; expected 2, as in the lines below it. {NARROW}"),
        ("# by a tool\n# on a day\n", f"found 1 field; expected 2, as in .*{NARROW}"),
        ("a,b\n1,2\n", None),
    ],
)
def test_a_title_above_the_header_is_told_in_its_own_line(
    tmp_path: Path, above: str, told: str | None
) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text(f"{above}text,label\nfine,a\nbad,b\n")
    if told is None:
        assert read_file(path).names == ("a", "b")
        return
    with pytest.raises(DataError, match=f"line 1: {told}"):
        read_file(path)


def test_commas_without_quotes_in_every_text_are_no_fault_of_the_header(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "fine, really,a\n" * 5)
    with pytest.raises(DataError, match=r"line 2: found 3 fields; .* Put fields that contain"):
        read_file(path)
