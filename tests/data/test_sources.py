from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.data.hub import HubData
from hpo.data.sources import names_a_path, read_source
from hpo.demo.grammar import demo_splits
from hpo.errors import DataError
from hpo.spec.study import DataSection


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("stanfordnlp/imdb", False),
        ("imdb", False),
        ("owner/name.with.dots", False),
        ("reviews.csv", True),
        ("data/reviews.PARQUET", True),
        ("reviews.xlsx", True),
        ("./imdb", True),
        ("../imdb", True),
        ("/data/imdb", True),
        ("~/imdb", True),
    ],
)
def test_a_path_is_told_from_a_hub_id(source: str, expected: bool) -> None:
    assert names_a_path(source) is expected


def test_what_exists_is_a_path_also_with_the_form_of_a_hub_id(
    tmp_path: Path, write, reviews, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("owner/name/train.csv", reviews())
    monkeypatch.chdir(tmp_path)
    assert read_source(DataSection(source="owner/name")).train.place == "owner/name/train.csv"


@pytest.mark.parametrize(
    "source", ["./imdb", "no/such/folder", "missing.csv", "missing.txt", "imdb?", "a b", "-x/y"]
)
def test_a_source_that_is_nothing_is_told_at_once(source: str) -> None:
    with pytest.raises(DataError) as caught:
        read_source(DataSection(source=source))
    assert str(caught.value).startswith(f"{source}: found no such file or folder; expected a file")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("~no-such-user/reviews.csv", "the home folder of a user that there is not"),
        ("x" * 300, "a path that cannot be looked up (File name too long)"),
        ("./" + "x" * 300 + ".csv", "a path that cannot be looked up (File name too long)"),
        ("a\0b", "a path that cannot be looked up (embedded null byte)"),
    ],
)
def test_a_source_that_the_system_will_not_look_for_is_told(source: str, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        read_source(DataSection(source=source))
    assert (caught.value.place, caught.value.found) == (source, reason)


def test_a_folder_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_folder: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(
        DataError, match=r"found a folder that cannot be read \(Permission denied\)"
    ):
        read_source(DataSection(source=str(tmp_path)))


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev", "Dev", "eval", "evaluation"])
@pytest.mark.parametrize("test", ["test", "testing"])
def test_a_folder_gives_its_splits_in_any_mixture_of_formats(
    tmp_path: Path, write, reviews, name: str, test: str
) -> None:
    write("train.parquet", reviews())
    write(f"{name}.jsonl", reviews("play"))
    write(f"{test}.tsv", reviews("book"))
    (tmp_path / "README.md").write_text("ours")
    source = read_source(DataSection(source=str(tmp_path)))
    assert source.train.place == str(tmp_path / "train.parquet")
    assert source.validation is not None
    assert source.validation.place == str(tmp_path / f"{name}.jsonl")
    assert source.test is not None
    assert source.test.place == str(tmp_path / f"{test}.tsv")
    assert source.warnings == ()


UNREAD = {
    "test.csv.zst": "Decompress it with `unzstd`",
    "reviews.jsonl.zst": "Decompress it with `unzstd`",
    "more.csv.gz": "Name it with data.validation_split or data.test_split",
    "data.zip": "Decompress it",
    "test.zip": "Decompress it",
    "my_test.txt": "Convert it",
    "test": "Convert it",
    "dev.ods": "Save it as xlsx or csv",
    "more.xlsx": "Name it with data.validation_split or data.test_split",
    "more.feather": "Name it with data.validation_split or data.test_split",
    "heldout.csv": "Name it with data.validation_split or data.test_split",
    "train2.tsv": "Name it with data.validation_split or data.test_split",
    "README.md": None,
    "readme.txt": None,
    "LICENSE": None,
    "LICENSE.txt": None,
    "dataset_infos.json": None,
    "notes.json": None,
    "labels.txt": None,
    "requirements.txt": None,
    "test.py": None,
    "train.ipynb": None,
    "train.log": None,
    "train.csv~": None,
    ".test.csv.swp": None,
    ".DS_Store": None,
}


@pytest.mark.parametrize(("name", "hint"), UNREAD.items(), ids=UNREAD)
def test_a_file_that_looks_like_data_and_is_not_read_is_an_error(
    tmp_path: Path, write, reviews, name: str, hint: str | None
) -> None:
    write("train.csv", reviews())
    (tmp_path / name).write_bytes(b"?")
    section = DataSection(source=str(tmp_path))
    if hint is None:
        assert read_source(section).warnings == ()
        return
    with pytest.raises(DataError) as caught:
        read_source(section)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}: found {name}, which is not read; expected no data but")
    assert said.endswith(f"{hint}, or move it out of the folder.")


def test_what_cannot_be_read_is_named_before_the_split_that_is_missed_for_it(
    tmp_path: Path,
) -> None:
    for name in ("train.csv.zst", "test.csv.zst"):
        (tmp_path / name).write_bytes(b"?")
    with pytest.raises(
        DataError, match=r"found test\.csv\.zst, train\.csv\.zst, which are not read"
    ):
        read_source(DataSection(source=str(tmp_path)))


def test_a_folder_or_a_broken_link_of_a_splits_name_is_an_error(
    tmp_path: Path, write, reviews
) -> None:
    write("train.csv", reviews())
    (tmp_path / "test").mkdir()
    (tmp_path / "data").mkdir()
    section = DataSection(source=str(tmp_path))
    assert read_source(section).test is None  # both are empty
    write("data/more.csv", reviews("play"))
    write("test/books.csv", reviews("book"))
    with pytest.raises(DataError, match=r"found test/, which is not read.*Make it one file"):
        read_source(section)
    os.unlink(tmp_path / "test/books.csv")
    (tmp_path / "test.csv").symlink_to(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match=r"found test\.csv, which is not read.*leads to no file"):
        read_source(section)


def test_files_that_are_left_out_knowingly_are_counted_in_a_warning(
    tmp_path: Path, write, reviews
) -> None:
    for name in ("train", "heldout", "final", "unlabelled"):
        write(f"{name}.csv", reviews(name))
    (tmp_path / "test.orc").write_text("[]")
    named = DataSection(source=str(tmp_path), validation_split="heldout", test_split="final")
    assert read_source(named).warnings == (
        f"{tmp_path}: 2 files are not used (test.orc, unlabelled.csv);"
        " data.validation_split and data.test_split name the files to use",
    )
    with pytest.raises(DataError, match=r"found test\.orc, which is not read"):
        read_source(DataSection(source=str(tmp_path), validation_split="heldout"))
    (tmp_path / "test.orc").unlink()
    with pytest.raises(DataError, match=r"found final\.csv, which is not read"):
        read_source(DataSection(source=str(tmp_path), validation_split="heldout"))


def test_splits_of_the_hub_that_are_not_read_are_told_or_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read_with(*names: str, **keys: str) -> tuple[str, ...]:
        table = read_source(DataSection(source="demo")).test
        assert table is not None
        splits = {name: replace(table) for name in names}
        monkeypatch.setattr("hpo.data.sources.read_hub", lambda *_, **__: HubData(splits))
        return read_source(DataSection(source="owner/name", **keys)).warnings  # type: ignore[arg-type]

    assert read_with("train", "test") == ()
    assert read_with("train", "test", "unsupervised") == (
        "owner/name: 1 split is not used (unsupervised); data.validation_split and data.test_split"
        " name the splits to use",
    )
    mnli = ("train", "validation_matched", "validation_mismatched", "test_matched")
    with pytest.raises(DataError) as caught:
        read_with(*mnli)
    assert str(caught.value) == (
        "owner/name: found no validation split, but validation_matched, validation_mismatched, which"
        " would not be read; expected to be told which of them is the validation split."
        " Set data.validation_split to 'validation_matched'."
    )
    with pytest.raises(DataError, match=r"Set data\.test_split to 'test_matched'"):
        read_with(*mnli, validation_split="validation_matched")
    named = {"validation_split": "validation_matched", "test_split": "test_matched"}
    assert "1 split is not used (validation_mismatched)" in read_with(*mnli, **named)[0]


def test_a_folder_may_lack_validation_and_test(tmp_path: Path, write, reviews) -> None:
    write("train.csv", reviews())
    source = read_source(DataSection(source=str(tmp_path)))
    assert source.validation is None
    assert source.test is None


def test_splits_of_a_folder_can_be_named(tmp_path: Path, write, reviews) -> None:
    for name in ("fold1", "fold2", "fold3", "test"):
        write(f"{name}.csv", reviews(name))
    source = read_source(
        DataSection(
            source=str(tmp_path),
            train_split="fold1",
            validation_split="fold2",
            test_split="fold3",
        )
    )
    assert source.test is not None
    assert source.test.place.endswith("fold3.csv")


def test_a_folder_without_training_split_lists_its_files(tmp_path: Path, write, reviews) -> None:
    write("training.csv", reviews())
    write("test.csv", reviews())
    with pytest.raises(DataError) as caught:
        read_source(DataSection(source=str(tmp_path)))
    said = str(caught.value)
    assert "found no file named 'train', but test, training" in said
    assert "Set data.train_split to 'training'." in said


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="an empty folder"):
        read_source(DataSection(source=str(tmp_path)))


@pytest.mark.parametrize("names", [("train.csv", "train.jsonl"), ("dev.csv", "validation.csv")])
def test_two_files_for_one_split_are_told(
    tmp_path: Path, write, reviews, names: tuple[str, str]
) -> None:
    write("train.csv", reviews())
    for name in names:
        write(name, reviews())
    with pytest.raises(DataError, match=r"found (both|more than one)"):
        read_source(DataSection(source=str(tmp_path)))


def test_two_validation_files_are_no_matter_where_one_is_named(
    tmp_path: Path, write, reviews
) -> None:
    for name in ("train", "dev", "validation"):
        write(f"{name}.csv", reviews())
    source = read_source(DataSection(source=str(tmp_path), validation_split="dev"))
    assert source.validation is not None
    assert source.validation.place.endswith("dev.csv")


def test_a_single_file_has_no_splits_to_name(write, reviews) -> None:
    path = write("reviews.csv", reviews())
    with pytest.raises(DataError, match=r"data\.test_split: found 'test', but .* is one file"):
        read_source(DataSection(source=str(path), test_split="test"))


def test_a_path_below_the_home_folder_is_found(
    tmp_path: Path, write, reviews, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("reviews.csv", reviews())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(read_source(DataSection(source="~/reviews.csv")).train) == 40


def test_the_demo_has_its_three_splits() -> None:
    source = read_source(DataSection(source="demo"))
    splits = demo_splits()
    assert source.train.column("text") == [review.text for review in splits["train"]]
    assert source.validation is not None
    assert source.validation.column("label") == [r.label for r in splits["validation"]]
    assert source.test is not None
    assert len(source.test) == len(splits["test"])
