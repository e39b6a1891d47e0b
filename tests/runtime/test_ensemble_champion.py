"""An ensemble as a study's champion: registered, served without hpo, kept, and published again when it is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo.model.combination import Combination
from hpo.model.ensemble import EnsembleClassifier
from hpo.results.champion_model import load_champion
from hpo.results.champion_source import ChampionSource
from hpo.results.leaderboard import Entry, leaderboard
from hpo.runtime.announcement import announce_champion
from hpo.runtime.finish import crown, finish_study, known_champion, tidy
from hpo.runtime.session import Session
from hpo.runtime.trained_part import trained_parts
from hpo.spec.locations import Locations
from tests.runtime.conftest import NAME, FinishedStudy
from tests.tracking.reading import client

pytestmark = pytest.mark.slow

TEXTS = ["An honest, moving film.", "Two hours that I want back.", "", "so-so " * 300]
ESTIMATE = 0.4321


@pytest.fixture(scope="module")
def session(finished_study: FinishedStudy) -> Iterator[Session]:
    """Of a study of three trials, of other freeze depths, with its best trial as the champion."""
    with finished_study() as opened:
        yield opened


def ensemble_source(entries: list[Entry]) -> ChampionSource:
    trials = tuple(entry.number for entry in entries)
    return ChampionSource(trials, "ensemble", Combination.mean([3.0, 2.0, 1.0]), "greedy selection")


@pytest.fixture(scope="module")
def crowned(session: Session) -> ChampionSource:
    """What the champion is made of, after somebody had an ensemble crowned."""
    entries = session.study.read(leaderboard)
    assert len(entries) == 3
    source = ensemble_source(entries)
    champion = crown(session, entries, source, ESTIMATE)
    assert (champion.source, champion.value, champion.times_tested) == (source, ESTIMATE, 2)
    assert announce_champion(session, champion).uri == f"models:/{NAME}@champion"
    return source


def loaded(session: Session, source: ChampionSource, folder: Path) -> EnsembleClassifier:
    entries, model = session.study.read(leaderboard), session.prepared.context.model
    found = load_champion(source, trained_parts(session, source, entries, folder), model)
    assert isinstance(found, EnsembleClassifier)
    return found


def newest_version(locations: Locations) -> Any:
    return client(locations.tracking_uri).get_model_version_by_alias(NAME, "champion")


def test_it_is_served_without_hpo_as_it_was_measured(
    session: Session, crowned: ChampionSource, locations: Locations, tmp_path: Path
) -> None:
    program = (
        "import sys, json; sys.modules['hpo'] = None\n"
        "import mlflow\n"
        f"mlflow.set_tracking_uri({locations.tracking_uri!r})\n"
        f"table = mlflow.pyfunc.load_model('models:/{NAME}@champion').predict({TEXTS!r})\n"
        "print(json.dumps(table.drop(columns='label').to_numpy().tolist()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ensemble = loaded(session, crowned, tmp_path)
    champion = known_champion(session.study)
    assert champion is not None
    expected = ensemble.tempered(champion.test.temperature).classify(TEXTS)[1]
    found = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    alone = [member.classify(TEXTS)[1] for member in ensemble.members]
    together = np.average(alone, axis=0, weights=[3, 2, 1])
    np.testing.assert_allclose(ensemble.classify(TEXTS)[1], together, rtol=1e-5)


def test_its_card_names_its_members_and_how_good_it_is_thought(
    crowned: ChampionSource, locations: Locations
) -> None:
    card = newest_version(locations).description
    assert "An ensemble of 3, by greedy selection: it answers by the weighted mean" in card
    assert f"{ESTIMATE:.4f}" in card
    assert f"| 1&emsp; | {crowned.lead}&emsp; | 3 |" in card
    assert "mlflow.pyfunc.load_model" in card
    assert "pipeline(" not in card


def test_it_stays_the_champion_and_its_test_is_not_taken_again(
    session: Session, crowned: ChampionSource
) -> None:
    champion = finish_study(session)
    assert champion is not None
    assert (champion.source, champion.times_tested) == (crowned, 2)
    tidy(session)
    assert known_champion(session.study) == champion


def test_one_that_mlflow_has_lost_is_published_again(
    session: Session, crowned: ChampionSource, locations: Locations, tmp_path: Path
) -> None:
    version = newest_version(locations)
    mlflow = client(locations.tracking_uri)
    mlflow.delete_model_version(NAME, version.version)
    champion = known_champion(session.study)
    assert champion is not None
    # The trial that leads it is still registered, and is not taken for it.
    assert len(mlflow.search_model_versions(f"name = '{NAME}'")) == 1
    seen = announce_champion(session, champion)
    assert seen.uri == f"models:/{NAME}@champion"
    again = newest_version(locations)
    assert again.version != version.version
    assert again.tags["hpo.champion_source"] == crowned.key
