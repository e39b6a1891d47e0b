"""The budget: who may work on which trial, and how often."""

from __future__ import annotations

import optuna
import pytest

from hpo.errors import StorageError
from hpo.leases.budget import NoTrial, claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.leases.lease import LeaseLost
from hpo.storage.storage import Storage
from hpo.studies.progress import progress
from hpo.studies.registration import submit
from hpo.studies.studies import OpenStudy, open_study
from tests.leases.claimed import COMPLETE, FAIL, PRUNED, SpecFactory, complete, take


def test_a_budget_of_three_gives_three_trials_and_then_no_more(
    study: OpenStudy, worker: Worker
) -> None:
    for number in range(3):
        claim = take(study, worker)
        assert (claim.number, claim.attempt, claim.is_new) == (number, 1, True)
        complete(claim)
    assert claim_trial(study, worker) is NoTrial.DONE
    assert progress(study.storage, "study").finished == 3


def test_trials_in_other_hands_count_towards_the_budget(
    study: OpenStudy, worker: Worker, other: Worker
) -> None:
    claims = [take(study, each) for each in (worker, other, worker)]
    assert claim_trial(study, other) is NoTrial.WAIT
    for claim in claims:
        complete(claim)
    assert claim_trial(study, other) is NoTrial.DONE


def test_pruned_trials_count_and_failed_ones_do_not(study: OpenStudy, worker: Worker) -> None:
    take(study, worker).finish(FAIL, reason="loss is NaN")
    take(study, worker).finish(PRUNED)
    complete(take(study, worker))
    complete(take(study, worker))
    assert claim_trial(study, worker) is NoTrial.DONE
    states = [trial.state for trial in study.load().trials]
    assert states == [FAIL, PRUNED, COMPLETE, COMPLETE]
    assert study.load().trials[0].user_attrs["hpo.reason"] == "loss is NaN"


def test_raising_the_budget_gives_more_trials(
    study: OpenStudy, worker: Worker, make_spec: SpecFactory
) -> None:
    for _ in range(3):
        complete(take(study, worker))
    submit(study.storage, make_spec(study__trials=4))
    assert take(study, worker).number == 3


def test_a_running_trial_of_other_means_is_left_alone_and_counts_once_it_is_finished(
    study: OpenStudy, worker: Worker
) -> None:
    theirs = optuna.load_study(study_name="study", storage=study.storage.url)
    foreign = theirs.ask()
    assert [take(study, worker).number for _ in range(3)] == [1, 2, 3]
    theirs.tell(foreign, 0.5)
    assert progress(study.storage, "study").finished == 1
    assert claim_trial(study, worker) is NoTrial.WAIT


def test_enqueued_trials_are_handed_out_first_each_once(
    study: OpenStudy, worker: Worker, other: Worker
) -> None:
    theirs = optuna.load_study(study_name="study", storage=study.storage.url)
    theirs.enqueue_trial({"learning_rate": 1e-4})
    theirs.enqueue_trial({"learning_rate": 1e-5, "batch_size": 16, "epochs": 2})
    first, second, third = take(study, worker), take(study, other), take(study, worker)
    assert [first.number, second.number, third.number] == [0, 1, 2]
    assert first.suggest()["learning_rate"] == 1e-4
    assert second.suggest() == {"learning_rate": 1e-5, "batch_size": 16, "epochs": 2}


def test_a_study_deleted_under_its_workers_is_told(study: OpenStudy, worker: Worker) -> None:
    claim = take(study, worker)
    optuna.delete_study(study_name="study", storage=study.storage.url)
    with pytest.raises(LeaseLost):
        claim.report(0.5, 1)
    with pytest.raises(LeaseLost):
        claim.suggest()
    with pytest.raises(StorageError, match="deleted"):
        claim_trial(study, worker)


def test_a_grid_is_walked_once_and_a_failed_point_is_tried_again_last(
    storage: Storage, make_spec: SpecFactory
) -> None:
    space = {"batch_size": [8, 16], "epochs": {"low": 1, "high": 3}}
    submit(storage, make_spec(sampler="grid", space=space, study__trials=6))
    study = open_study(storage, "study")
    points = []
    with Worker(storage) as worker:
        failed = take(study, worker)
        first = failed.suggest()
        failed.finish(FAIL, reason="out of memory")
        while isinstance(claim := claim_trial(study, worker), Claim):
            points.append(tuple(sorted(claim.suggest().items())))
            claim.finish(COMPLETE, 0.5)
    assert len(points) == len(set(points)) == 6
    assert points[-1] == tuple(sorted(first.items()))
