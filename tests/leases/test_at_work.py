"""Whether workers are at a study, seen by somebody who means to delete it."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from hpo.leases.at_work import workers_at
from hpo.leases.budget import claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.leases.once import Once
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_CLAIMS
from hpo.studies.registration import submit
from hpo.studies.studies import open_study
from tests.storages import SpecFactory


@pytest.fixture
def study_id(storage: Storage, make_spec: SpecFactory) -> int:
    return submit(storage, make_spec()).study_id


def no_sleep(_seconds: float) -> None:
    """Time stands still for whoever watches."""


def change_claim(storage: Storage, **values: object) -> None:
    with storage.write() as connection:
        connection.execute(update(HPO_CLAIMS).values(**values))


def claimed(storage: Storage, worker: Worker) -> Claim:
    claim = claim_trial(open_study(storage, "study"), worker)
    assert isinstance(claim, Claim)
    return claim


def test_nobody_is_at_a_study_that_nobody_took_a_trial_of(storage: Storage, study_id: int) -> None:
    assert workers_at(storage, study_id) == ([], frozenset())


def test_a_process_of_this_machine_is_known_at_once(storage: Storage, study_id: int) -> None:
    with Worker(storage) as worker, claimed(storage, worker):
        alive, dead = workers_at(storage, study_id, sleep=lambda _: pytest.fail("it waited"))
        assert (len(alive), dead) == (1, frozenset())
    assert workers_at(storage, study_id) == ([], frozenset())


def test_a_process_that_is_gone_is_dead_at_once(storage: Storage, study_id: int) -> None:
    with Worker(storage) as worker, claimed(storage, worker):
        change_claim(storage, process_started="long ago")
        alive, dead = workers_at(storage, study_id, sleep=lambda _: pytest.fail("it waited"))
        assert (alive, len(dead)) == ([], 1)


def test_a_worker_elsewhere_is_watched_until_it_beats(storage: Storage, study_id: int) -> None:
    with Worker(storage) as worker, claimed(storage, worker):
        change_claim(storage, machine="elsewhere")
        alive, _ = workers_at(
            storage,
            study_id,
            lease_seconds=600.0,
            sleep=lambda _: change_claim(storage, beat=HPO_CLAIMS.c.beat + 1),
        )
        assert len(alive) == 1


def test_a_worker_elsewhere_that_stays_silent_is_dead(storage: Storage, study_id: int) -> None:
    with Worker(storage) as worker, claimed(storage, worker):
        change_claim(storage, machine="elsewhere")
        alive, dead = workers_at(storage, study_id, lease_seconds=0.2)
        assert (alive, len(dead)) == ([], 1)


def test_a_process_at_the_studys_end_is_at_it_too(storage: Storage, study_id: int) -> None:
    turn = Once(storage, study_id, "crowning trial 3").begin()
    assert turn is not None
    with turn:
        alive, _ = workers_at(storage, study_id, sleep=no_sleep)
        assert len(alive) == 1
    assert workers_at(storage, study_id) == ([], frozenset())
