"""The champion of a small real study, and an ensemble of it, have the temperature that suits validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo.results.calibration import temperature_for
from hpo.results.ensembles.known import made_ensembles
from hpo.results.hard_texts import beginning
from hpo.results.leaderboard import leaderboard
from hpo.results.presentation import trial_runs
from hpo.results.report.facts import read_facts
from hpo.results.report.hard_texts import hard_text_sections
from hpo.runtime.calibrating import calibrated, validated
from hpo.runtime.finish import known_champion
from hpo.runtime.member_models import MemberModels, validation_answers
from hpo.runtime.session import Session
from hpo.spec.locations import Locations
from hpo.tasks.temperature import HIGHEST, LOWEST
from hpo.tracking.loading import load_folder
from tests.runtime.conftest import NAME, FinishedStudy
from tests.tracking.reading import client

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def session(finished_study: FinishedStudy) -> Iterator[Session]:
    with finished_study(ensemble__method="vote", ensemble__size=2) as opened:
        yield opened


def test_the_registered_champion_is_the_trial_with_the_fitted_temperature(
    session: Session, locations: Locations, tmp_path: Path
) -> None:
    champion = known_champion(session.study)
    assert champion is not None
    temperature = champion.test.temperature
    assert LOWEST <= temperature <= HIGHEST
    entries = {entry.number: entry for entry in session.study.read(leaderboard)}
    trained = MemberModels(session, entries, tmp_path).model(champion.number)
    answers, labels = validation_answers(session, trained), session.prepared.context.data.validation
    assert temperature == pytest.approx(
        temperature_for(trained.task, answers, np.asarray(labels.labels)), rel=1e-4
    )
    session.tracker.flush(60)
    version = client(locations.tracking_uri).get_model_version_by_alias(NAME, "champion")
    registered = load_folder(Path(version.source), NAME)
    assert registered.task.temperature == temperature
    served = validation_answers(session, registered)
    known = validated(session, trained, champion.number)
    expected = validation_answers(session, calibrated(trained, known))
    np.testing.assert_allclose(served, expected, rtol=1e-3, atol=1e-5)
    assert (served.argmax(1) == answers.argmax(1)).all()


def test_the_texts_that_its_report_shows_are_those_of_the_champion_as_it_is_served(
    session: Session,
) -> None:
    facts = read_facts(session.study.storage, NAME)
    found, validation = facts.hard_texts, session.prepared.data.validation
    assert found is not None
    assert found.texts == len(validation)
    tested_on = {beginning(text) for text in session.prepared.data.test.texts}
    for each in (*found.surely_wrong, *found.undecided):
        place = validation.rows.tolist().index(each.row)
        assert each.text == beginning(validation.texts[place])
        assert each.text not in tested_on
        assert each.true == session.prepared.data.label_names[validation.labels[place]]
    page = hard_text_sections(facts)
    assert page.count("<tr") == 2 + len(found.surely_wrong) + len(found.undecided)
    other = replace(facts, champion=None, hard_texts=None)
    assert hard_text_sections(other) == ""


def test_its_run_says_why_it_is_the_champion(session: Session, locations: Locations) -> None:
    champion = known_champion(session.study)
    assert champion is not None
    session.tracker.flush(60)
    run_id, _ = trial_runs(session.study.storage, session.study.study_id)[champion.number]
    description = client(locations.tracking_uri).get_run(run_id).data.tags["mlflow.note.content"]
    assert "Why it is the champion:" in description
    assert description.endswith("what the good ones have in common (20 or more).")


def test_an_ensemble_has_one_as_a_whole(session: Session) -> None:
    calibration = made_ensembles(session.study)["vote"].test.calibration
    assert calibration is not None
    assert LOWEST <= calibration.temperature <= HIGHEST
    assert sum(each.count for each in calibration.after) == len(session.prepared.context.data.test)
