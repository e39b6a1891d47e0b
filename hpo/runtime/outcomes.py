"""How a trial ended, for the MLflow run of a worker that died before it could say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy import select

from hpo.leases.claim_rows import REASON
from hpo.results.leaderboard import Entry, leaderboard, top_numbers
from hpo.results.presentation import present_trial
from hpo.runtime.kept_models import KeptModels
from hpo.spec.names import confirmed_study
from hpo.spec.study import StudySpec
from hpo.storage.optuna_rows import set_attribute
from hpo.storage.optuna_tables import STUDIES, TRIAL_USER_ATTRIBUTES, TRIALS
from hpo.storage.seals import LINKS, read_trial, seal_links
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_CLAIMS, HPO_STUDIES
from hpo.studies.studies import stored_spec
from hpo.tracking.channel import RunListener
from hpo.tracking.keys import parse_trial_run_key, trial_model_tags
from hpo.tracking.trial_run import OutcomeOf, RunOutcome

EXAMPLES_SEEN = "examples_seen"
THREADS = "threads"


def run_linker(storage: Storage) -> RunListener:
    """Tell Optuna which MLflow run a trial has as soon as the run exists, which may be after its end."""

    def link(run_key: str, run_id: str, url: str) -> None:
        key = parse_trial_run_key(run_key)
        if key is not None:
            set_trial_run(
                storage, key.study_uid, key.number, run_id=run_id, url=url, attempt=key.attempt
            )
            present_trial(storage, key.study_uid, key.number)

    return link


def set_trial_run(
    storage: Storage, uid: str, number: int, *, run_id: str, url: str, attempt: int | None = None
) -> bool:
    """Tell Optuna which MLflow run a trial has, also after its end (`mlflow_run_id`, `mlflow_url`).

    Args:
        storage: Where the study is.
        uid: The study's.
        number: The trial's.
        run_id: MLflow's.
        url: Of the run's page; empty where there is none any more.
        attempt: Given, the run of an attempt that a later one has followed is passed over.

    Returns:
        Whether it was set; not where the study or trial was deleted meanwhile.
    """
    query = (
        select(TRIALS.c.trial_id, HPO_CLAIMS.c.attempt)
        .join(HPO_STUDIES, HPO_STUDIES.c.study_id == TRIALS.c.study_id)
        .join(HPO_CLAIMS, HPO_CLAIMS.c.trial_id == TRIALS.c.trial_id, isouter=True)
        .where(HPO_STUDIES.c.uid == uid, TRIALS.c.number == number)
    )

    def write() -> bool:
        with storage.write() as connection:
            row = connection.execute(query).first()
            if row is None or (attempt is not None and attempt < (row.attempt or 0)):
                return False
            links = dict(zip(LINKS, (run_id, url), strict=True))
            for key, value in links.items():
                set_attribute(connection, TRIAL_USER_ATTRIBUTES, row.trial_id, key, value)
            seal_links(connection, uid, number, row.trial_id, links)
            return True

    return storage.retry(write, "linking a trial to its MLflow run")


def outcome_reader(storage: Storage, state: Path) -> OutcomeOf:
    """What the storage knows of the trial of a run.

    Args:
        storage: Where the studies are.
        state: Where complete trials' models are kept.
    """

    def outcome_of(run_key: str) -> RunOutcome | None:
        key = parse_trial_run_key(run_key)
        if key is None:
            return None
        uid, number, attempt = key.study_uid, key.number, key.attempt
        trial = storage.retry(lambda: _read(storage, uid, number), "looking up a trial")
        if trial is None or trial.attempt != attempt or not trial.state.is_finished():
            return None
        if trial.state is TrialState.FAIL:
            return RunOutcome("FAIL", reason=trial.attributes.get(REASON))
        metric = trial.spec.study.metric
        # What a trial is worth is its best evaluation, whether or not it was pruned after it.
        best = trial.attributes.get(metric, trial.value)
        step = int(trial.attributes.get(EXAMPLES_SEEN, 0))
        metrics = {} if best is None else {f"val/best_{metric}": float(best)}
        if trial.state is TrialState.PRUNED:
            return RunOutcome("PRUNED", step, metrics)
        models = KeptModels(state, trial.study, uid)
        return RunOutcome(
            "COMPLETE",
            step,
            metrics,
            keeps_model=_keeps_model(storage, trial, number),
            model=models.path(number) if models.whole(number) else None,
            model_tags=trial_model_tags(trial.study, uid, number, attempt),
        )

    return outcome_of


@dataclass(frozen=True)
class _Stored:
    """A trial, its study and its claim, as they are in the storage."""

    study: str
    spec: StudySpec
    state: TrialState
    attempt: int
    value: float | None
    attributes: Mapping[str, Any]


def _read(storage: Storage, uid: str, number: int) -> _Stored | None:
    query = (
        select(
            TRIALS.c.trial_id,
            HPO_CLAIMS.c.attempt,
            HPO_STUDIES.c.uid,
            HPO_STUDIES.c.spec_json,
            HPO_STUDIES.c.trials,
            STUDIES.c.study_name,
        )
        .join(HPO_STUDIES, HPO_STUDIES.c.study_id == TRIALS.c.study_id)
        .join(STUDIES, STUDIES.c.study_id == TRIALS.c.study_id)
        .join(HPO_CLAIMS, HPO_CLAIMS.c.trial_id == TRIALS.c.trial_id)
        .where(HPO_STUDIES.c.uid == uid, TRIALS.c.number == number)
    )
    with storage.read() as connection:
        row = connection.execute(query).first()
        if row is None:
            return None
        trial = read_trial(connection, row.trial_id)
    return _Stored(
        row.study_name,
        stored_spec(storage, row),
        trial.state,
        row.attempt,
        trial.value,
        trial.user_attrs,
    )


def _keeps_model(storage: Storage, trial: _Stored, number: int) -> bool:
    if confirmed_study(trial.study) is not None:
        return False

    def read() -> list[Entry]:
        return leaderboard(optuna.load_study(study_name=trial.study, storage=storage.optuna))

    entries = storage.retry(read, "reading the study")
    return number in top_numbers(entries, trial.spec.kept_models)
