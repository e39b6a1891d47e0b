"""A served model answers in the form of its task, with what the test score is made of."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc.scoring_server import predictions_to_json

from hpo.model.saved import save_trained
from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.regression import REGRESSION
from hpo.tasks.single_label import SINGLE_LABEL_SIGMOID
from hpo.tasks.task import Task
from hpo.tracking.model_folder import build, pyfunc_flavor
from hpo.tracking.pyfunc import TrialModel
from tests.tracking.measured import MAX_LENGTH, Measured, publish
from tests.tracking.ways_in import CLOSE

TOPICS = ("world", "sports", "science")
TASKS: dict[str, tuple[Task, tuple[str, ...]]] = {
    "sigmoid": (SINGLE_LABEL_SIGMOID, ("bad", "good")),
    "labels": (MULTI_LABEL, TOPICS),
    "thresholds": (MULTI_LABEL.with_facts({"thresholds": [0.1, 0.9, 0.45]}), TOPICS),
    "numbers": (REGRESSION.with_facts({"mean": 3.5, "scale": 1.2}), ("stars",)),
}
COLUMN = {"sigmoid": "label", "labels": "labels", "thresholds": "labels", "numbers": "prediction"}
TEXTS = ["good", "a dull film", "[1, 2]", "", "A dull film, slow and sad. " * 100]


@pytest.fixture(scope="module", params=TASKS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def measured(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    task, labels = TASKS[kind]
    return publish(tmp_path_factory.mktemp("measured"), task=task, labels=labels)


@pytest.fixture(scope="module")
def served(measured: Measured) -> Any:
    return mlflow.pyfunc.load_model(str(measured.folder))


def scores(table: pd.DataFrame, kind: str) -> Any:
    if kind == "numbers":
        return table[["prediction"]].to_numpy(float)
    return table[[f"probability_{name}" for name in TASKS[kind][1]]].to_numpy(float)


def test_the_answers_are_those_that_are_tested(served: Any, measured: Measured, kind: str) -> None:
    table = served.predict(TEXTS)
    expected, probabilities = measured.classifier.classify(TEXTS)
    np.testing.assert_allclose(scores(table, kind), probabilities, **CLOSE)
    if kind == "numbers":
        assert table["prediction"].tolist() == pytest.approx(expected, rel=1e-4)
    else:
        assert table[COLUMN[kind]].tolist() == expected
    assert "error" not in table


def test_the_signature_has_the_columns_of_the_table(served: Any, kind: str) -> None:
    table = served.predict([*TEXTS, None])
    assert served.metadata.signature.outputs.input_names() == list(table.columns)
    assert table.columns[0] == COLUMN[kind]
    assert served.metadata.metadata["problem_type"] == TASKS[kind][0].problem_type


def test_a_row_without_a_text_does_not_fail_the_others(served: Any, kind: str) -> None:
    table = served.predict(["good", None, 5])
    np.testing.assert_allclose(
        scores(table.iloc[[0, 2]], kind), scores(served.predict(["good", "5"]), kind), **CLOSE
    )
    assert [why is None for why in table["error"]] == [True, False, True]
    assert all(value is None for value in table.iloc[1].drop("error"))
    written = StringIO()
    predictions_to_json(table, written)
    rows = json.loads(written.getvalue())["predictions"]
    assert rows == json.loads(json.dumps(table.to_dict("records")))
    assert served.predict([]).empty


def test_a_trials_model_answers_in_the_same_form(
    served: Any, measured: Measured, kind: str, tmp_path: Path
) -> None:
    task, labels = TASKS[kind]
    save_trained(tmp_path, measured.classifier.classifier, task, labels, MAX_LENGTH, {})
    found, expected = TrialModel(tmp_path).predict([*TEXTS, None]), served.predict([*TEXTS, None])
    assert list(found.columns) == list(expected.columns)
    np.testing.assert_allclose(scores(found, kind), scores(expected, kind), **CLOSE)
    if kind != "numbers":
        assert found[COLUMN[kind]].tolist() == expected[COLUMN[kind]].tolist()
    build(tmp_path, "data", pyfunc_flavor, model_id="m-1", run_id="r-1")
    signature = mlflow.models.Model.load(str(tmp_path)).signature
    assert signature.outputs.input_names() == list(expected.columns)
