"""The champion of a small real study, and an ensemble of it, have the temperature that suits validation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hpo.results.calibration import temperature_for
from hpo.results.ensembles.known import made_ensembles
from hpo.results.leaderboard import leaderboard
from hpo.runtime.calibrating import calibrated
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
    expected = validation_answers(session, calibrated(session, trained, champion.number))
    np.testing.assert_allclose(served, expected, rtol=1e-3, atol=1e-5)
    assert (served.argmax(1) == answers.argmax(1)).all()


def test_an_ensemble_has_one_as_a_whole(session: Session) -> None:
    calibration = made_ensembles(session.study)["vote"].test.calibration
    assert calibration is not None
    assert LOWEST <= calibration.temperature <= HIGHEST
    assert sum(each.count for each in calibration.after) == len(session.prepared.context.data.test)
