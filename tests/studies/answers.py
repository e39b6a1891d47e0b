"""What a study answers to every question, and its rows as they lie in the database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.storages import get_storage
from optuna.trial import TrialState
from sqlalchemy import text

from hpo.leases.budget import claim_trial
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.results.leaderboard import counts, importances, leaderboard
from hpo.results.presentation import CHAMPION_KEY, present_trial
from hpo.runtime.outcomes import outcome_reader, set_trial_run
from hpo.spec.study import StudySpec
from hpo.storage.storage import Storage
from hpo.studies.fingerprints import Fingerprints
from hpo.studies.memory import recall, remember
from hpo.studies.progress import studies_with_work
from hpo.studies.registration import submit
from hpo.studies.studies import OpenStudy, open_study
from hpo.tracking.keys import trial_run_key

MATERIALS = Fingerprints("d" * 64, "e" * 64)


CHAMPION = {"number": 3, "value": 0.8125, "registered_name": "study"}


TRIALS = 9


def claimed(study: OpenStudy, worker: Worker) -> Claim:
    claim = claim_trial(study, worker)
    assert isinstance(claim, Claim)
    return claim


def begin(storage: Storage, spec: StudySpec) -> None:
    """A study with trials in every state, its champion remembered, two trials left to be done."""
    submit(storage, spec, fingerprints=MATERIALS)
    study = open_study(storage, "study")
    with Worker(storage) as worker:
        for index in range(TRIALS - 2):
            claim = claimed(study, worker)
            claim.suggest()
            for step in range(1, 3):
                claim.report(0.3 + 0.07 * index + 0.01 * step, step)
                claim.should_prune()
            claim.set_user_attrs({"accuracy": 0.32 + 0.07 * index, "seconds": 1.5})
            set_trial_run(storage, study.uid, claim.number, run_id=f"{index:032x}", url="http://m/")
            finish(claim, index)
            present_trial(storage, study.uid, claim.number)
        resting = claimed(study, worker)
        resting.suggest()
        resting.release()
    remember(storage, study.study_id, CHAMPION_KEY, CHAMPION)
    remember(storage, study.study_id, "micro_batch", 16)


def finish(claim: Claim, index: int) -> None:
    if index == 1:
        claim.finish(TrialState.FAIL, reason="the loss became nan")
    elif index == 2:
        claim.finish(TrialState.PRUNED)
    else:
        claim.finish(TrialState.COMPLETE, 0.32 + 0.07 * index)


def answer(storage: Storage, spec: StudySpec, *, go_on: bool) -> str:
    """What a process makes of a study that it goes on with; go_on: up to the points of its next two trials."""
    progress = submit(storage, spec, fingerprints=MATERIALS)
    study = open_study(storage, "study")
    opened = study.load()
    trials = opened.get_trials(deepcopy=False)
    outcome_of = outcome_reader(storage, Path("nowhere"))
    facts: list[object] = [
        (progress.wanted, progress.finished, progress.failed, progress.held),
        [each.name for each in studies_with_work(storage)],
        study.spec,
        leaderboard(opened),
        counts(opened),
        importances(opened),
        [everything(trial) for trial in trials if trial.state.is_finished()],
        [recall(storage, study.study_id, key) for key in (CHAMPION_KEY, "micro_batch")],
        [outcome_of(trial_run_key("study", study.uid, each.number, 1)) for each in trials],
    ]
    if go_on:
        present_trial(storage, study.uid, 0)
        with Worker(storage) as worker:
            claims = [claimed(study, worker) for _ in range(2)]
            facts += [(claim.number, claim.attempt, claim.suggest()) for claim in claims]
    return repr(facts)


def everything(trial: Any) -> Any:
    """All of a trial that a sampler, a pruner or the leaderboard may look at."""
    return (
        trial.number,
        trial.state,
        trial.values,
        trial.params,
        trial.distributions,
        sorted(trial.intermediate_values.items()),
        sorted(trial.user_attrs.items()),
        sorted(trial.system_attrs.items()),
    )


def anew(storage: Storage) -> Storage:
    """As another process finds it: with nothing read yet."""
    backend = storage.optuna._backend  # type: ignore[attr-defined]
    return replace(storage, optuna=get_storage(backend))


KEYS = {
    "trials": ("trial_id",),
    "trial_values": ("trial_value_id",),
    "trial_params": ("param_id",),
    "trial_intermediate_values": ("trial_intermediate_value_id",),
    "trial_user_attributes": ("trial_user_attribute_id",),
    "trial_system_attributes": ("trial_system_attribute_id",),
    "study_directions": ("study_direction_id",),
    "study_system_attributes": ("study_system_attribute_id",),
    "hpo_studies": ("study_id",),
    "hpo_claims": ("claim_id",),
    "hpo_memory": ("study_id", "key"),
}


def all_rows(storage: Storage) -> dict[str, list[dict[str, Any]]]:
    with storage.read() as connection:
        return {
            table: [
                dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()
            ]
            for table in KEYS
        }


def restore(storage: Storage, tables: dict[str, list[dict[str, Any]]]) -> None:
    with storage.write() as connection:
        for table, rows in tables.items():
            key = KEYS[table]
            for row in rows:
                sets = ", ".join(f"{name} = :{name}" for name in row if name not in key)
                where = " AND ".join(f"{name} = :{name}" for name in key)
                connection.execute(text(f"UPDATE {table} SET {sets} WHERE {where}"), row)
