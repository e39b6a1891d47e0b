from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpo.errors import DataError, StudyFileError
from tests.data.split_texts import texts_of


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_single_file_of_any_format_is_split_in_the_same_way(
    write, load, reviews, suffix: str
) -> None:
    data = load(write(f"reviews.{suffix}", reviews()))
    assert (len(data.train), len(data.validation), len(data.test)) == (32, 4, 4)
    assert data.label_names == ("bad", "good")
    assert data.train.labels.dtype == np.int64
    assert np.bincount(data.test.labels).tolist() == [2, 2]
    assert data.warnings == ()
    assert data.fingerprint == load(write("other.jsonl", reviews())).fingerprint


def test_a_folder_keeps_its_own_splits(tmp_path: Path, write, load, reviews) -> None:
    write("train.csv", reviews("film"))
    write("dev.csv", reviews("play", good=3, bad=4))
    write("test.csv", reviews("book", good=5, bad=1))
    data = load(tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (40, 7, 6)
    assert data.validation.texts[0] == "a good play, number 0"
    assert data.label_names[data.validation.labels[0]] == "good"


@pytest.mark.parametrize("missing", ["validation", "test"])
def test_the_split_that_is_missing_is_split_off(
    tmp_path: Path, write, load, reviews, missing: str
) -> None:
    write("train.csv", reviews(bad=50, good=50))
    given = "test" if missing == "validation" else "validation"
    write(f"{given}.csv", reviews("play", good=5, bad=5))
    fraction = 0.2 if missing == "validation" else 0.3
    data = load(tmp_path, **{f"{missing}_fraction": fraction})
    separated = round(100 * fraction)
    assert len(getattr(data, missing)) == separated
    assert len(getattr(data, given)) == 10
    assert len(data.train) == 100 - separated


@pytest.mark.parametrize("given", ["validation", "test"])
def test_a_share_to_split_off_of_a_split_that_is_there_is_refused(
    tmp_path: Path, write, load, reviews, given: str
) -> None:
    write("train.csv", reviews(bad=50, good=50))
    write(f"{given}.csv", reviews("play", good=5, bad=5))
    with pytest.raises(StudyFileError, match=f"data.{given}_fraction: found 0.2, but the source"):
        load(tmp_path, **{f"{given}_fraction": 0.2})


def test_the_seed_decides_what_is_split_off(write, load, reviews) -> None:
    path = write("reviews.csv", reviews(bad=100, good=100))
    assert load(path, seed=1).fingerprint == load(path, seed=1).fingerprint
    assert load(path, seed=1).fingerprint != load(path, seed=2).fingerprint
    assert texts_of(load(path, seed=1)) == texts_of(load(path, seed=1))


def test_another_process_loads_the_same(write, load, reviews) -> None:
    path = write("reviews.csv", reviews())
    code = (
        "from hpo.data.dataset import load_data; from hpo.spec.study import DataSection;"
        f"print(load_data(DataSection(source={str(path)!r}), seed=5).fingerprint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == load(path, seed=5).fingerprint


def test_the_demo_is_the_same_whatever_the_seed(load) -> None:
    one, other = load("demo", seed=0), load("demo", seed=1)
    assert one.fingerprint == other.fingerprint
    assert one.label_names == ("negative", "positive")
    assert one.warnings == ()


def test_loading_without_parquet_or_hub_brings_in_nothing_heavy(write, reviews) -> None:
    path = write("reviews.csv", reviews())
    code = (
        "import sys; from hpo.data.dataset import load_data;"
        "from hpo.spec.study import DataSection;"
        f"load_data(DataSection(source={str(path)!r}), seed=5);"
        "print({'torch', 'datasets', 'pandas', 'pyarrow', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"


def test_the_fingerprint_follows_texts_labels_names_and_splits(tmp_path: Path, write, load) -> None:
    def fingerprint(train: list[tuple[str, str]], test: list[tuple[str, str]]) -> str:
        other = [("u", "a"), ("v", "b")]
        for name, rows in (("train", train), ("validation", other), ("test", test)):
            write(f"{name}.csv", [{"text": text, "label": label} for text, label in rows])
        return load(tmp_path).fingerprint

    train, test = [("ab", "a"), ("c", "b")], [("x", "a"), ("y", "b")]
    prints = [
        fingerprint(train, test),
        fingerprint([("a", "a"), ("bc", "b")], test),
        fingerprint([("ab", "b"), ("c", "a")], test),
        fingerprint([("c", "b"), ("ab", "a")], test),
        fingerprint([*train, ("x2", "a")], test[1:]),
    ]
    assert len(set(prints)) == len(prints)
    assert fingerprint(train, test) == prints[0]


@pytest.mark.parametrize("test_labels", ["absent", "empty", "-1"])
def test_a_test_split_without_labels_counts_as_none(
    tmp_path: Path, write, load, reviews, test_labels: str
) -> None:
    train = [{**row, "label": int(row["label"] == "good")} for row in reviews(bad=50, good=50)]
    rows: list[dict[str, object]] = [{"text": row["text"]} for row in reviews("book")]
    if test_labels != "absent":
        value = None if test_labels == "empty" else -1
        rows = [{**row, "label": value} for row in rows]
    write("train.jsonl", train)
    write("test.jsonl", rows)
    data = load(tmp_path)
    assert len(data.test) == 10
    assert not any("book" in text for text in data.test.texts)
    assert len(data.warnings) == 1
    assert "has no labels and is left out; the test split is split off" in data.warnings[0]
    with pytest.raises(DataError):
        load(tmp_path, test_split="test")


def test_labels_of_another_type_in_another_file_are_matched(
    tmp_path: Path, write, load, reviews
) -> None:
    train = [{**row, "label": int(row["label"] == "good")} for row in reviews()]
    test = [{**row, "label": float(row["label"] == "good")} for row in reviews("play")]
    write("train.csv", train)
    write("test.jsonl", test)
    data = load(tmp_path)
    assert data.label_names == ("0", "1")
    assert np.bincount(data.test.labels).tolist() == [20, 20]


def test_fractions_that_leave_nothing_for_training_are_an_error(write, load, reviews) -> None:
    path = write("reviews.csv", reviews())
    with pytest.raises(DataError, match=r"data\.validation_fraction: found 0\.6"):
        load(path, validation_fraction=0.6, test_fraction=0.4)


def test_a_single_class_is_an_error(write, load, reviews) -> None:
    with pytest.raises(DataError, match="found one class"):
        load(write("reviews.csv", reviews(good=10)))


def test_a_limit_samples_training_only_and_after_splitting(write, load, reviews) -> None:
    path = write("reviews.csv", reviews(bad=300, good=100, odd=3))
    whole, limited = load(path), load(path, max_train_examples=50)
    assert len(limited.train) == 50
    assert np.bincount(limited.train.labels).tolist() == [37, 12, 1]
    assert limited.validation.texts == whole.validation.texts
    assert limited.test.texts == whole.test.texts
    assert set(limited.train.texts) < set(whole.train.texts)
    assert limited.fingerprint == load(path, max_train_examples=50).fingerprint
    assert limited.fingerprint != whole.fingerprint
    assert load(path, max_train_examples=10_000).fingerprint == whole.fingerprint


def test_a_limit_below_the_number_of_classes_is_an_error(write, load, reviews) -> None:
    path = write("reviews.csv", reviews(bad=20, fair=20, good=20))
    with pytest.raises(DataError, match=r"data\.max_train_examples: found 2 for 3 classes"):
        load(path, max_train_examples=2)


def test_columns_are_named_once_for_all_splits(tmp_path: Path, write, load, reviews) -> None:
    write("train.csv", [{"body": row["text"], "mood": row["label"]} for row in reviews()])
    write("test.csv", [{"body": row["text"], "mood": row["label"]} for row in reviews("book")])
    assert load(tmp_path, label="mood").label_names == ("bad", "good")
    write("test.csv", [{"title": row["text"], "mood": row["label"]} for row in reviews("book")])
    with pytest.raises(DataError) as caught:
        load(tmp_path, label="mood")
    assert "test.csv: found the columns 'title', 'mood'; expected a column 'body'" in str(
        caught.value
    )


def test_class_names_in_the_metadata_of_parquet_files_are_kept_and_minus_one_is_no_label(
    tmp_path: Path, load, reviews
) -> None:
    import pyarrow
    import pyarrow.parquet

    features = {"label": {"names": ["zum Kotzen", "angenehm"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    rows = [{**row, "label": int(row["label"] == "good")} for row in reviews()]
    rows[0]["label"] = -1
    unlabelled = [{**row, "label": -1} for row in reviews("book")]
    for name, some in (("train", rows), ("test", unlabelled)):
        table = pyarrow.Table.from_pylist(some).replace_schema_metadata(metadata)
        pyarrow.parquet.write_table(table, tmp_path / f"{name}.parquet")
    data = load(tmp_path)
    assert data.label_names == ("zum Kotzen", "angenehm")
    assert len(data.train) + len(data.validation) + len(data.test) == 39
    assert [warning.split(": ")[1] for warning in data.warnings] == [
        "1 of 40 rows has no label and is left out (row 1)",
        "has no labels and is left out; the test split is split off",
    ]


def test_a_text_can_be_traced_to_its_line(write, load, reviews) -> None:
    path = write("reviews.csv", reviews())
    lines = path.read_text(encoding="utf-8").splitlines()
    data = load(path)
    for split in (data.train, data.validation, data.test):
        place, line = split.where(1).rsplit(", line ", 1)
        assert place == str(path)
        assert split.texts[1] in lines[int(line) - 1]


def test_the_demo_stays_what_stored_studies_know_it_by(load) -> None:
    whole = "0ec925fc9becae94bf4cfdefcefa72eb48dc1bdcd06c1eac6d8bee39231aa0ab"
    assert load("demo", seed=3).fingerprint == whole
    sample = "e78d0d54dadb417783e003fe5cebfe88c32e3a84ecd8656a3cd3702675cd9a5a"
    assert load("demo", seed=3, max_train_examples=500).fingerprint == sample
