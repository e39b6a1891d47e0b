"""What Optuna alone does in the same place: why there are claims, and a check that they are still
needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState
from sqlalchemy import event

from hpo.leases.budget import NoTrial, claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.search.distributions import suggest
from hpo.search.samplers import make_sampler
from hpo.spec.space import FloatRange
from hpo.spec.study import SamplerChoice, StudySpec
from hpo.storage.storage import Storage, open_storage
from hpo.studies.registration import submit
from hpo.studies.studies import open_study

SpecFactory = Callable[..., StudySpec]


def test_optunas_own_limit_lets_every_further_start_add_a_trial(
    sqlite_storage: Storage, make_spec: SpecFactory
) -> None:
    naive = optuna.create_study(storage=sqlite_storage.optuna, study_name="naive")
    for _ in range(3):
        naive.optimize(lambda trial: 0.5, n_trials=10, callbacks=[MaxTrialsCallback(2)])
    assert len(naive.trials) == 4  # two were wanted

    submit(sqlite_storage, make_spec(study__trials=2))
    study = open_study(sqlite_storage, "study")
    for _ in range(3):
        with Worker(sqlite_storage) as worker:
            while isinstance(claim := claim_trial(study, worker), Claim):
                claim.finish(TrialState.PRUNED)
            assert claim is NoTrial.DONE
    assert len(study.load().trials) == 2


def test_on_plain_sqlite_two_workers_get_the_same_enqueued_trial(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/naive.db"
    one, two = RDBStorage(url), RDBStorage(url)
    assert claims_of_both(one, two) == [True, True]


def test_under_our_engine_only_one_worker_gets_an_enqueued_trial(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ours.db"
    with open_storage(url) as one, open_storage(url) as two:
        claims = claims_of_both(backend_of(one), backend_of(two))
    assert sorted(claims) == [False, True]


def backend_of(storage: Storage) -> RDBStorage:
    backend: RDBStorage = storage.optuna._backend  # type: ignore[attr-defined]
    assert backend.engine is storage.engine
    return backend


def claims_of_both(one: RDBStorage, two: RDBStorage) -> list[bool]:
    """Two workers claim one WAITING trial, the second between the first one's look and its
    write.
    """
    study_id = one.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "s")
    waiting = optuna.trial.create_trial(state=TrialState.WAITING)
    trial_id = one.create_new_trial(study_id, waiting)
    results: dict[str, bool] = {}

    def claim_with(storage: RDBStorage, name: str) -> None:
        try:
            results[name] = storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        except optuna.exceptions.UpdateFinishedTrialError:
            results[name] = False

    second = threading.Thread(target=claim_with, args=(two, "second"))

    def after_look(*args: Any) -> None:
        statement = args[2]
        if statement.startswith("SELECT trials.") and not second.ident:
            second.start()
            second.join(0.5)  # under IMMEDIATE it waits for us

    event.listen(one.engine, "after_cursor_execute", after_look)
    claim_with(one, "first")
    second.join(30)
    for storage in (one, two):
        storage.remove_session()
        storage.engine.dispose()
    return [results["first"], results["second"]]


@pytest.mark.parametrize("ours", [False, True])
def test_a_seeded_study_gone_on_with_repeats_its_first_points_under_optuna_alone(
    ours: bool,
) -> None:
    space = {"learning_rate": FloatRange(0.0, 1.0)}
    study = optuna.create_study()
    for _ in range(2):  # two runs of the same command, two trials each
        study.sampler = (
            make_sampler(SamplerChoice(name="random"), space, seed=0)
            if ours
            else optuna.samplers.RandomSampler(seed=0)
        )
        for _ in range(2):
            trial = study.ask()
            suggest(trial, space)
            study.tell(trial, 0.5)
    points = [trial.params["learning_rate"] for trial in study.trials]
    assert (points[:2] == points[2:]) is not ours
