"""Folders as data sets come in them: saved data sets, shards, a folder for each class."""

from __future__ import annotations

import zipfile
from pathlib import Path

import datasets
import pytest

from hpo.data.files import read_file
from hpo.data.source_tables import SourceTables
from hpo.data.sources import read_source
from hpo.errors import DataError
from hpo.spec.study import DataSection


def read(folder: Path, **keys: object) -> SourceTables:
    return read_source(DataSection.model_validate({"source": str(folder), **keys}))


def texts_in(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(f"a text called {name} in {folder.name}", encoding="utf-8")


def data_set(reviews) -> datasets.Dataset:
    return datasets.Dataset.from_list(reviews())


def test_a_data_set_that_save_to_disk_wrote(tmp_path: Path, reviews) -> None:
    data_set(reviews).save_to_disk(tmp_path / "saved")
    source = read(tmp_path / "saved")
    assert source.train.column("text") == [row["text"] for row in reviews()]
    assert source.test is None


def test_a_dictionary_of_data_sets_on_disk(tmp_path: Path, reviews) -> None:
    splits = {"train": data_set(reviews), "test": data_set(lambda: reviews("play"))}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    source = read(tmp_path / "saved")
    assert source.test is not None
    assert len(source.train) == len(source.test) == 40
    (tmp_path / "saved/train/data-00000-of-00001.arrow").unlink()
    with pytest.raises(DataError, match="what save_to_disk writes, but damaged"):
        read(tmp_path / "saved")


@pytest.mark.parametrize("below", ["", "data"])
def test_shards_are_one_split_and_a_missing_one_is_told(
    tmp_path: Path, reviews, below: str
) -> None:
    folder = tmp_path / below
    folder.mkdir(exist_ok=True)
    for number in range(2):
        shard = data_set(reviews).shard(2, number, contiguous=True)
        shard.to_parquet(folder / f"train-{number:05d}-of-00002.parquet")
    data_set(lambda: reviews("play")).to_parquet(folder / "test-00000-of-00001.parquet")
    source = read(tmp_path)
    assert source.train.column("text") == [row["text"] for row in reviews()]
    assert source.test is not None
    (folder / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"found 1 of 2 shards \(00001 missing\)"):
        read(tmp_path)


def test_a_folder_of_texts_for_each_class_and_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        texts_in(tmp_path / split / "pos", "0_9.txt", "1_7.txt")
        texts_in(tmp_path / split / "neg", "0_3.txt")
    texts_in(tmp_path / "train/unsup", "0_0.txt")
    (tmp_path / "imdb.vocab").write_text("the\nand\n")
    (tmp_path / "README").write_text("Large Movie Review Dataset v1.0\n")
    (tmp_path / "train/urls_pos.txt").write_text("http://example.org\n")
    source = read(tmp_path)
    assert source.train.column("label") == ["neg", "pos", "pos"]
    assert source.train.column("text")[0] == "a text called 0_3.txt in neg"
    assert source.test is not None
    assert len(source.test) == 3
    assert source.warnings == (f"{tmp_path / 'train'}: unsup without labels, not used",)


def test_a_folder_of_posts_without_suffixes_for_each_group(tmp_path: Path) -> None:
    texts_in(tmp_path / "sci.space", "59870", "59871")
    texts_in(tmp_path / "rec.autos", "101551")
    (tmp_path / "sci.space/59872").write_bytes("résumé".encode("latin-1"))
    source = read(tmp_path)
    assert source.train.column("label") == ["rec.autos", *["sci.space"] * 3]
    assert source.train.column("text")[-1] == "résumé"
    assert source.test is None
    assert "data.encoding sets it" in source.warnings[0]


def test_a_zip_of_one_table_and_of_several(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/reviews.csv", "text,label\nfine,a\n")
        archive.writestr("__MACOSX/folder/._reviews.csv", "x")
    assert read_file(path).column("text") == ["fine"]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("folder/test.csv", "text,label\nbad,a\n")
    with pytest.raises(DataError, match=r"a zip file of 2 files.*Unpack it with `unzip`"):
        read_file(path)


def test_a_folder_of_another_layout_is_told_by_what_lies_in_it(tmp_path: Path) -> None:
    texts_in(tmp_path / "only", "a.txt")
    with pytest.raises(DataError, match=r"found a folder of only/; expected a file for each split"):
        read(tmp_path)
