from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from hpo.data.labels import Classes, find_classes
from hpo.data.table import Table
from hpo.errors import DataError


def classes_of(values: Sequence[object], names: tuple[str, ...] = ()) -> Classes:
    rows = np.arange(1, len(values) + 1, dtype=np.int64)
    table = Table(
        "train.csv",
        ("label",),
        lambda name: list(values),
        rows,
        "line",
        {"label": names} if names else {},
    )
    return find_classes(table, "label", values, rows - 1)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["pos", "neg", "pos"], ("neg", "pos")),
        ([" pos ", "neg", "pos"], ("neg", "pos")),
        (["b", "B", "a"], ("B", "a", "b")),
        ([10, 9, 1], ("1", "9", "10")),
        (["10", "9", "1"], ("1", "9", "10")),
        ([1, -1, 0], ("-1", "0", "1")),
        ([1.0, 0.0, 1], ("0", "1")),
        (["1.0", "0.0"], ("0", "1")),
        (["1", "1.0", "2"], ("1", "2")),
        (["007", "7", "8"], ("007", "7", "8")),
        ([True, False], ("false", "true")),
        (["True", "False"], ("False", "True")),
        (["pos", None, "", math.nan, "neg"], ("neg", "pos")),
        (["1", "2", "many"], ("1", "2", "many")),
        (["好", "坏"], ("坏", "好")),
    ],
)
def test_classes_come_in_their_natural_order(values: list[object], names: tuple[str, ...]) -> None:
    assert classes_of(values).names == names


def test_labels_are_numbered_in_the_order_of_the_names_and_empty_ones_have_no_number() -> None:
    classes = classes_of(["10", "9", "", "10"])
    labels, spelled = classes.encode(["10", "9", None, "11", " 9.0"])
    assert labels.tolist() == [1, 0, -1, -1, 0]
    assert spelled == ["10", "9", None, "11", "9"]


def test_named_classes_keep_their_order_and_those_without_rows_are_left_out() -> None:
    classes = classes_of([2, 0, -1, None, 0], names=("zebra", "lion", "ape"))
    assert classes.names == ("zebra", "ape")
    assert classes.encode([0, 2, -1])[0].tolist() == [0, 1, -1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "a"], "found one class ('a')"),
        ([None, ""], "found no labels"),
        ([0.5, 1.0], "line 1: found the number 0.5"),
        (["1", "0.25", "2"], "line 2: found the number 0.25"),
        ([math.inf, 1.0], "line 1: found the number inf"),
        (["a", ["b"]], "line 2: found a list in the label column 'label'"),
        ([{"a": 1}, 2], "line 1: found an object"),
        ([b"a", b"b"], "line 1: found bytes"),
        (["a", 1, "b"], "labels of two types in column 'label': text in line 1, a whole number in"),
        ([True, 2], "true or false in line 1, a whole number in line 2"),
        ([f"id-{i}" for i in range(100)], "found 100 labels in 100 rows"),
        (["a", "\ud800"], "half of a surrogate pair"),
    ],
)
def test_values_that_are_no_classes_are_told(values: list[object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        classes_of(values)
    assert message in str(caught.value)


def test_an_index_beyond_the_named_classes_is_told() -> None:
    with pytest.raises(DataError, match="found the class index 7 in column 'label'"):
        classes_of([0, 1, 7], names=("a", "b"))
