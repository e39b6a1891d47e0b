"""The runs of workers that died between a trial's end in the storage and its end in MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hpo.leases.budget import claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.leases.lease import LeaseLost
from hpo.model.saved import TRAINED_FILE
from hpo.model.trial_facts import FACTS_FILE
from hpo.runtime.kept_models import KeptModels
from hpo.runtime.outcomes import EXAMPLES_SEEN, outcome_reader
from hpo.spec.study import StudySpec
from hpo.storage.storage import Storage
from hpo.studies.registration import submit
from hpo.studies.studies import OpenStudy, open_study
from hpo.tracking.keys import trial_run_key
from tests.model.trial_facts import SOME_FACTS

SpecFactory = Callable[..., StudySpec]


@pytest.fixture
def study(sqlite_storage: Storage, make_spec: SpecFactory) -> OpenStudy:
    submit(sqlite_storage, make_spec(tracking__keep="top:1", study__trials=9))
    return open_study(sqlite_storage, "study")


def claimed(study: OpenStudy, worker: Worker) -> Claim:
    claim = claim_trial(study, worker)
    assert isinstance(claim, Claim)
    return claim


def key(study: OpenStudy, claim: Claim, attempt: int | None = None) -> str:
    return trial_run_key(study.name, study.uid, claim.number, attempt or claim.attempt)


def test_a_trial_under_way_has_no_outcome_nor_has_an_attempt_that_another_followed(
    study: OpenStudy, tmp_path: Path
) -> None:
    outcome_of = outcome_reader(study.storage, tmp_path)
    with Worker(study.storage) as worker:
        first = claimed(study, worker)
        assert outcome_of(key(study, first)) is None
        first.release()
        second = claimed(study, worker)
        second.finish(TrialState.COMPLETE, 0.5)
    assert outcome_of(key(study, second, attempt=1)) is None
    assert outcome_of(key(study, second)) is not None
    assert outcome_of("study:study:u") is None


def test_a_finished_trial_tells_its_state_its_best_value_and_its_reason(
    study: OpenStudy, tmp_path: Path
) -> None:
    outcome_of = outcome_reader(study.storage, tmp_path)
    with Worker(study.storage) as worker:
        pruned, failed = claimed(study, worker), claimed(study, worker)
        pruned.set_user_attrs({"accuracy": 0.75, EXAMPLES_SEEN: 640})
        pruned.report(0.5, 1)
        pruned.finish(TrialState.PRUNED)
        failed.finish(TrialState.FAIL, reason="the loss became nan")
    outcome = outcome_of(key(study, pruned))
    assert outcome is not None
    assert (outcome.state, outcome.step) == ("PRUNED", 640)
    assert outcome.metrics == {"val/best_accuracy": 0.75}
    outcome = outcome_of(key(study, failed))
    assert outcome is not None
    assert (outcome.state, outcome.reason) == ("FAIL", "the loss became nan")


def test_only_a_model_among_those_to_be_kept_is_asked_for(study: OpenStudy, tmp_path: Path) -> None:
    outcome_of = outcome_reader(study.storage, tmp_path)
    models = KeptModels(tmp_path, study.name, study.uid)
    with Worker(study.storage) as worker:
        claims = [claimed(study, worker) for _ in range(2)]
        for claim, value in zip(claims, (0.5, 0.75), strict=True):
            models.keep(
                claim.number,
                lambda folder: [
                    (folder / file).write_text(json.dumps(SOME_FACTS))
                    for file in (TRAINED_FILE, FACTS_FILE)
                ],
            )
            claim.finish(TrialState.COMPLETE, value)
    outcomes = [outcome_of(key(study, claim)) for claim in claims]
    assert [each is not None and each.keeps_model for each in outcomes] == [False, True]
    assert outcomes[1] is not None
    assert outcomes[1].model == models.path(claims[1].number)


def test_a_trial_that_has_its_end_is_given_no_other(study: OpenStudy) -> None:
    with Worker(study.storage) as worker:
        claim = claimed(study, worker)
        claim.finish(TrialState.COMPLETE, 0.5)
        with pytest.raises(LeaseLost):
            claim.finish(TrialState.FAIL)
    assert study.load().trials[0].state is TrialState.COMPLETE


def test_a_worker_is_told_of_the_trials_that_it_gave_up(study: OpenStudy) -> None:
    given_up: list[tuple[int, int, str]] = []
    observer_of_the_dead = Worker(study.storage, lease_seconds=0.0, max_deaths=1)
    observer_of_the_dead.on_given_up = lambda *facts: given_up.append(facts)
    with Worker(study.storage) as dead:
        lost = claimed(study, dead)
        dead.drop(lost.lease)
        claimed(study, observer_of_the_dead)
    observer_of_the_dead.close()
    assert given_up == [(lost.number, 1, "1 workers died over this trial")]
