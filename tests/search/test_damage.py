"""A byte of the database that changes by itself: the same answer or a refusal, and never another answer."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy import text

from hpo.errors import StorageError
from hpo.results.leaderboard import counts, importances, leaderboard
from hpo.search.budget import claim_trial
from hpo.search.claims import Claim
from hpo.search.heartbeat import Worker
from hpo.search.materials import Materials
from hpo.search.memory import recall, remember
from hpo.search.outcomes import outcome_reader, set_trial_run
from hpo.search.presentation import CHAMPION_KEY, present_trial
from hpo.search.progress import studies_with_work
from hpo.search.registration import submit
from hpo.search.storage import Storage, check_storage, open_storage
from hpo.search.studies import OpenStudy, open_study
from hpo.spec.study import StudySpec
from hpo.tracking.keys import trial_run_key
from tests.search.conftest import SpecFactory

MATERIALS = Materials("d" * 64, "e" * 64)
CHAMPION = {"number": 3, "value": 0.8125, "registered_name": "study"}
TRIALS = 9


def claimed(study: OpenStudy, worker: Worker) -> Claim:
    claim = claim_trial(study, worker)
    assert isinstance(claim, Claim)
    return claim


def begin(storage: Storage, spec: StudySpec) -> None:
    """A study with trials in every state, its champion remembered, two trials left to be done."""
    submit(storage, spec, materials=MATERIALS)
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


def answer(url: str, spec: StudySpec, state: Path) -> Any:
    """What a process makes of the study that goes on with it, up to the points of the next two trials."""
    check_storage(url)
    with open_storage(url, retry_seconds=1) as storage:
        progress = submit(storage, spec, materials=MATERIALS)
        study = open_study(storage, "study")
        opened = study.load()
        trials = opened.get_trials(deepcopy=False)
        history = [everything(trial) for trial in trials if trial.state.is_finished()]
        outcome_of = outcome_reader(storage, state)
        outcomes = [
            outcome_of(trial_run_key("study", study.uid, each.number, 1)) for each in trials
        ]
        for each in trials:
            present_trial(storage, study.uid, each.number)
        with Worker(storage) as worker:
            claims = [claimed(study, worker) for _ in range(2)]
            ahead = [(claim.number, claim.attempt, claim.suggest()) for claim in claims]
        return repr(
            (
                (progress.wanted, progress.finished, progress.failed, progress.held),
                [each.name for each in studies_with_work(storage)],
                study.spec,
                leaderboard(opened),
                counts(opened),
                importances(opened),
                history,
                [recall(storage, study.study_id, key) for key in (CHAMPION_KEY, "micro_batch")],
                outcomes,
                ahead,
            )
        )


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
