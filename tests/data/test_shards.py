"""Files that are one split together: shards with and without digests, and the parts that Spark and Dask write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import datasets
import pytest

from hpo.data.source_tables import SourceTables
from hpo.data.sources import read_source
from hpo.errors import DataError
from hpo.spec.study import DataSection

ONE = "0123456789abcdef"
TWO = "fedcba9876543210"


def read(folder: Path, **keys: object) -> SourceTables:
    return read_source(DataSection.model_validate({"source": str(folder), **keys}))


def write_rows(path: Path, rows: Sequence[dict[str, object]], **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = datasets.Dataset.from_list(list(rows))
    if ".json" in path.name:
        data.to_json(path, **options)
    elif path.suffix == ".csv":
        data.to_csv(path, **options)
    else:
        data.to_parquet(path)


@pytest.mark.parametrize(
    "names",
    [
        (f"train-00000-of-00002-{ONE}.parquet", f"train-00001-of-00002-{TWO}.parquet"),
        (f"data/train-00000-of-00002-{ONE}.parquet", f"data/train-00001-of-00002-{ONE}.parquet"),
        ("train-00001-of-00002.parquet", "train-00002-of-00002.parquet"),
        (f"train-00000-of-00001-{ONE}.parquet",),
        ("part-00000-9f-c000.snappy.parquet", "part-00001-9f-c000.snappy.parquet"),
        ("part-00000-9f-c000.csv", "part-00003-9f-c000.csv"),
        ("part-r-00000.json.gz", "part-r-00001.json.gz"),
        ("part.2.parquet", "part.10.parquet"),
        ("train/part.2.csv", "train/part.10.csv"),
    ],
)
def test_files_of_one_split_are_read_in_their_order(
    tmp_path: Path, reviews, names: tuple[str, ...]
) -> None:
    rows, each = reviews(), len(reviews()) // len(names)
    for number, name in enumerate(names):
        write_rows(tmp_path / name, rows[number * each : (number + 1) * each])
    (tmp_path / "_SUCCESS").touch()
    source = read(tmp_path)
    assert source.train.column("text") == [row["text"] for row in rows]
    assert source.test is None
    assert not source.warnings


@pytest.mark.parametrize(
    "names",
    [
        ("train-00000-of-00001.parquet", "train-00000-of-00002.parquet"),
        (f"train-00000-of-00001-{ONE}.parquet", f"train-00000-of-00001-{TWO}.parquet"),
        ("train.parquet", "train_00000-of-00001.parquet"),
    ],
)
def test_shards_of_two_sets_are_refused(tmp_path: Path, reviews, names: tuple[str, ...]) -> None:
    for name in names:
        write_rows(tmp_path / name, reviews())
    with pytest.raises(DataError, match=f"found shards of more than one set .*{names[1]}"):
        read(tmp_path)


def test_each_split_may_be_a_folder_of_parts_of_which_some_have_no_rows(
    tmp_path: Path, reviews
) -> None:
    for split, product in (("train", "film"), ("test", "play")):
        write_rows(tmp_path / split / "part-00001-x.parquet", reviews(product))
        datasets.Dataset.from_list(reviews()).select([]).to_parquet(
            tmp_path / split / "part-00000-x.parquet"
        )
    (tmp_path / "train/part-00002-x.csv").touch()
    source = read(tmp_path)
    assert source.test is not None
    assert source.test.column("text") == [row["text"] for row in reviews("play")]
    assert source.train.place == f"{tmp_path / 'train'} (3 parts)"


def test_parts_that_are_named_as_splits_are_read_as_these(tmp_path: Path, reviews) -> None:
    for number in range(2):
        write_rows(tmp_path / f"part-0000{number}.csv", reviews()[number:])
    source = read(tmp_path, train_split="part-00001", test_split="part-00000")
    assert source.test is not None
    assert (len(source.train), len(source.test)) == (len(reviews()) - 1, len(reviews()))


def test_parts_without_a_header_get_the_option_that_says_so(tmp_path: Path, reviews) -> None:
    for number in range(2):
        rows = reviews()[number * 5 : number * 5 + 5]
        write_rows(tmp_path / f"part-0000{number}.csv", rows, header=False)
    with pytest.raises(DataError, match=r"data\.header=false --text-column 1 --label-column 2"):
        read(tmp_path)
    named = read(tmp_path, header=False, text="1", label="2")
    assert len(named.train) == 10


@pytest.mark.parametrize(
    ("name", "way"),
    [("0.parquet", r"pandas\.read_parquet\("), ("0.csv", "pyarrow.dataset.*format='csv'")],
)
def test_a_partitioned_table_is_told_with_what_makes_one_file_of_it(
    tmp_path: Path, reviews, name: str, way: str
) -> None:
    for label in ("a", "b"):
        write_rows(tmp_path / f"label={label}" / name, reviews())
    with pytest.raises(DataError, match=f"found a partitioned table, label=a/, label=b/.*{way}"):
        read(tmp_path)


def test_texts_in_one_folder_are_told_to_go_to_one_for_each_class(tmp_path: Path) -> None:
    for name in ("0_pos.txt", "1_neg.txt"):
        (tmp_path / name).write_text("a text")
    with pytest.raises(DataError, match="Move each text to a folder named by its class"):
        read(tmp_path)
