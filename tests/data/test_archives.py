"""Zip files of several members, as people and sites pack them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from hpo.data.archives import parted
from hpo.data.sources import read_source
from hpo.errors import DataError
from hpo.spec.study import DataSection

CSV = "text,label\nfine,good\nawful,bad\n"
OTHER = "text,label\nfine,good\nawful,bad\nso-so,bad\n"
SMS = "ham\tsee you\nspam\tWIN\n"


@pytest.fixture
def packed(tmp_path: Path):
    """Writes a zip file of these members."""

    def packed(**members: str) -> Path:
        path = tmp_path / "data.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return packed


def rows(path: Path | str, **keys: object) -> tuple[int, int | None, int | None]:
    """How many rows its splits have."""
    source = read_source(DataSection.model_validate({"source": str(path), **keys}))
    held_out = (source.validation, source.test)
    return (len(source.train), *(None if table is None else len(table) for table in held_out))


@pytest.mark.parametrize("outer", ["", "corpus/", "a/b/"])
def test_a_folder_of_splits(packed, outer: str) -> None:
    members = {"train.csv": CSV, "dev.csv": CSV, "test.jsonl": '{"text": "fine", "label": "good"}'}
    notes = {"README.md": "read me", "__MACOSX/._train.csv": "x", "LICENSE": "free", ".x": ""}
    path = packed(**{f"{outer}{name}": text for name, text in {**members, **notes}.items()})
    assert rows(path) == (2, 2, 1)


@pytest.mark.parametrize("outer", ["", "aclImdb/"])
def test_class_folders(packed, outer: str) -> None:
    def texts(*folders: str) -> dict[str, str]:
        return {f"{outer}{folder}/{n}_1.txt": "a film" for folder in folders for n in range(3)}

    assert rows(packed(**texts("train/pos", "train/neg", "test/pos", "test/neg"))) == (6, None, 6)
    assert rows(packed(**texts("train/pos", "train/neg"))) == (6, None, None)
    assert rows(packed(**texts("pos", "neg"))) == (6, None, None)


def test_shards(packed) -> None:
    assert rows(packed(**{f"data/train-0000{n}-of-00002.csv": CSV for n in range(2)}))[0] == 4


def test_one_table_among_notes(packed) -> None:
    path = packed(**{"SMSSpamCollection": SMS, "readme": "notes", "plot.png": "?"})
    assert rows(path, header=False) == (2, None, None)
    source = read_source(DataSection(source=str(path), header=False))
    assert source.train.where(1) == f"{path}/SMSSpamCollection, line 2"
    assert source.train.column("2") == ["see you", "WIN"]


def test_several_tables_are_told_with_the_way_to_choose(packed) -> None:
    path = packed(**{"amazon.txt": SMS, "imdb.txt": SMS, "readme.txt": "notes"})
    with pytest.raises(DataError) as caught:
        rows(path)
    assert str(caught.value) == (
        f"{path}: found a zip file of 2 tables (amazon.txt, imdb.txt); expected one table, or one "
        "called train and others for the other splits. Name one of them, as in data.zip::amazon.txt."
    )
    assert rows(f"{path}::imdb.txt", header=False) == (2, None, None)


def test_a_member_is_named_by_its_whole_name_or_its_last_part(packed) -> None:
    path = packed(**{"a/reviews.csv": CSV, "b/reviews.csv": OTHER, "b/tweets.csv": CSV})
    assert rows(f"{path}::b/reviews.csv") == (3, None, None)
    assert rows(f"{path}::tweets.csv") == (2, None, None)
    for member, message in (
        ("reviews.csv", r"several members of this name \(a/reviews.csv, b/reviews.csv\)"),
        ("b/review.csv", r"found no such member.*Write data.zip::b/reviews.csv\."),
        ("../x", "found no such member"),
    ):
        with pytest.raises(DataError, match=message):
            rows(f"{path}::{member}")


def test_a_member_of_what_is_no_zip_file(tmp_path: Path, packed) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match=r"broken\.zip::x\.csv: found no such member"):
        rows(f"{broken}::x.csv")
    with pytest.raises(DataError, match="found no such file"):
        rows(f"{tmp_path}/none.zip::x.csv")


def test_splits_of_a_zip_file_are_told_as_those_of_a_folder(packed, tmp_path: Path) -> None:
    path = packed(**{"train.csv": CSV, "holdout.csv": OTHER})
    with pytest.raises(DataError, match=r"data\.zip: found holdout\.csv, which is not read"):
        rows(path)
    assert rows(path, validation_split="holdout", test_split="holdout") == (2, 3, 3)
    broken = packed(**{"train.csv": "text,label\na,b,c\n", "test.csv": CSV})
    with pytest.raises(DataError, match=r"data\.zip/train\.csv, line 2: found 3 fields"):
        rows(broken)


def test_members_that_lead_out_of_the_folder_stay_in_it(packed, tmp_path: Path) -> None:
    path = packed(**{"../../train.csv": CSV, "/test.csv": OTHER})
    assert rows(path) == (2, None, 3)
    assert {entry.name for entry in tmp_path.iterdir()} == {"data.zip"}


def test_a_bomb_is_told_before_it_is_unpacked(packed, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(**{"train.csv": CSV, "test.csv": CSV})
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"MB in it, with 0 MB free.*set TMPDIR"):
        rows(path)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("data.zip::a.csv", ("data.zip", "a.csv")),
        ("Data.ZIP::a/b.csv", ("Data.ZIP", "a/b.csv")),
        ("data.zip", ("data.zip", None)),
        ("a::b.csv", ("a::b.csv", None)),
        ("https://host/get?id=1::a.csv", ("https://host/get?id=1", "a.csv")),
        ("https://[::1]/a.zip", ("https://[::1]/a.zip", None)),
        ("https://[::1]/a.zip::b.csv", ("https://[::1]/a.zip", "b.csv")),
    ],
)
def test_a_source_and_its_member(source: str, parts: tuple[str, str | None]) -> None:
    assert parted(source) == parts
