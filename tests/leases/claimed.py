"""Trials that workers of a test take, complete, or lose."""

from __future__ import annotations

from collections.abc import Callable

from optuna.trial import TrialState

from hpo.leases.budget import claim_trial
from hpo.leases.claim_rows import live_leases
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.spec.study import StudySpec
from hpo.studies.studies import OpenStudy

SpecFactory = Callable[..., StudySpec]


COMPLETE, PRUNED, FAIL, RUNNING = (
    TrialState.COMPLETE,
    TrialState.PRUNED,
    TrialState.FAIL,
    TrialState.RUNNING,
)


class StoppedClock:
    """A monotonic clock that tests move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def take(study: OpenStudy, worker: Worker) -> Claim:
    claim = claim_trial(study, worker)
    assert isinstance(claim, Claim), claim
    return claim


def complete(claim: Claim, value: float = 0.5) -> None:
    claim.suggest()
    claim.finish(COMPLETE, value)


def observe_until_dead(study: OpenStudy, watcher: Worker, clock: StoppedClock) -> None:
    """Let the watcher see a lease's worth of silence, as its heartbeat thread would."""
    for _ in range(6):
        with study.storage.read() as connection:
            holds = live_leases(connection, study.study_id)
        watcher.observer.dead(study.study_id, holds)
        clock.now += 15
