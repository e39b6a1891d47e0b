"""What is wrong with rows and labels of a data set: left out, told of, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpo.errors import DataError
from tests.data.split_texts import texts_of


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


def test_copies_within_a_file_are_never_split_apart(write, load, reviews) -> None:
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


def test_a_class_too_small_to_split_stays_in_training_with_a_warning(write, load, reviews) -> None:
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
