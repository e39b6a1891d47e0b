"""A served ensemble says what was measured, without hpo, and runs what its members share once."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.exceptions import MlflowException

from hpo.data.preprocessing import Preprocessing
from hpo.model.combination import Combination
from hpo.model.ensemble import EnsembleClassifier
from hpo.model.saved_ensemble import load_ensemble, save_ensemble
from hpo.spec.cleaning import CleaningSection, Keep
from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.regression import REGRESSION
from hpo.tasks.single_label import SINGLE_LABEL, SINGLE_LABEL_SIGMOID
from hpo.tasks.task import Task
from hpo.tracking.model_folder import build, champion_flavor
from hpo.tracking.served_ensemble import ServedEnsemble
from hpo.tracking.serving import _ENSEMBLE_SOURCES
from tests.edited import edited
from tests.model.ensembles import LABELS, ensemble_of, member_of
from tests.model.tiny_gpt2 import tiny
from tests.tracking.ways_in import CLOSE, PROBABILITIES

MAX_LENGTH = 48
TEXTS = [
    *("A dull film, slow and sad.", "good", "", " ", "[1, 2]"),
    *("word " * MAX_LENGTH * 2, "ä漢字 \U0001f600", "I loved every minute of it , truly"),
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[EnsembleClassifier, Path]:
    """An ensemble with every freeze depth, of a model with few usual settings, and its MLflow model."""
    folder = tmp_path_factory.mktemp("published")
    settings = {
        "n_layer": 3,
        "n_positions": 64,
        "activation_function": "gelu",
        "scale_attn_by_inverse_layer_idx": True,
    }
    ensemble = ensemble_of(
        tiny(folder / "base", **settings), (0, 2, 1, 3, 2), max_length=MAX_LENGTH
    )
    return ensemble, publish(folder / "published", ensemble)


def publish(folder: Path, ensemble: EnsembleClassifier) -> Path:
    save_ensemble(folder, ensemble, [{"number": n} for n in range(len(ensemble.members))])
    build(folder, "model", champion_flavor, model_id="m-1", run_id="r-1")
    return folder


@pytest.fixture(scope="module")
def served(published: tuple[EnsembleClassifier, Path]) -> Any:
    return mlflow.pyfunc.load_model(str(published[1]))


def test_it_says_what_was_measured(published: tuple[EnsembleClassifier, Path], served: Any) -> None:
    labels, expected = published[0].classify(TEXTS)
    table = served.predict(TEXTS)
    assert list(table.columns) == ["label", *PROBABILITIES]
    assert list(table["label"]) == labels
    np.testing.assert_allclose(table[PROBABILITIES], expected, rtol=1e-5, atol=1e-6)
    assert served.predict([]).shape == (0, 4)
    assert list(served.predict([None, "good"])["error"]) == ["not a text: null", None]


@pytest.mark.parametrize("depths", [(0, 0), (3, 3), (1,)], ids=str)
def test_it_needs_no_member_of_every_kind(tmp_path: Path, depths: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    rules = (
        Combination.samme([1.5] * len(depths)),
        Combination.stacking(random.normal(size=(3 * len(depths), 3)), random.normal(size=3)),
    )
    model = tiny(tmp_path / "base", n_layer=3)
    for index, rule in enumerate(rules):
        ensemble = ensemble_of(model, depths, rule)
        folder = publish(tmp_path / str(index), ensemble)
        found = mlflow.pyfunc.load_model(str(folder)).predict(TEXTS)[PROBABILITIES]
        np.testing.assert_allclose(found, ensemble.classify(TEXTS)[1], **CLOSE)


@pytest.mark.parametrize("keep", [None, "tail", "head+tail"])
def test_texts_are_cleaned_and_cut_as_in_training(tmp_path: Path, keep: Keep | None) -> None:
    how = Preprocessing(CleaningSection(html=True, lowercase=True), keep)
    unclean = ["A <br /><b>DULL</b> film &amp; so on", "One good, two bad. " * 9]
    model = tiny(tmp_path / "base")
    ensemble = ensemble_of(model, (0, 1), max_length=16, preprocessing=how)
    expected = ensemble.classify(unclean)[1]
    folder = publish(tmp_path / "published", ensemble)
    found = mlflow.pyfunc.load_model(str(folder)).predict(unclean)[PROBABILITIES]
    np.testing.assert_allclose(found, expected, **CLOSE)
    again = load_ensemble(folder / "model")
    assert again.preprocessing == how
    np.testing.assert_allclose(again.classify(unclean)[1], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("tasks", "labels"),
    [
        ((SINGLE_LABEL, SINGLE_LABEL_SIGMOID), ("bad", "good")),
        ((replace(MULTI_LABEL, thresholds=(0.4, 0.5, 0.6)), MULTI_LABEL), LABELS),
        ((replace(REGRESSION, mean=3.0, scale=2.0),) * 2, ("stars",)),
    ],
    ids=["heads", "several labels", "numbers"],
)
def test_every_task_and_head_is_served(
    tmp_path: Path, tasks: tuple[Task, Task], labels: tuple[str, ...]
) -> None:
    model = tiny(tmp_path / "base")
    members = tuple(
        member_of(model, depth, seed=depth, task=task, labels=labels)
        for depth, task in enumerate(tasks)
    )
    facts = {"thresholds": [0.45, 0.55, 0.5]} if tasks[1] is MULTI_LABEL else {}
    ensemble = EnsembleClassifier(members, replace(Combination.mean([1, 2]), task_facts=facts))
    as_sure = ensemble.classify(TEXTS)[0]
    ensemble = ensemble.tempered(1.8)
    assert ensemble.classify(TEXTS)[0] == as_sure
    answers, expected = ensemble.classify(TEXTS)
    folder = publish(tmp_path / "published", ensemble)
    assert load_ensemble(folder / "model").classify(TEXTS)[0] == answers
    table = mlflow.pyfunc.load_model(str(folder)).predict(TEXTS)
    if tasks[0].problem_type == "regression":
        np.testing.assert_allclose(table["prediction"], expected[:, 0], **CLOSE)
    else:
        assert list(table.iloc[:, 0]) == answers
        scores = table[[f"probability_{label}" for label in labels]]
        np.testing.assert_allclose(scores, expected, **CLOSE)
    np.testing.assert_allclose(
        load_ensemble(folder / "model").classify(TEXTS)[1], expected, rtol=1e-5, atol=1e-6
    )


def test_a_batch_passes_each_frozen_block_once(
    published: tuple[EnsembleClassifier, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[int] = []
    run = ServedEnsemble._run

    def counted(self: ServedEnsemble, weights: Any, hidden: Any, first: int, end: int) -> Any:
        if weights is self._base:
            passed.extend(range(first, end))
        return run(self, weights, hidden, first, end)

    monkeypatch.setattr(ServedEnsemble, "_run", counted)
    ServedEnsemble(published[1] / "model").scores(["good", "a dull film"])
    assert passed == [0, 1, 2]


def test_threads_of_a_server_get_their_own_answers(
    published: tuple[EnsembleClassifier, Path], served: Any
) -> None:
    texts = [" ".join("a" * length) for length in range(20)]

    def ask(index: int) -> Any:
        return served.predict([texts[index]])[PROBABILITIES].to_numpy()[0]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(20)))
    np.testing.assert_allclose(found, published[0].classify(texts)[1], **CLOSE)


def test_it_loads_where_hpo_cannot_be_imported(
    published: tuple[EnsembleClassifier, Path], tmp_path: Path
) -> None:
    program = (
        "import sys, json; sys.modules['hpo'] = None\n"
        "import mlflow\n"
        f"table = mlflow.pyfunc.load_model({str(published[1])!r}).predict({TEXTS!r})\n"
        "print(json.dumps(table.drop(columns='label').to_numpy().tolist()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(found, published[0].classify(TEXTS)[1], **CLOSE)


def test_the_copied_code_needs_nothing_of_ours_but_itself(
    published: tuple[EnsembleClassifier, Path],
) -> None:
    copied = sorted((published[1] / "code").glob("*.py"))
    assert [re.sub(r"_\w{16}$", "", path.stem) for path in copied] == sorted(
        source.stem for source in _ENSEMBLE_SOURCES
    )
    imported = set()
    for path in copied:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).partition(".")[0])
    others = imported - sys.stdlib_module_names - {path.stem for path in copied}
    usual = {"mlflow", "numpy", "pandas", "safetensors", "torch", "transformers"}
    # The checks of its document stand on what MLflow itself needs.
    assert others == {*usual, "annotated_types", "pydantic"}


def test_mlflow_shows_what_goes_in_and_out(served: Any) -> None:
    assert served.metadata.signature.outputs.input_names() == ["label", *PROBABILITIES, "error"]
    assert served.metadata.metadata["max_length"] == MAX_LENGTH
    assert served.metadata.metadata["label_names"] == list(LABELS)
    assert set(served.metadata.flavors) == {"python_function"}


def test_a_damaged_member_is_named_before_it_is_used(tmp_path: Path) -> None:
    folder = publish(tmp_path / "folder", ensemble_of(tiny(tmp_path / "base"), (1, 2)))
    path = folder / "model" / "members" / "01" / "trained.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(MlflowException, match=r"members/01/trained\.safetensors"):
        mlflow.pyfunc.load_model(str(folder))


def test_a_document_that_was_edited_is_told_of_where_no_digests_are(tmp_path: Path) -> None:
    folder = publish(tmp_path / "folder", ensemble_of(tiny(tmp_path / "base"), (1, 2)))
    (folder / "digests.json").unlink()
    path = folder / "model" / "ensemble.json"
    whole = path.read_text()
    told = {}
    for edit, content in edited(whole):
        path.write_bytes(content)
        try:
            mlflow.pyfunc.load_model(str(folder))
        except MlflowException as error:
            told[edit] = str(error)
    assert len(told) > 50
    for edit, message in told.items():
        assert "is no ensemble that can be read (" in message, edit
        assert len(message.splitlines()) == 1, edit
