from __future__ import annotations

import pytest
from mlflow.utils.validation import _validate_metric_name

from hpo.runtime.trial_report import recall_names


@pytest.mark.parametrize(
    "labels",
    [
        ("good", "bad"),
        ("正面", "负面"),
        ("c++", "c--"),
        ("a/b", "a:b", "a_b"),
        ("x" * 300, "y" * 300),
    ],
)
def test_every_class_has_a_metric_of_its_own_that_mlflow_takes(labels: tuple[str, ...]) -> None:
    names = recall_names(labels)
    assert len(set(names)) == len(labels)
    for name in names:
        _validate_metric_name(name)


def test_a_class_keeps_its_name_where_it_can() -> None:
    assert recall_names(("good", "负面")) == ["val/recall_good", "val/recall_负面"]
