from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hpo.errors import ModelError, TrackingError
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.tracking import StudyTracker, registered_name
from hpo.tracking.answers import RetryableError
from hpo.tracking.loading import load_model
from hpo.tracking.pyfunc import TrialModel
from tests.tracking.reading import client, run_named
from tests.tracking.tiny import save_tiny_classifier

TEXTS = ["a fine film", "dull", "über"]


@pytest.fixture(params=["local", pytest.param("server", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "local":
        uri = str(request.getfixturevalue("local_store"))
    else:
        uri = str(request.getfixturevalue("mlflow_server").uri)
    # A user's own MLflow calls follow the environment; ours must not.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    return uri


@pytest.fixture
def artifacts(store: str, request: pytest.FixtureRequest) -> Path:
    """The folder under which the store keeps the files of models."""
    if store.startswith("http"):
        return Path(request.getfixturevalue("mlflow_server").folder)
    return Path(store.removeprefix("sqlite:///")).parent / "mlruns"


@pytest.fixture
def tracker(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with StudyTracker.open(
        store,
        request.node.name,
        tmp_path / ".hpo",
        study_uid="u",
        study_file="",
        environment={},
    ) as opened:
        yield opened


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "trained.safetensors").write_bytes(b"weights")
    (folder / "trial.json").write_text('{"bias": 0.25}')
    return folder


class _Trained:
    """Stands for what `load_trained` gives: every text is as good as it is long."""

    label_names = ("bad", "good")
    task = SINGLE_LABEL

    def __init__(self, folder: Path) -> None:
        assert (folder / "trained.safetensors").read_bytes() == b"weights"

    def classify(self, texts: Sequence[str]) -> tuple[list[str], Any]:
        good = np.array([min(len(text), 10) / 10 for text in texts])
        return ["good" if p > 0.5 else "bad" for p in good], np.stack([1 - good, good], axis=1)


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("hpo.model.saved")
    module.load_trained = _Trained  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hpo.model.saved", module)


def models_of(store: str, study: str) -> list[Any]:
    mlflow = client(store)
    experiment = mlflow.get_experiment_by_name(study)
    return list(mlflow.search_logged_models([experiment.experiment_id]))


def test_a_trials_model_loads_with_pyfunc_from_its_run(
    store: str,
    tracker: StudyTracker,
    trained: Path,
    loader: None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow

    trial = tracker.start_trial(7, 2, {})
    trial.log_model(trained)
    trial.finish("COMPLETE")
    assert tracker.flush(60) == 0
    [model] = models_of(store, request.node.name)
    run = run_named(store, request.node.name, "trial-0007")
    assert (model.name, model.status, model.source_run_id) == (
        "trial-0007",
        "READY",
        run.info.run_id,
    )
    assert model.tags["optuna.trial_number"] == "7"
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    loaded = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
    table = loaded.predict(TEXTS)
    assert list(table.columns) == ["label", "probability_bad", "probability_good"]
    assert list(table["label"]) == ["good", "bad", "bad"]
    files = {
        path.name for path in Path(mlflow.artifacts.download_artifacts(model.model_uri)).iterdir()
    }
    assert {"MLmodel", "data", "requirements.txt", "conda.yaml", "python_env.yaml"} <= files
    assert not [name for name in files if name.endswith(".pkl")]


def test_texts_come_as_a_list_a_series_or_a_frame(trained: Path, loader: None) -> None:
    import pandas as pd

    model = TrialModel(trained)
    frame = pd.DataFrame({"id": [1, 2, 3], "text": TEXTS})
    for texts in (TEXTS, frame, frame["text"], frame[["text"]]):
        assert list(model.predict(texts)["label"]) == ["good", "bad", "bad"]
    assert list(model.predict("a fine film")["label"]) == ["good"]


def test_a_dropped_model_is_gone_with_its_files(
    store: str,
    tracker: StudyTracker,
    trained: Path,
    artifacts: Path,
    request: pytest.FixtureRequest,
) -> None:
    for number in range(3):
        trial = tracker.start_trial(number, 1, {})
        trial.log_model(trained)
        trial.finish("COMPLETE")
    tracker.drop_model(0)
    tracker.drop_model(0)
    tracker.drop_model(99)
    assert tracker.flush(60) == 0
    assert tracker._outbox.rejected() == []
    kept = models_of(store, request.node.name)
    assert {model.name for model in kept} == {"trial-0001", "trial-0002"}
    mlflow = client(store)
    assert all(mlflow.list_logged_model_artifacts(model.model_id) for model in kept)
    gone = run_named(store, request.node.name, "trial-0000").outputs.model_outputs[0].model_id
    with pytest.raises(Exception, match="not found"):
        mlflow.get_logged_model(gone)
    assert [file for file in artifacts.rglob("*") if file.is_file() and gone in file.parts] == []


def test_a_champion_needs_its_tokenizer(tracker: StudyTracker, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TrackingError, match=r"no tokenizer_config.json"):
        tracker.publish_champion(tmp_path, "", {}, 0)


@pytest.mark.parametrize(
    ("study", "name"),
    [
        ("imdb-gpt2", "imdb-gpt2"),
        ('it\'s 50%: "a"', "it_s 50_ _a_~17da7fda"),
        ("...", "study~ab5df625"),
    ],
)
def test_the_studys_name_is_made_fit_for_the_registry(study: str, name: str) -> None:
    assert registered_name(study) == name


@pytest.mark.slow
def test_the_champion_loads_with_mlflow_and_with_transformers_alone(
    store: str,
    tracker: StudyTracker,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    folder = tmp_path / "champion"
    save_tiny_classifier(folder)
    expected = pipeline("text-classification", model=str(folder))(TEXTS)
    for version, value in ((1, 0.8), (2, 0.9)):
        tracker.publish_champion(folder, f"# Champion {version}", {"test/accuracy": value}, version)
    assert tracker.flush(60) == 0
    assert tracker._outbox.rejected() == []

    name = registered_name(request.node.name)
    mlflow_client = client(store)
    found = mlflow_client.get_model_version_by_alias(name, "champion")
    assert (str(found.version), found.description) == ("2", "# Champion 2")
    assert mlflow_client.get_registered_model(name).description == "# Champion 2"
    assert found.tags["optuna.trial_number"] == "2"
    logged = {m.metrics[0].value for m in models_of(store, request.node.name)}
    assert logged == {0.8, 0.9}

    uri = f"models:/{name}@champion"
    for place in (uri, f"models:/{name}/2"):
        found_labels, _ = load_model(place, store).classify(TEXTS)
        assert found_labels == [answer["label"] for answer in expected]
    known = f"expected one of {uri}, models:/{name}/2, models:/{name}/1. Did you mean {uri}?"
    for wrong in (f"models:/{name}", f"models:/{name}/7", f"models:/{name}@champon"):
        with pytest.raises(ModelError, match=re.escape(known)):
            load_model(wrong, store)
    for wrong in (f"models:/{name}x/1", name, f"{name}x"):
        with pytest.raises(ModelError, match=re.escape(f"Did you mean {uri}?")):
            load_model(wrong, store)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    answers = mlflow.transformers.load_model(uri)(TEXTS)
    assert [a["label"] for a in answers] == [a["label"] for a in expected]
    assert [a["score"] for a in answers] == pytest.approx([a["score"] for a in expected])
    table = mlflow.pyfunc.load_model(uri).predict(TEXTS)
    assert list(table["label"]) == [answer["label"] for answer in expected]
    downloaded = Path(mlflow.artifacts.download_artifacts(uri)) / "model"
    model = AutoModelForSequenceClassification.from_pretrained(downloaded)
    tokenizer = AutoTokenizer.from_pretrained(downloaded)
    again = pipeline("text-classification", model=model, tokenizer=tokenizer)(TEXTS)
    assert [a["label"] for a in again] == [a["label"] for a in expected]
    assert (downloaded / "README.md").read_text() == "# Champion 2"


@pytest.mark.slow
@pytest.mark.faults
def test_a_champion_cut_short_at_any_request_is_registered_once(
    store: str,
    tracker: StudyTracker,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hpo.tracking.drain._LONGEST_PAUSE_IN_FLUSH_SECONDS", 0.05)
    folder = tmp_path / "champion"
    save_tiny_classifier(folder)
    gateway = tracker._drainer._delivery._channel.gateway
    assert tracker.flush(60) == 0
    real = gateway.client

    class CutShort:
        """Every kind of call succeeds at the server and is answered by an outage, the first time."""

        def __init__(self) -> None:
            self.seen: set[str] = set()

        def __getattr__(self, name: str) -> Any:
            def call(*args: Any, **named: Any) -> Any:
                answer = getattr(real, name)(*args, **named)
                if name not in self.seen:
                    self.seen.add(name)
                    raise RetryableError(f"{name} was cut short")
                return answer

            return call

    cut_short = CutShort()
    gateway._client = cut_short
    tracker.publish_champion(folder, "# Card", {"test/accuracy": 0.9}, 3)
    assert tracker.flush(60) == 0
    gateway._client = real
    assert {"create_logged_model", "create_model_version", "log_outputs"} <= cut_short.seen
    name = registered_name(request.node.name)
    assert len(models_of(store, request.node.name)) == 1
    assert len(client(store).search_model_versions(f"name = '{name}'")) == 1
    assert client(store).get_model_version_by_alias(name, "champion").description == "# Card"
