"""What is served is what was measured, through every way in, and no row or request brings it down."""

from __future__ import annotations

import ast
import json
import math
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray
from transformers import pipeline

from hpo.model.saved import save_trained
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.tracking import served_classifier, serving
from hpo.tracking.pyfunc import TrialModel
from hpo.tracking.served_classifier import NoText, text_of
from tests.tracking.measured import (
    LABELS,
    LIKE_CODE,
    MAX_LENGTH,
    TOKENIZERS,
    Measured,
    publish,
)
from tests.tracking.ways_in import (
    CLOSE,
    PROBABILITIES,
    by_auto_model,
    by_mlflow_transformers,
    by_pipeline,
    by_pyfunc,
)


@pytest.fixture(scope="module", params=TOKENIZERS)
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return publish(tmp_path_factory.mktemp("measured"), tokenizer=request.param)


@pytest.fixture(scope="module")
def served(usual: Measured) -> Any:
    return mlflow.pyfunc.load_model(str(usual.folder))


# -- The probabilities of the test score, through each way in


@pytest.mark.parametrize(
    "way", [by_pyfunc, by_mlflow_transformers, by_pipeline, by_auto_model], ids=lambda w: w.__name__
)
def test_every_way_in_gives_what_the_test_score_is_made_of(
    measured: Measured, way: Callable[[Measured, list[str]], NDArray[np.float64]]
) -> None:
    texts = measured.texts()
    np.testing.assert_allclose(way(measured, texts), measured.probabilities(texts), **CLOSE)


def test_a_trials_model_gives_the_same(measured: Measured, tmp_path: Path) -> None:
    save_trained(tmp_path, measured.classifier.classifier, SINGLE_LABEL, LABELS, MAX_LENGTH, {})
    texts = [*measured.texts(), None, 5]
    trial = TrialModel(tmp_path).predict(texts)
    champion = mlflow.pyfunc.load_model(str(measured.folder)).predict(texts)
    assert list(trial.columns) == list(champion.columns)
    pd.testing.assert_frame_equal(
        trial.drop(columns=PROBABILITIES), champion.drop(columns=PROBABILITIES)
    )
    for column in PROBABILITIES:
        np.testing.assert_allclose(
            trial[column].astype(float), champion[column].astype(float), **CLOSE
        )


def test_a_call_that_forgets_to_truncate_fails_and_gives_no_other_answer(usual: Measured) -> None:
    classify = pipeline("text-classification", f"{usual.folder}/model")
    classify(" ".join("a" * MAX_LENGTH))
    with pytest.raises(IndexError):
        classify(" ".join("a" * (MAX_LENGTH + 1)))


def test_the_files_say_how_long_a_text_may_be(usual: Measured) -> None:
    folder = usual.folder / "model"
    assert json.loads((folder / "config.json").read_text())["n_positions"] == MAX_LENGTH
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert settings["model_max_length"] == MAX_LENGTH
    truncation = json.loads((folder / "tokenizer.json").read_text())["truncation"]
    assert truncation["max_length"] == MAX_LENGTH


# -- What may come in


def test_texts_come_as_one_or_a_list_a_series_an_array_or_a_table(
    served: Any, usual: Measured
) -> None:
    texts = ["good", "a dull film", "[1, 2]"]
    expected = usual.probabilities(texts)
    for sent in (
        texts,
        tuple(texts),
        np.array(texts),
        np.array(texts)[:, None],
        [[text] for text in texts],
        [{"id": 7, "text": text} for text in texts],
        pd.Series(texts, name="review", index=[5, 5, 1]),
        pd.Series(texts, dtype=object),
        pd.DataFrame({"review": texts}),
        pd.DataFrame({"label": [1, 2, 3], "text": texts}, index=[3, 3, 3]),
        pd.DataFrame({"text": texts}, dtype="category"),
        {"id": [1, 2, 3], "text": texts},
        {"text": np.array(texts)},
        iter(texts),
    ):
        table = served.predict(sent)
        np.testing.assert_allclose(table[PROBABILITIES], expected, **CLOSE)
        assert list(table.columns) == ["label", *PROBABILITIES]
        assert list(table.index) == [0, 1, 2]
    for sent in ("good", {"text": "good"}, np.array("good"), b"good"):
        np.testing.assert_allclose(served.predict(sent)[PROBABILITIES], expected[:1], **CLOSE)
    assert served.predict([]).shape == (0, 4)
    assert served.predict(pd.DataFrame({"text": []})).shape == (0, 4)


@pytest.mark.parametrize("columns", [["review", "label"], [0, 1], []])
def test_a_table_whose_texts_nobody_can_tell_is_refused_in_one_sentence(
    served: Any, columns: list[Any]
) -> None:
    with pytest.raises(MlflowException, match="none is called `text`") as raised:
        served.predict(pd.DataFrame([["a"] * len(columns)], columns=columns))
    assert raised.value.get_http_status_code() == 400
    assert "stack_trace" not in raised.value.serialize_as_json()


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (5, "5"),
        (1.5, "1.5"),
        (True, "True"),
        (np.float64(0.5), "0.5"),
        (Decimal("1.10"), "1.10"),
        (b"\xc3\xbcber", "über"),
        ("\ud83d\ude00", "\U0001f600"),
        ("half \ud83d", "half \ufffd"),
        ({"text": 3}, "3"),
        (["a"], "a"),
        ("", ""),
    ],
)
def test_what_can_be_read_as_a_text_is(row: object, text: str) -> None:
    assert text_of(row) == text


@pytest.mark.parametrize(
    "row",
    [
        *(None, math.nan, pd.NA, pd.NaT, b"\xff", date(2026, 1, 1), object(), Decimal("sNaN")),
        *([], ["a", "b"], np.array(["a", "b"]), {"a": 1}, {"text": ["a", "b"]}),
        pytest.param(10**5000, id="more digits than Python writes"),
    ],
)
def test_what_is_no_text_is_told(row: object) -> None:
    found = text_of(row)
    assert isinstance(found, NoText)
    assert found.why.startswith("not a text: ")


PLAIN = (
    st.none()
    | st.text(st.characters(exclude_categories=()), max_size=8)
    | st.sampled_from(LIKE_CODE)
    | st.floats()
    | st.integers()
    | st.booleans()
    | st.binary(max_size=4)
    | st.decimals()
    | st.dates()
    | st.builds(object)
)
ROWS = st.recursive(
    PLAIN,
    lambda row: (
        st.lists(row, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "a"]), row, max_size=2)
        | st.tuples(row)
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS, max_size=6))
def test_no_row_fails_the_others_and_the_order_is_kept(
    served: Any, usual: Measured, rows: list[Any]
) -> None:
    table = served.predict(rows)
    assert len(table) == len(rows)
    texts = [text for row in rows if isinstance(text := text_of(row), str)]
    is_text = [isinstance(text_of(row), str) for row in rows]
    np.testing.assert_allclose(
        table.loc[is_text, PROBABILITIES].to_numpy(float).reshape(-1, 3),
        usual.probabilities(texts),
        **CLOSE,
    )
    assert set(table.loc[is_text, "label"]) <= set(LABELS)
    if not all(is_text):
        odd = table[~np.array(is_text)]
        assert all(value is None for value in odd[["label", *PROBABILITIES]].to_numpy().ravel())
        assert all(why.startswith("not a text: ") for why in odd["error"])
        assert all(why is None for why in table.loc[is_text, "error"])
    json.dumps(table.to_dict("records"), allow_nan=False)


def test_threads_of_a_server_get_their_own_answers(served: Any, usual: Measured) -> None:
    texts = [" ".join("a" * length) for length in range(40)]
    expected = usual.probabilities(texts)

    def ask(index: int) -> Any:
        return served.predict([texts[index]])[PROBABILITIES].to_numpy()[0]

    with ThreadPoolExecutor(8) as pool:
        np.testing.assert_allclose(list(pool.map(ask, range(40))), expected, **CLOSE)


def test_many_texts_and_long_ones_are_read_a_part_at_a_time(
    usual: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [" ".join("a" * (length % 50)) for length in range(400)]
    monkeypatch.setattr(served_classifier, "_CELLS_AT_ONCE", 100)
    monkeypatch.setattr(served_classifier, "_CHARACTERS_AT_ONCE", 200)
    monkeypatch.setattr(served_classifier, "_TEXTS_AT_ONCE", 7)
    model = served_classifier.ServedClassifier(usual.folder / "model")
    np.testing.assert_allclose(model.scores(texts), usual.probabilities(texts), **CLOSE)
    parts = list(served_classifier._parts(texts))
    assert [text for part in parts for text in part] == texts
    assert all(len(part) == 1 or sum(map(len, part)) <= 200 for part in parts)
    assert max(map(len, parts)) == 7


def test_a_fault_of_the_model_is_told_without_its_stack_trace(
    usual: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = served_classifier.ServedClassifier(usual.folder / "model")
    monkeypatch.setattr(model, "_forward", lambda runs: 1 / 0)
    with pytest.raises(MlflowException, match="could not be classified") as raised:
        model.predict(["a"])
    assert "ZeroDivision" not in raised.value.serialize_as_json()
    assert raised.value.get_http_status_code() == 500


# -- The model's folder


def test_mlflow_shows_what_goes_in_and_out(served: Any) -> None:
    assert served.metadata.signature.outputs.input_names() == ["label", *PROBABILITIES, "error"]
    assert served.metadata.metadata["max_length"] == MAX_LENGTH
    assert served.metadata.metadata["label_names"] == list(LABELS)
    assert len(served.predict(served.input_example)) == len(served.input_example) == 2
    assert set(served.metadata.flavors) == {"transformers", "python_function"}


def test_the_served_code_needs_nothing_of_ours() -> None:
    tree = ast.parse(Path(served_classifier.__file__).read_bytes())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(str(node.module).partition(".")[0])
    others = {name for name in found if name not in sys.stdlib_module_names}
    assert others == {"mlflow", "numpy", "pandas", "torch", "transformers"}


def test_two_models_in_one_process_keep_their_own_code(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(served_classifier.__file__).read_text()
    changed = tmp_path / "changed.py"
    changed.write_text(source.replace("not a text: null", "nothing"))
    monkeypatch.setattr(serving, "_SOURCE", changed)
    monkeypatch.setattr(serving, "_ROOT", tmp_path / "hpo")
    other = mlflow.pyfunc.load_model(str(publish(tmp_path).folder))
    assert list(other.predict([None])["error"]) == ["nothing"]
    assert list(served.predict([None])["error"]) == ["not a text: null"]


def test_a_damaged_file_is_named_before_it_is_used(tmp_path: Path) -> None:
    folder = publish(tmp_path).folder
    names = list(json.loads((folder / "digests.json").read_text()))
    assert {"model/model.safetensors", "model/tokenizer.json", "input_example.json"} <= set(names)
    for name in (name for name in names if not name.startswith("code/")):
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(MlflowException, match=re.escape(name)):
            mlflow.pyfunc.load_model(str(folder))
        path.unlink()
        with pytest.raises(MlflowException, match=re.escape(name)):
            mlflow.pyfunc.load_model(str(folder))
        path.write_bytes(whole)
    mlflow.pyfunc.load_model(str(folder))
    (folder / "digests.json").write_text("[")
    with pytest.raises(MlflowException, match="is damaged"):
        mlflow.pyfunc.load_model(str(folder))


# -- Over HTTP, where hpo cannot be imported


# -- What is written about it
