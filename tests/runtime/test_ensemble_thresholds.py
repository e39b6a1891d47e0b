"""Ensembles of a study of several labels a text: the thresholds are those of what the members say together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hpo.model.saved_ensemble import load_ensemble
from hpo.runtime.ensembling import champion_of_trials, make_ensemble
from hpo.runtime.session import Session
from hpo.spec.ensemble_methods import EnsembleMethod
from hpo.spec.locations import Locations
from hpo.studies.trial_probabilities import kept_probabilities
from hpo.tasks.thresholds import best_thresholds
from tests.runtime.conftest import NAME, FinishedStudy
from tests.tracking.reading import client

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def session(finished_study: FinishedStudy) -> Iterator[Session]:
    with finished_study(data__label="tags", study__metric="f1_macro") as opened:
        yield opened


def test_they_are_tuned_on_the_mean_and_are_no_members_own(session: Session) -> None:
    source, _ = champion_of_trials(session, "vote", size=3)
    assert source.combination is not None
    kept = kept_probabilities(session.study)
    together = source.combination.of([kept[number] for number in source.trials])
    labels = session.prepared.context.data.validation.labels
    found = source.combination.task_facts["thresholds"]
    assert found == list(best_thresholds(together, np.asarray(labels)))
    assert found not in [list(best_thresholds(each, np.asarray(labels))) for each in kept.values()]


@pytest.mark.parametrize("method", ["vote", "bagging"])
def test_what_is_published_answers_by_them(
    session: Session,
    locations: Locations,
    method: EnsembleMethod,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    import mlflow

    make_ensemble(session, method, size=2)
    session.tracker.flush(60)
    version = client(locations.tracking_uri).get_model_version_by_alias(NAME, "ensemble")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", locations.tracking_uri)
    folder = Path(mlflow.artifacts.download_artifacts(version.source, dst_path=str(tmp_path)))
    ensemble = load_ensemble(folder / "model")
    validation = session.prepared.context.data.validation
    together = ensemble.probabilities(validation, "")
    labels = np.asarray(validation.labels)
    best = ensemble.task.tuned(together, labels)
    found, most = (task.metrics(together, labels)["f1_macro"] for task in (ensemble.task, best))
    assert found > most - 0.01  # what is kept of trials is rounded
    texts = list(session.prepared.data.test.texts[:40])
    table = mlflow.pyfunc.load_model(str(folder)).predict(texts)
    assert table["labels"].tolist() == ensemble.classify(texts)[0]
