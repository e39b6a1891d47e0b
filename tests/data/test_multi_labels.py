from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest

from hpo.data.dataset import LabelledData
from hpo.data.hub import tables_of
from hpo.data.labelling import find_labelling
from hpo.errors import DataError, StudyFileError
from hpo.spec.study import DataSection

Load = Callable[..., LabelledData]

SETS = [["joy"], ["joy", "love"], [], ["love", "anger"], ["anger"]]
ROWS = [{"text": f"film {i}", "label": SETS[i % 5]} for i in range(60)]
NAMES = ("anger", "joy", "love")


def sets_of(data: LabelledData) -> dict[str, tuple[str, ...]]:
    """The names of each text's labels, over all splits."""
    return {
        text: tuple(name for name, bit in zip(data.label_names, bits, strict=True) if bit)
        for split in (data.train, data.validation, data.test)
        for text, bits in zip(split.texts, split.labels, strict=True)
    }


EXPECTED = {str(row["text"]): tuple(sorted(row["label"])) for row in ROWS}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_column_of_lists(write, load: Load, suffix: str) -> None:
    data = load(write(f"films.{suffix}", ROWS))
    assert (data.task, data.label_names) == ("multi_label", NAMES)
    assert data.train.labels.dtype == np.float32
    assert set(np.unique(data.train.labels)) == {0, 1}
    assert sets_of(data) == EXPECTED


@pytest.mark.parametrize("delimiter", [",", ";", " | "])
def test_a_cell_of_text_with_a_delimiter(write, load: Load, delimiter: str) -> None:
    rows = [{**row, "label": delimiter.join(row["label"])} for row in ROWS]
    data = load(write("films.csv", rows), label_delimiter=delimiter)
    assert sets_of(data) == EXPECTED


def test_a_cell_of_text_that_is_written_as_a_list(write, load: Load) -> None:
    rows = [{**row, "label": str(row["label"])} for row in ROWS]
    assert sets_of(load(write("films.csv", rows), task="multi_label")) == EXPECTED


@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("false", "True"), ("0.0", "1.0")])
def test_a_column_of_0_and_1_for_each_label(write, load: Load, no: str, yes: str) -> None:
    rows = [
        {"text": row["text"], **{name: yes if name in row["label"] else no for name in NAMES}}
        for row in ROWS
    ]
    data = load(write("films.csv", rows), label=["love", "JOY", "anger"])
    assert data.label_names == ("love", "joy", "anger")
    assert data.label_column == "love, joy, anger"
    assert {text: tuple(sorted(names)) for text, names in sets_of(data).items()} == EXPECTED


def test_named_indices_of_the_hub_keep_the_order_of_their_names() -> None:
    feature = datasets.Sequence(datasets.ClassLabel(names=["sad", "glad", "never", "angry"]))
    dataset = datasets.Dataset.from_dict(
        {"text": ["a", "b", "c"], "label": [[0, 3], [], [1]]},
        features=datasets.Features({"text": datasets.Value("string"), "label": feature}),
    )
    table = tables_of("org/set", {"train": dataset})["train"]
    labelling = find_labelling(DataSection(), table, ["label"], np.arange(3))
    assert labelling.names == ("sad", "glad", "angry")
    labels, missing = labelling.encode(table, np.arange(3), published=False)
    assert labels.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert not missing.any()


def test_parquet_files_of_the_datasets_library_name_the_indices(tmp_path: Path, load: Load) -> None:
    feature = datasets.Sequence(datasets.ClassLabel(names=["sad", "glad"]))
    datasets.Dataset.from_dict(
        {"text": [f"text {i}" for i in range(40)], "label": [[i % 2] for i in range(40)]},
        features=datasets.Features({"text": datasets.Value("string"), "label": feature}),
    ).to_parquet(str(tmp_path / "train.parquet"))
    assert load(tmp_path / "train.parquet").label_names == ("sad", "glad")


def test_whole_numbers_come_in_their_order(write, load: Load) -> None:
    rows = [{"text": f"film {i}", "label": [2 + 9 * (i % 2), 7]} for i in range(40)]
    assert load(write("films.jsonl", rows)).label_names == ("2", "7", "11")


def test_null_is_left_out_and_an_empty_list_is_not(write, load: Load) -> None:
    rows = [*ROWS, {"text": "unlabelled", "label": None}]
    data = load(write("films.jsonl", rows))
    assert sets_of(data) == EXPECTED
    assert any("1 of 61 rows has no label and is left out" in each for each in data.warnings)


def test_an_open_cell_of_0_and_1_leaves_the_row_out(write, load: Load) -> None:
    rows = [{"text": f"film {i}", "joy": str(i % 2), "love": "1"} for i in range(40)]
    rows += [{"text": "open", "joy": "", "love": "1"}, {"text": "open too", "joy": "-1", "love": 1}]
    data = load(write("films.csv", rows), label=["joy", "love"])
    assert not {"open", "open too"} & set(sets_of(data))


def test_a_test_split_without_labels_counts_as_none(write, load: Load) -> None:
    write("films/train.csv", [{**row, "label": ",".join(row["label"])} for row in ROWS])
    folder = write("films/test.csv", [{"text": f"t{i}", "label": ""} for i in range(9)]).parent
    data = load(folder, label_delimiter=",")
    assert "test" in data.split_off


def test_a_label_that_training_does_not_have_is_named_with_its_row(write, load: Load) -> None:
    write("films/train.jsonl", ROWS)
    rows = [{"text": "a", "label": ["joy"]}, {"text": "b", "label": ["joy", "angr"]}]
    folder = write("films/test.jsonl", rows).parent
    with pytest.raises(DataError, match=r"test.jsonl, line 2: found the label 'angr'.*'anger'"):
        load(folder)


def test_the_same_text_with_other_labels_is_counted_as_clashing(write, load: Load) -> None:
    rows = [*ROWS, {"text": "film 0", "label": ["love"]}]
    data = load(write("films.jsonl", rows))
    assert any("1 text occurs with different labels" in each for each in data.warnings)


def test_what_labels_are_changes_the_fingerprint(write, load: Load) -> None:
    one = load(write("films.jsonl", ROWS))
    changed = [{**row, "label": row["label"][:1]} for row in ROWS]
    other = load(write("other.jsonl", changed))
    assert one.fingerprint == load(write("again.jsonl", ROWS)).fingerprint != other.fingerprint


def test_a_sample_needs_a_text_for_each_label(write, load: Load) -> None:
    source = write("films.jsonl", ROWS)
    data = load(source, max_train_examples=3)
    assert len(data.train) == 3
    assert data.train.counts(3).min() >= 1
    with pytest.raises(DataError, match="max_train_examples: found 2 for 3 classes"):
        load(source, max_train_examples=2)


def test_an_identifier_is_no_label(write, load: Load) -> None:
    rows = [{"text": f"film {i}", "label": [f"id{i}"]} for i in range(60)]
    with pytest.raises(DataError, match="found 60 labels in 60 rows of the column 'label'"):
        load(write("films.jsonl", rows))


def test_a_delimiter_does_nothing_for_label_columns(write, load: Load) -> None:
    rows = [{"text": f"film {i}", "joy": i % 2, "love": 1} for i in range(40)]
    with pytest.raises(StudyFileError, match="there are 2 label columns"):
        load(write("films.csv", rows), label=["joy", "love"], label_delimiter=",")


@pytest.mark.parametrize(
    "cell", [["joy", None], ["joy", 1.5], [["joy"]], {"joy": 1}, [True]], ids=json.dumps
)
def test_what_is_no_label_is_refused_with_its_row(write, load: Load, cell: object) -> None:
    rows = [*ROWS, {"text": "odd", "label": cell}]
    with pytest.raises(DataError, match="line 61: found"):
        load(write("films.jsonl", rows))
