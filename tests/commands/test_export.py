"""`hpo.export`: a folder that transformers or onnxruntime reads alone, with the answers that were measured."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.data.preprocessing import AS_THEY_ARE, Preprocessing
from hpo.digests import damage_in
from hpo.errors import ModelError
from hpo.model import onnx_graph
from hpo.results.exports import export, sample_texts
from hpo.spec.cleaning import CleaningSection
from hpo.tasks.multi_label import MULTI_LABEL
from hpo.tasks.regression import REGRESSION
from hpo.tasks.single_label import SINGLE_LABEL, SINGLE_LABEL_SIGMOID
from hpo.tasks.task import Task
from hpo.tracking.loading import load_folder
from tests.commands.bad_inputs.case import Case
from tests.commands.shell import Shell, refusing
from tests.commands.told import told_of
from tests.model.ensembles import ensemble_of
from tests.model.tiny_gpt2 import tiny
from tests.tracking.measured import LABELS, TOKENIZERS, Measured, publish
from tests.tracking.tiny import save_tiny_classifier
from tests.tracking.ways_in import CLOSE

_CLEAN = CleaningSection(html=True, lowercase=True, whitespace=True, urls="mask")
_TOPICS = ("world", "sports", "science")
_THRESHOLDS = {"thresholds": [0.1, 0.9, 0.45]}
_KINDS: dict[str, tuple[Task, tuple[str, ...], Preprocessing]] = {
    "softmax": (SINGLE_LABEL, LABELS, AS_THEY_ARE),
    "sigmoid": (SINGLE_LABEL_SIGMOID, ("bad", "good"), Preprocessing(_CLEAN)),
    "labels": (MULTI_LABEL, _TOPICS, Preprocessing(_CLEAN, "tail")),
    "thresholds": (MULTI_LABEL.with_facts(_THRESHOLDS), _TOPICS, Preprocessing(keep="head+tail")),
    "numbers": (
        REGRESSION.with_facts({"mean": 3.5, "scale": 1.2}),
        ("stars",),
        Preprocessing(_CLEAN, "head+tail"),
    ),
}
needs_onnx = pytest.mark.skipif(
    bool(onnx_graph.missing_packages()), reason="the extra onnx is not installed"
)
_EACH_FORM = ["transformers", pytest.param("onnx", marks=[needs_onnx, pytest.mark.slow])]


def measured_of(folder: Path, kind: str, tokenizer: str = TOKENIZERS[0]) -> Measured:
    task, labels, how = _KINDS[kind]
    return publish(
        folder, tokenizer=tokenizer, max_length=16, task=task, labels=labels, preprocessing=how
    )


def by_card(folder: Path, texts: list[str]) -> dict[str, Any]:
    """What the code of the card finds, run on other texts."""
    (code,) = re.findall(
        r"^```python\n(.*?)^```", (folder / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    code = code.replace('folder = "."', f"folder = {str(folder)!r}")
    found: dict[str, Any] = {}
    exec(re.sub(r"^texts = \[\"A joy.*$", f"texts = {texts!r}", code, flags=re.MULTILINE), found)
    return found


@pytest.mark.parametrize("form", _EACH_FORM)
@pytest.mark.parametrize("kind", _KINDS)
def test_the_card_s_code_gives_what_was_measured(tmp_path: Path, kind: str, form: Any) -> None:
    measured = measured_of(tmp_path, kind)
    texts = [*sample_texts(16), "unseen"]
    answers, scores = measured.classifier.classify(texts)
    model = load_folder(measured.folder, "it")
    assert export(model, "it", tmp_path / "out", form, replace=False) < 1e-5
    found = by_card(tmp_path / "out", texts)
    if kind == "numbers":
        np.testing.assert_allclose(found["answers"], answers, **CLOSE)
    else:
        np.testing.assert_allclose(found["probabilities"], scores, **CLOSE)
        assert found["answers"] == answers
    assert damage_in(tmp_path / "out", needed=["README.md", "config.json"]) is None
    weights = {path.name for path in (tmp_path / "out").iterdir()} & {
        "model.safetensors",
        "model.onnx",
    }
    assert weights == {"model.safetensors" if form == "transformers" else "model.onnx"}


@pytest.mark.parametrize("tokenizer", TOKENIZERS[1:])
def test_any_tokenizer_goes_with_the_model(tmp_path: Path, tokenizer: str) -> None:
    measured = measured_of(tmp_path, "softmax", tokenizer)
    export(measured.classifier, "it", tmp_path / "out", "transformers", replace=False)
    texts = sample_texts(16)
    expected = measured.probabilities(texts)
    np.testing.assert_allclose(by_card(tmp_path / "out", texts)["probabilities"], expected, **CLOSE)
    again = load_folder(tmp_path / "out", "it")
    np.testing.assert_allclose(again.classify(texts)[1], expected, **CLOSE)


def test_an_export_is_exported_again_alike(tmp_path: Path) -> None:
    measured = measured_of(tmp_path, "sigmoid")
    export(measured.classifier, "it", tmp_path / "once", "transformers", replace=False)
    once = load_folder(tmp_path / "once", "it")
    export(once, "it", tmp_path / "twice", "transformers", replace=False)
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()


def test_an_ensemble_is_refused(tmp_path: Path) -> None:
    ensemble = ensemble_of(tiny(tmp_path / "base", n_layer=2), (1, 0))
    with pytest.raises(ModelError, match=r"found an ensemble.*mlflow models serve"):
        export(ensemble, "it", tmp_path / "out", "transformers", replace=False)
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_where_the_answers_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = measured_of(tmp_path, "softmax")
    (tmp_path / "out").mkdir()
    before = sorted(tmp_path.rglob("*"))
    plain = SINGLE_LABEL.plain_head
    monkeypatch.setattr(
        type(SINGLE_LABEL), "plain_head", lambda _, head, bias: plain(head.flip(0), bias)
    )
    with pytest.raises(ModelError, match="found other answers as transformers than as measured"):
        export(measured.classifier, "it", tmp_path / "out", "transformers", replace=True)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_classifier(folder)
    return folder


@pytest.mark.slow
def test_an_earlier_export_is_replaced_and_nothing_else(shell: Shell, model: Path) -> None:
    line = ["export", f"--model={model}", "out"]
    said = shell.hpo(*line).done()
    assert said.out == ""
    assert said.err.startswith("out: transformers, ")
    assert len(said.err.splitlines()) == 1
    first = shell.contents()
    says = "DIR: found out, which is not empty; expected a new or an empty folder. …"
    told_of(Case("not empty", f"--model {model} out", says, command="export"), shell)
    shell.hpo(*line, "--overwrite").done()
    assert shell.contents() == first
    labelled = shell.hpo("predict", "--model=out", "A joy").done().out
    assert labelled == shell.hpo("predict", f"--model={model}", "A joy").done().out
    shell.write("out/notes.txt", "mine")
    says = "--overwrite: found out, which holds notes.txt; expected an earlier export alone, …"
    told_of(Case("notes", f"--model {model} --overwrite out", says, command="export"), shell)


@pytest.mark.slow
def test_a_folder_without_weights_is_told(shell: Shell, model: Path) -> None:
    shutil.copytree(model, shell.folder / "bare")
    (shell.folder / "bare" / "model.safetensors").unlink()
    told_of(Case("bare", "--model bare out", "model bare: found …", command="export"), shell)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--model gone out", "gone: found no such folder; expected models:/NAME@ALIAS, …"),
        ("--model in.csv out", "in.csv: found a file; expected models:/NAME@ALIAS, …"),
        ("--model kept in.csv", "DIR in.csv: found a file; expected a new or an empty folder. …"),
        ("--model kept no/out", "DIR no/out: found no folder …"),
        ("--model kept kept", "DIR kept: found the model itself, or a folder around it; …"),
        ("--model kept . --overwrite", "DIR .: found the model itself, or a folder around it; …"),
        ("--model kept other", "DIR: found other, which is not empty; …"),
        ("--model kept other --overwrite", "--overwrite: found other, which holds trial.json; …"),
        ("--model kept out --format torch", "--format: found 'torch'; expected transformers or …"),
        ("out", "hpo.export: found the following arguments are required: --model; …"),
    ],
)  # fmt: skip
def test_bad_input_is_told_before_anything_heavy_is_imported(
    shell: Shell, line: str, says: str, tmp_path: Path
) -> None:
    files = {
        "in.csv": "text\n",
        "kept": None,
        "other/trial.json": "{}",
        "other/digests.json": '{"trial.json": "0"}',
    }
    case = Case(line, line, says, files, command="export")
    root = Path(__file__).resolve().parents[2]
    told_of(case, shell, PYTHONPATH=f"{refusing(tmp_path / 'light')}:{root}")


@pytest.mark.slow
def test_a_folder_that_is_no_model_is_told_and_nothing_written(shell: Shell) -> None:
    says = "kept: found no file of a model; expected models:/NAME@ALIAS, …"
    told_of(Case("no model", "--model kept out", says, {"kept": None}, command="export"), shell)
