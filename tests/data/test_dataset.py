from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpo.data.dataset import LabelledData
from hpo.errors import DataError, StudyFileError


def texts_of(data: LabelledData) -> list[set[str]]:
    return [set(split.texts) for split in (data.train, data.validation, data.test)]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_single_file_of_any_format_is_carved_in_the_same_way(
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
def test_the_split_that_is_missing_is_carved_off(
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
def test_a_share_to_carve_of_a_split_that_is_there_is_refused(
    tmp_path: Path, write, load, reviews, given: str
) -> None:
    write("train.csv", reviews(bad=50, good=50))
    write(f"{given}.csv", reviews("play", good=5, bad=5))
    with pytest.raises(StudyFileError, match=f"data.{given}_fraction: found 0.2, but the source"):
        load(tmp_path, **{f"{given}_fraction": 0.2})


def test_the_seed_decides_what_is_carved(write, load, reviews) -> None:
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


def test_rows_without_text_or_label_are_counted_named_and_left_out(write, load, reviews) -> None:
    rows = reviews()
    rows[2]["text"] = ""
    rows[5]["text"] = " \t\n"
    rows[9]["label"] = " "
    path = write("reviews.csv", rows)
    data = load(path)
    assert sum(len(texts) for texts in texts_of(data)) == 37
    assert data.warnings == (
        f"{path}: 2 of 40 rows have no text and are left out (lines 4, 7)",
        f"{path}: 1 of 40 rows has no label and is left out (line 12)",
    )


def test_missing_values_of_parquet_and_jsonl_are_left_out_too(
    tmp_path: Path, write, load, reviews
) -> None:
    for suffix in ("parquet", "jsonl"):
        rows = reviews()
        rows[0]["text"] = rows[1]["label"] = None
        data = load(write(f"reviews.{suffix}", rows))
        assert len(data.warnings) == 2
        assert sum(len(texts) for texts in texts_of(data)) == 38


@pytest.mark.parametrize("column", ["text", "label"])
def test_more_empty_rows_than_others_are_an_error(write, load, reviews, column: str) -> None:
    rows = reviews()
    for row in rows[8:31]:
        row[column] = ""
    with pytest.raises(DataError) as caught:
        load(write("reviews.csv", rows))
    assert f"found no {column} in 23 of 40 rows" in str(caught.value)
    assert "lines 10, 11, 12, …" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "found"),
    [(7, "a whole number"), (["a"], "a list"), ({"a": 1}, "an object"), (True, "true or false")],
)
def test_a_text_that_is_no_text_is_told(write, load, reviews, value: object, found: str) -> None:
    rows = reviews()
    rows[3]["text"] = value
    with pytest.raises(DataError) as caught:
        load(write("reviews.jsonl", rows))
    assert f"line 4: found {found} in the text column 'text'" in str(caught.value)


def test_half_a_surrogate_pair_is_told(write, load, reviews) -> None:
    rows = reviews()
    rows[3]["text"] = "bad \ud83d half"
    with pytest.raises(DataError, match="line 4: found text with half of a surrogate pair"):
        load(write("reviews.jsonl", rows))


def test_a_label_that_training_lacks_is_told_with_its_rows(
    tmp_path: Path, write, load, reviews
) -> None:
    write("train.csv", reviews())
    rows = reviews("play")
    for row in rows[20:25]:
        row["label"] = "goood"
    write("test.csv", rows)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    said = str(caught.value)
    assert "test.csv, lines 22, 23, 24, …: found the label 'goood'" in said
    assert "expected 'bad', 'good'" in said
    assert "Write 'good'" in said


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


def test_texts_shared_by_splits_stay_where_they_are_measured(
    tmp_path: Path, write, load, reviews
) -> None:
    train, validation, test = reviews("film"), reviews("play"), reviews("book")
    validation[4] = test[0]
    train[1] = test[1]
    train[2] = train[7] = validation[2]
    for name, rows in (("train", train), ("validation", validation), ("test", test)):
        write(f"{name}.csv", rows)
    data = load(tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (37, 39, 40)
    one, two, three = texts_of(data)
    assert len(one | two | three) == len(one) + len(two) + len(three)
    assert data.warnings == (
        f"{tmp_path}/validation.csv: 1 text is also in the test split and is left out of the"
        " validation split (line 6)",
        f"{tmp_path}/train.csv: 2 texts are also in the validation split and are left out of the"
        " training split (lines 4, 9)",
        f"{tmp_path}/train.csv: 1 text is also in the test split and is left out of the"
        " training split (line 3)",
    )


def test_copies_within_a_file_are_never_carved_apart(write, load, reviews) -> None:
    rows = reviews(bad=30, good=30)
    data = load(write("reviews.csv", rows + rows))
    one, two, three = texts_of(data)
    assert len(one | two | three) == len(one) + len(two) + len(three)
    assert sum(map(len, (data.train, data.validation, data.test))) == 120
    assert data.warnings == ()


def test_a_training_split_that_copies_the_test_split_is_an_error(
    tmp_path: Path, write, load, reviews
) -> None:
    write("train.csv", reviews())
    write("test.csv", reviews())
    with pytest.raises(DataError, match="nothing but texts that are also in the test split"):
        load(tmp_path)


def test_a_class_that_only_copies_the_test_split_is_an_error(
    tmp_path: Path, write, load, reviews
) -> None:
    write("train.csv", reviews(bad=10, good=4))
    write("test.csv", reviews(good=4) + reviews("book", bad=4))
    with pytest.raises(DataError, match="no training rows of class 'good' but copies"):
        load(tmp_path)


def test_clashing_labels_are_counted_and_kept(tmp_path: Path, write, load, reviews) -> None:
    rows = reviews()
    rows.append({"text": rows[0]["text"], "label": "good"})
    rows.append({"text": rows[1]["text"], "label": "bad"})
    path = write("train.csv", rows)
    for name in ("validation", "test"):
        write(f"{name}.csv", reviews(name))
    data = load(tmp_path)
    assert len(data.train) == 42
    assert data.warnings == (
        f"{path}: 1 text occurs with different labels in the training split (lines 2, 42)",
    )


def test_a_class_that_a_given_split_lacks_is_told(tmp_path: Path, write, load, reviews) -> None:
    write("train.csv", reviews(bad=20, fair=20, good=20))
    write("test.csv", reviews("book", good=5, fair=5))
    assert load(tmp_path).warnings == (
        f"{tmp_path}/test.csv: the test split has no rows of class 'bad'",
    )


def test_a_class_too_small_to_carve_stays_in_training_with_a_warning(write, load, reviews) -> None:
    path = write("reviews.csv", reviews(bad=20, good=20, odd=2))
    data = load(path)
    assert np.bincount(data.train.labels, minlength=3).tolist() == [16, 16, 2]
    assert data.warnings == (
        f"{path}: classes with fewer than three different texts stay in the training split alone:"
        " 1 of 3 ('odd'; lines 42, 43)",
    )


def test_classes_that_could_not_be_split_off_as_asked_are_counted(write, load, reviews) -> None:
    copies = [{"text": f"copied {i % 3}", "label": "copied"} for i in range(60)]
    path = write("reviews.csv", [*reviews(bad=40, good=40, few=4), *copies])
    data = load(path, test_fraction=0.2)
    assert np.bincount(data.test.labels).tolist() == [8, 20, 1, 8]
    assert np.bincount(data.validation.labels).tolist() == [4, 20, 1, 4]
    assert data.warnings == (
        f"{path}: classes that are so small that one text of each is more than was asked"
        " (20% for test and 10% for validation): 2 of 4 ('copied', 'few'; lines 82, 83, 84, …)",
    )
    halves = [{"text": f"twice {i // 2}", "label": "twice"} for i in range(30)]
    path = write("reviews.csv", [*reviews(bad=40, good=40), *halves])
    assert load(path).warnings == (
        f"{path}: classes that have fewer texts split off than asked (10% for test and 10% for"
        " validation), for copies stay together: 1 of 3 ('twice'; lines 82, 83, 84, …)",
    )


def test_labels_that_differ_in_case_or_spaces_alone_are_told(write, load, reviews) -> None:
    rows = [
        {"text": f"film {i}", "label": ("True", "FALSE", "true ", "very  good", "very good")[i % 5]}
        for i in range(40)
    ]
    path = write("reviews.csv", rows)
    data = load(path)
    assert data.label_names == ("FALSE", "True", "true", "very  good", "very good")
    assert data.warnings == (
        f"{path}: classes 'True', 'true', 'very  good', 'very good', 32 rows, differ from others"
        " in nothing but case and spaces but are classes of their own (lines 2, 4, 5, …)",
    )


def test_labels_that_look_like_empty_cells_are_told(write, load, reviews) -> None:
    path = write("reviews.csv", reviews(good=10, bad=10, nan=4, NA=3))
    assert load(path).warnings == (
        f"{path}: classes 'NA', 'nan', 7 rows, look like empty cells but are classes of their own"
        " (lines 22, 23, 24, …)",
        f"{path}: classes that are so small that one text of each is more than was asked"
        " (10% for test and 10% for validation): 2 of 4 ('NA', 'nan'; lines 22, 23, 24, …)",
    )


def test_labels_that_are_truth_values_or_numbers_are_beyond_doubt(write, load) -> None:
    rows = [{"text": f"film {i}", "label": i % 2 == 0} for i in range(40)]
    assert load(write("reviews.jsonl", rows)).warnings == ()


def test_too_few_rows_to_carve_are_an_error(write, load, reviews) -> None:
    path = write("reviews.csv", reviews(bad=2, good=30))
    with pytest.raises(
        DataError, match=r"too few rows \(32\) to split off a test and a validation"
    ):
        load(path)


def test_fractions_that_leave_nothing_for_training_are_an_error(write, load, reviews) -> None:
    path = write("reviews.csv", reviews())
    with pytest.raises(DataError, match=r"data\.validation_fraction: found 0\.6"):
        load(path, validation_fraction=0.6, test_fraction=0.4)


def test_a_single_class_is_an_error(write, load, reviews) -> None:
    with pytest.raises(DataError, match="found one class"):
        load(write("reviews.csv", reviews(good=10)))


def test_a_limit_samples_training_only_and_after_carving(write, load, reviews) -> None:
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
