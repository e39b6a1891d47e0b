from __future__ import annotations

import pytest

from hpo.data.labelled import LabelledData
from hpo.errors import DataError, StudyFileError


def rows(*labels: object) -> list[dict[str, object]]:
    return [{"text": f"text {n}", "label": labels[n % len(labels)]} for n in range(60)]


def label_of(data: LabelledData, text: str) -> str:
    splits = (data.train, data.validation, data.test)
    split = next(split for split in splits if text in split.texts)
    return data.label_names[int(split.labels[split.texts.index(text)])]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_list_names_numbers_from_0_or_1_in_its_order(
    write, load, suffix: str, first: int
) -> None:
    path = write(f"news.{suffix}", rows(first, first + 1, first + 2))
    data = load(path, label_names=["World", "Sports", "Business"])
    assert data.label_names == ("World", "Sports", "Business")
    assert label_of(data, "text 1") == "Sports"


def test_a_table_names_values_and_several_may_have_one_name(write, load) -> None:
    names = {"1": "bad", "2": "bad", "4": "good", "5": "good"}
    data = load(write("reviews.csv", rows(1, 2, 4, 5)), label_names=names)
    assert data.label_names == ("bad", "good")
    assert label_of(data, "text 1") == "bad"
    assert label_of(data, "text 2") == "good"


def test_numbers_with_a_point_are_named(write, load) -> None:
    data = load(write("reviews.csv", rows("1.0", "0.0")), label_names={"1.0": "good", "0.0": "bad"})
    assert label_of(data, "text 0") == "good"
    data = load(write("reviews.csv", rows("1.0", "0.0")), label_names=["bad", "good"])
    assert label_of(data, "text 0") == "good"
    data = load(write("reviews.parquet", rows(1.0, 0.0)), label_names=["bad", "good"])
    assert label_of(data, "text 0") == "good"


def test_several_labels_in_a_cell_are_named(write, load) -> None:
    path = write("emotions.csv", rows("0,2", "1", "2", "0"))
    data = load(path, label_delimiter=",", label_names=["joy", "anger", "love"])
    assert data.label_names == ("joy", "anger", "love")
    assert data.task == "multi_label"
    path = write("emotions.jsonl", rows([0, 2], [1], [2], [0]))
    assert load(path, label_names=["joy", "anger", "love"]).label_names == ("joy", "anger", "love")


def test_a_value_without_a_name_and_a_first_number_in_doubt_are_told(write, load) -> None:
    path = write("reviews.csv", rows(0, 1, 7))
    with pytest.raises(DataError, match=r"line 4: found '7' in the label column 'label'"):
        load(path, label_names=["bad", "good"])
    path = write("reviews.csv", rows(1, 2))
    with pytest.raises(DataError, match=r"found neither 0 nor 3.*as a table"):
        load(path, label_names=["a", "b", "c"])


def test_names_for_numbers_that_are_no_classes_are_refused(write, load) -> None:
    path = write("reviews.csv", rows(0, 1))
    with pytest.raises(StudyFileError, match=r"data\.label_names"):
        load(path, task="regression", label_names=["bad", "good"])
