"""What complete trials answered, kept in the storage and read again."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from optuna.trial import TrialState
from sqlalchemy import text

from hpo.leases.budget import claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.storage.storage import Storage, open_storage
from hpo.studies.registration import submit
from hpo.studies.studies import OpenStudy, open_study
from hpo.studies.trial_probabilities import kept_probabilities
from tests.storages import SpecFactory


def answered(study: OpenStudy, answers: NDArray[np.float32]) -> Claim:
    with Worker(study.storage) as worker:
        claim = claim_trial(study, worker)
        assert isinstance(claim, Claim)
        claim.suggest()
        claim.keep_probabilities(np.zeros_like(answers))
        claim.keep_probabilities(answers)
        claim.finish(TrialState.COMPLETE, 0.5)
        return claim


def shares(seed: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).dirichlet([0.2, 0.5, 1], 200)
    return drawn.astype(np.float32)


@pytest.fixture
def study(storage: Storage, make_spec: SpecFactory) -> OpenStudy:
    submit(storage, make_spec(study__trials=4))
    return open_study(storage, "study")


def test_each_trials_answers_are_read_again(study: OpenStudy) -> None:
    for seed in (0, 1):
        answered(study, shares(seed))
    found = kept_probabilities(study)
    assert list(found) == [0, 1]
    for seed in (0, 1):
        assert found[seed].dtype == np.float32
        assert found[seed] == pytest.approx(shares(seed), abs=2**-11)


@pytest.mark.parametrize(
    "numbers", [[1e6, -3.14159, 70_000.1], [3e-7, 2e-6, 0.0], [0.9990, 0.9991, 0.9992]]
)
def test_numbers_are_kept_as_they_are_in_any_unit(study: OpenStudy, numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)[:, None]
    answered(study, values)
    assert np.array_equal(kept_probabilities(study)[0], values)


def test_damaged_answers_are_left_out(study: OpenStudy, caplog: pytest.LogCaptureFixture) -> None:
    for seed in (0, 1):
        answered(study, shares(seed))
    with study.storage.write() as connection:
        query = text("SELECT content FROM hpo_probabilities ORDER BY trial_id LIMIT 1")
        content = bytearray(connection.execute(query).scalar_one())
        content[len(content) // 2] ^= 1
        change = "UPDATE hpo_probabilities SET content = :content WHERE trial_id = ("
        change += "SELECT min(trial_id) FROM hpo_probabilities)"
        connection.execute(text(change), {"content": bytes(content)})
    assert list(kept_probabilities(study)) == [1]
    assert "trial 0 are damaged" in caplog.text


def test_another_trials_answers_are_not_taken_for_a_trials(study: OpenStudy) -> None:
    for seed in (0, 1):
        answered(study, shares(seed))
    with study.storage.write() as connection:
        of_the_last = "SELECT {} FROM hpo_probabilities ORDER BY trial_id DESC LIMIT 1"
        seal, content = (
            connection.execute(text(of_the_last.format(column))).scalar_one()
            for column in ("seal", "content")
        )
        connection.execute(
            text("UPDATE hpo_probabilities SET seal = :seal, content = :content"),
            {"seal": seal, "content": content},
        )
    assert list(kept_probabilities(study)) == [1]


def test_a_storage_of_an_earlier_release_gets_the_table(
    storage_url: str, make_spec: SpecFactory
) -> None:
    with open_storage(storage_url) as storage:
        submit(storage, make_spec(study__trials=2))
        with storage.write() as connection:
            if connection.dialect.name == "sqlite":
                connection.execute(text("DROP TRIGGER hpo_trial_deleted_with_probabilities"))
            connection.execute(text("DROP TABLE hpo_probabilities"))
    with open_storage(storage_url) as storage:
        study = open_study(storage, "study")
        assert kept_probabilities(study) == {}
        answered(study, shares(0))
        assert list(kept_probabilities(study)) == [0]
