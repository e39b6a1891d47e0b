from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hpo.data.dataset import LabelledData
from hpo.errors import DataError

Load = Callable[..., LabelledData]


def rated(ratings: list[object]) -> list[dict[str, object]]:
    return [{"text": f"film {i}", "stars": stars} for i, stars in enumerate(ratings)]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_numbers_are_read_as_they_stand(write, load: Load, suffix: str) -> None:
    ratings = [i * 0.25 - 3 for i in range(40)]
    data = load(write(f"films.{suffix}", rated(ratings)), task="regression")
    assert (data.task, data.label_names) == ("regression", ("stars",))
    assert data.train.labels.dtype == np.float32
    for split in (data.train, data.validation, data.test):
        for text, number in zip(split.texts, split.labels, strict=True):
            assert number == ratings[int(text.split()[1])]


def test_numbers_in_text_may_be_written_in_any_usual_way(write, load: Load) -> None:
    ratings = ["1", " 2.50 ", ".5", "-3.", "+4e-1"] * 8
    data = load(write("films.jsonl", rated(ratings)), task="regression")
    assert set(data.train.labels.tolist()) <= {np.float32(float(rating)) for rating in ratings}


def test_rows_without_a_number_are_left_out_and_counted(write, load: Load) -> None:
    path = write("films.jsonl", rated([*range(30), None, float("nan"), " "]))
    data = load(path, task="regression")
    assert len(data.train) + len(data.validation) + len(data.test) == 30
    assert any("3 of 33 rows have no label and are left out" in each for each in data.warnings)


@pytest.mark.parametrize("cell", ["good", "1,5", "1_000", "inf", "1e400", True, [1], {"a": 1}])
def test_what_is_no_number_is_refused_with_its_row(write, load: Load, cell: object) -> None:
    path = write("films.jsonl", rated([*range(30), cell]))
    with pytest.raises(DataError, match=r"line 31: found .*; expected a number"):
        load(path, task="regression")


def test_a_constant_is_refused(write, load: Load) -> None:
    with pytest.raises(DataError, match="found the number 3 in every row"):
        load(write("films.csv", rated([3, "3.0"] * 20)), task="regression")


def test_a_measure_among_classes_brings_the_task_that_takes_it(write, load: Load) -> None:
    with pytest.raises(DataError, match=r'Set data.task = "regression"'):
        load(write("films.csv", rated([i / 7 for i in range(40)])))
    with pytest.raises(DataError, match=r'Set data.task = "regression"'):
        load(write("many.csv", rated(list(range(40)))))


def test_a_sample_keeps_the_range(write, load: Load) -> None:
    path = write("films.csv", rated([i / 10 for i in range(1_000)]))
    data = load(path, task="regression", max_train_examples=50)
    assert len(data.train) == 50
    assert abs(float(data.train.labels.mean()) - 50) < 2
    assert data.train.labels.min() < 10
    assert data.train.labels.max() > 90
