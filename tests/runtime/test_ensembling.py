"""Ensembles of a small real study: by every method, tested once, registered, gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sqlalchemy import text

from hpo.errors import ModelError, OptionError
from hpo.results.ensembles.known import made_ensembles, times_tested
from hpo.results.ensembles.made import Ensemble
from hpo.results.ensembles.publishing import find_ensemble
from hpo.results.leaderboard import leaderboard
from hpo.runtime.ensembling import champion_of_trials, make_ensemble
from hpo.runtime.finish import crown
from hpo.runtime.kept_models import study_folder
from hpo.runtime.member_models import MemberModels, soup, validation_answers
from hpo.runtime.session import Session
from hpo.spec.ensemble_methods import USUAL_SIZES, EnsembleMethod
from hpo.spec.locations import Locations
from hpo.studies.trial_probabilities import kept_probabilities
from tests.runtime.conftest import NAME, FinishedStudy
from tests.tracking.reading import client

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def session(finished_study: FinishedStudy) -> Iterator[Session]:
    """Of a study of three trials, of which two freeze something; whoever finished it made a vote of two."""
    with finished_study(ensemble__method="vote", ensemble__size=2) as opened:
        yield opened


def registered(session: Session, locations: Locations, alias: str = "ensemble") -> Any:
    session.tracker.flush(60)
    return client(locations.tracking_uri).get_model_version_by_alias(NAME, alias)


def test_every_trial_keeps_what_it_answered(session: Session) -> None:
    entries = session.study.read(leaderboard)
    kept = kept_probabilities(session.study)
    labels = session.prepared.context.data.validation.labels
    assert sorted(kept) == sorted(entry.number for entry in entries)
    for entry in entries:
        scores = session.prepared.context.task.metrics(kept[entry.number], labels)
        assert scores["accuracy"] == pytest.approx(entry.value, abs=2 / len(labels))


def test_the_study_file_has_one_made(session: Session, locations: Locations) -> None:
    vote = made_ensembles(session.study)["vote"]
    best = [entry.number for entry in session.study.read(leaderboard)]
    assert (len(vote.members), vote.weights) == (2, (0.5, 0.5))
    assert set(vote.members) <= set(best)
    version = registered(session, locations)
    assert version.tags["hpo.alias"] == "ensemble"
    assert "ensemble by vote" in version.description
    assert registered(session, locations, "champion").version != version.version


@pytest.mark.parametrize("method", list(USUAL_SIZES))
def test_each_method_makes_one_that_is_tested_once(
    session: Session, method: EnsembleMethod
) -> None:
    before, lines = times_tested(session.study), list[str]()
    made = make_ensemble(session, method, size=2, tell=lines.append)
    assert 1 <= len(made.members) <= 2
    assert made.comparison.texts == len(session.prepared.context.data.validation)
    low, high = made.comparison.interval
    assert low <= high
    assert made.test.texts == len(session.prepared.context.data.test)
    assert times_tested(session.study) <= before + 1
    looks = times_tested(session.study)
    assert make_ensemble(session, method, size=2) == made
    assert times_tested(session.study) == looks
    assert made_ensembles(session.study)[method] == made
    assert Ensemble.from_json(made.as_json()) == made
    assert any("gain" in line for line in made.in_words("accuracy"))


def test_a_soup_is_a_plain_model_of_transformers(
    session: Session, locations: Locations, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    from transformers import AutoModelForSequenceClassification

    made = make_ensemble(session, "uniform_soup", size=3)
    assert len(made.members) == 3
    version = registered(session, locations)
    # Set by a call, it could not be taken back for the tests that follow.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", locations.tracking_uri)
    folder = Path(mlflow.artifacts.download_artifacts(version.source))
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model")
    assert model.config.num_labels == 2


def test_a_soup_has_the_mean_of_all_weights(session: Session, tmp_path: Path) -> None:
    entries = {entry.number: entry for entry in session.study.read(leaderboard)}
    models = MemberModels(session, entries, tmp_path)
    parts = [models.model(number) for number in entries]
    mixed = dict(soup(parts).classifier.full_weights())
    for name, weight in mixed.items():
        each = [dict(part.classifier.full_weights())[name] for part in parts]
        assert torch.allclose(weight, torch.stack(each).mean(0), atol=1e-6), name
    for part in parts:
        alone = validation_answers(session, soup([part]))
        np.testing.assert_allclose(alone, validation_answers(session, part), atol=1e-6)


def test_training_of_members_goes_on_with_those_that_are_finished(session: Session) -> None:
    stopped = list[str]()
    work = replace(session.work, should_stop=lambda: bool(stopped))
    with pytest.raises(KeyboardInterrupt):
        make_ensemble(replace(session, work=work), "bagging", size=4, tell=_after(2, stopped))
    folder = study_folder(work.state, session.study.name, session.study.uid) / "ensembles"
    # Two are of the test before; the third was finished when it stopped.
    finished = {path: path.stat().st_mtime_ns for path in folder.glob("bagging-*/member-*/*.json")}
    assert len({path.parent for path in finished}) == 3
    made = make_ensemble(session, "bagging", size=4)
    assert made.members == (0, 1, 2, 3)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


@pytest.mark.parametrize("method", ["vote", "bagging"])
def test_one_that_mlflow_has_lost_is_registered_again_and_not_tested_again(
    session: Session, locations: Locations, method: EnsembleMethod
) -> None:
    made = make_ensemble(session, method, size=3)
    looks, lines = times_tested(session.study), list[str]()
    session.tracker.flush(60)
    version = registered(session, locations)
    assert version.tags["hpo.champion_source"] == made.key
    client(locations.tracking_uri).delete_model_version(NAME, version.version)
    assert make_ensemble(session, method, size=3, tell=lines.append) == made
    assert lines[0].startswith("it is registered again, for ")
    again = registered(session, locations)
    assert again.version != version.version
    assert again.tags["hpo.champion_source"] == made.key
    assert find_ensemble(made, session.tracker).uri == made.uri
    assert times_tested(session.study) == looks
    assert not any(line.startswith("member ") for line in lines)  # those of bagging are kept


def _after(count: int, stopped: list[str]) -> Any:
    """Notes lines in `stopped` from the given one on."""
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        if len(lines) >= count:
            stopped.append(line)

    return tell


def test_one_may_become_the_champion(session: Session, locations: Locations) -> None:
    source, comparison = champion_of_trials(session, "greedy", size=4)
    entries = session.study.read(leaderboard)
    champion = crown(session, entries, source, comparison.ensemble)
    assert champion.source == source
    version = registered(session, locations, "champion")
    assert version.tags["hpo.champion_source"] == source.key
    with pytest.raises(OptionError, match="--promote"):
        champion_of_trials(session, "soup")


def test_trials_that_keep_no_answers_are_told_of(session: Session) -> None:
    with session.study.storage.write() as connection:
        connection.execute(text("DELETE FROM hpo_probabilities"))
    for number in session.models.numbers():
        session.models.drop_weights(number)
    with pytest.raises(ModelError, match="no trial of which is kept what it answered"):
        champion_of_trials(session, "vote")
