"""Tables of any length: what is written comes back, and a row that cannot be read is in nobody's way."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpo.data import row_stream
from hpo.data.formats.options import ReadOptions
from hpo.data.row_stream import open_rows
from hpo.data.row_writer import write_rows, written_format
from hpo.errors import DataError, OptionError

CELLS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=12
).filter(str.strip)
ROWS = st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=30)
SUFFIXES = ("csv", "tsv", "jsonl", "csv.gz", "jsonl.gz", "parquet")


def read(path: Path, options: ReadOptions | None = None) -> tuple[dict[str, list[Any]], list[int]]:
    columns: dict[str, list[Any]] = {}
    numbers: list[int] = []
    with open_rows(path, options or ReadOptions()) as stream:
        for part in stream.parts:
            numbers += part.numbers
            assert not part.faults
            for name, cells in part.columns.items():
                columns.setdefault(name, []).extend(cells)
        assert stream.share_read() == 1.0
    return columns, numbers


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(deadline=None, max_examples=25)
@given(rows=ROWS, at_once=st.integers(1, 7))
@example(rows=[("0\n\t", "0")], at_once=1)
@example(rows=[("0", "0\n\t")], at_once=1)
def test_what_is_written_part_by_part_is_read_part_by_part(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, rows: list[tuple[str, str]], at_once: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / f"it.{suffix}"
    texts, others = map(list, zip(*rows, strict=True))
    with write_rows(path) as write:
        for start in range(0, len(rows), at_once):
            part = slice(start, start + at_once)
            write({"text": texts[part], "other": others[part]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_stream, "ROWS_AT_ONCE", at_once)
        columns, numbers = read(path)
    assert columns == {"text": texts, "other": others}
    assert numbers == sorted(set(numbers))


def test_rows_that_cannot_be_read_are_marked_and_the_others_read(tmp_path: Path) -> None:
    csv = tmp_path / "it.csv"
    csv.write_bytes(b'text,n\nfine,1\ntoo,many,2\n"two\nlines",3\nfew\ncaf\xe9,4\n')
    with open_rows(csv, ReadOptions(encoding="utf-8")) as stream:
        (rows,) = stream.parts
    assert rows.columns["n"] == ["1", "many", "3", "", "4"]
    assert rows.numbers == [2, 3, 4, 6, 7]
    assert sorted(rows.faults) == [1, 3]
    assert rows.columns["text"][4].encode("utf-8", "surrogateescape") == b"caf\xe9"
    lines = tmp_path / "it.jsonl"
    lines.write_text('{"text": "a"}\nnothing\n[1]\n\n{"text": "b", "more": 1}\n')
    with open_rows(lines) as stream:
        (rows,) = stream.parts
    assert rows.columns == {"text": ["a", None, None, "b"], "more": [None, None, None, 1]}
    assert rows.numbers == [1, 2, 3, 5]
    assert sorted(rows.faults) == [1, 2]


@pytest.mark.parametrize(
    ("name", "content", "options", "expected"),
    [
        ("it.csv", "a;b\n1;2\n", ReadOptions(), {"a": ["1"], "b": ["2"]}),
        ("it.csv", "1,2\n3,4\n", ReadOptions(header=False), {"1": ["1", "3"], "2": ["2", "4"]}),
        ("it.csv", "\ufeffsep=;\na;b\n1;2, 3\n", ReadOptions(), {"a": ["1"], "b": ["2, 3"]}),
        ("it.txt", "\ufeffa, b\n\nc\n", ReadOptions(), {"text": ["a, b", "", "c"]}),
        ("it.tsv", 'a\tb\nsay "x\t1\n', ReadOptions(), {"a": ['say "x'], "b": ["1"]}),
        ("it.json", '[{"a": 1}]', ReadOptions(), {"a": [1]}),
        ("it.txt.csv", "a,b\n1,2\n", ReadOptions(), {"a": ["1"], "b": ["2"]}),
    ],
)
def test_files_as_people_have_them(
    tmp_path: Path, name: str, content: str, options: ReadOptions, expected: dict[str, list[Any]]
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read(tmp_path / name, options)[0] == expected


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_a_key_that_comes_late_or_goes_is_a_column_of_every_row(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_stream, "ROWS_AT_ONCE", 2)
    rows = [{"text": "a", "n": 1}, {"text": "b"}, {"more": 2, "text": "c"}, {"text": "d"}]
    path, written = tmp_path / f"it.{suffix}", tmp_path / "out.csv"
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    with open_rows(path) as stream, write_rows(written) as write:
        for part in stream.parts:
            write(part.columns)
    assert read(written)[0] == {
        "text": ["a", "b", "c", "d"],
        "n": ["1", "", "", ""],
        "more": ["", "", "2", ""],
    }


def test_utf_16_is_found(tmp_path: Path) -> None:
    path = tmp_path / "it.csv"
    path.write_text("text,n\nGröße,1\n", encoding="utf-16")
    assert read(path)[0] == {"text": ["Größe"], "n": ["1"]}


@pytest.mark.parametrize(
    "name", ["it.csv", "it.csv.gz", "it.jsonl", "it.parquet", "gone.csv", "excel.csv"]
)
def test_a_file_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    if name != "gone.csv":
        (tmp_path / name).write_bytes(b"sep=;\n" if name == "excel.csv" else b"")
    with pytest.raises(DataError), open_rows(tmp_path / name):
        pass


def test_a_file_that_ends_early_is_told_where_that_shows(tmp_path: Path) -> None:
    path = tmp_path / "it.jsonl.gz"
    whole = gzip.compress(b"".join(json.dumps({"text": f"{i}"}).encode() + b"\n" for i in range(9)))
    path.write_bytes(whole[:-12])
    with pytest.raises(DataError, match="cannot be read"), open_rows(path) as stream:
        list(stream.parts)


def test_faults_of_whoever_reads_are_not_the_files(tmp_path: Path) -> None:
    (tmp_path / "it.csv").write_text("text\na\n")
    with pytest.raises(OSError, match="mine"), open_rows(tmp_path / "it.csv"):
        raise OSError("mine")


def test_nothing_is_in_place_before_all_of_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "it.csv"
    with pytest.raises(ValueError, match="zip"), write_rows(path) as write:
        write({"text": ["a"], "other": []})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["it", "it.txt", "it.parquet.gz", "it.csv.zip", "it.gz"])
def test_a_format_that_is_not_written_is_told(name: str) -> None:
    with pytest.raises(OptionError, match="--output"):
        written_format(Path(name))


QUOTED = [f'{number},"text {number}, and more"' for number in range(40)]
PLAIN = [f"{number},text {number}" for number in range(40)]


@pytest.mark.parametrize("lines", [QUOTED, PLAIN, [*QUOTED[:20], *PLAIN[20:]]])
@pytest.mark.parametrize("at_once", [3, 1_000])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("stray", "fault"),
    [
        ('x,"no end', "quot"),  # never closed, or by the next one
        ('x,"said "so" aloud"', "a fault in its quotes"),
        ('x,"once" more', "a fault in its quotes"),
    ],
)
def test_a_stray_quotation_mark_spoils_its_own_row_alone(
    tmp_path: Path,
    lines: list[str],
    at_once: int,
    ends: str,
    stray: str,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(row_stream, "ROWS_AT_ONCE", at_once)
    path = tmp_path / "it.csv"
    spoilt = ["id,text", *lines[:10], stray, *lines[10:30], stray, *lines[30:]]
    path.write_text(ends.join([*spoilt, ""]), newline="")
    ids: list[str] = []
    faults: dict[int, str] = {}
    with open_rows(path) as stream:
        for rows in stream.parts:
            ids += rows.columns["id"]
            faults |= {rows.numbers[index]: reason for index, reason in rows.faults.items()}
    assert sorted(faults) == [12, 33]
    assert all(fault in reason for reason in faults.values())
    assert [each for each in ids if each.isdigit()] == [str(number) for number in range(40)]


def test_between_tabs_a_quotation_mark_is_part_of_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_stream, "_HEAD_BYTES", 16)  # where there is no quotation mark yet
    path = tmp_path / "it.tsv"
    lines = ["text\tn", *("so\t1" for _ in range(9)), '"Great" film\t2', '"no end\t3', "so\t4"]
    path.write_text("\n".join([*lines, ""]))
    assert read(path)[0]["text"][-3:] == ['"Great" film', '"no end', "so"]


def test_a_header_whose_quotes_are_at_fault_is_told(tmp_path: Path) -> None:
    (tmp_path / "it.csv").write_text('"text,n\na,1\n')
    says = "line 1: found a quotation mark that is never closed"
    with pytest.raises(DataError, match=says), open_rows(tmp_path / "it.csv"):
        pass
