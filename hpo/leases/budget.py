"""The budget, exact under any number of workers and deaths: who may work on which trial.

All that decides is one transaction with the study's row locked: how many trials are finished, how
many are in somebody's hands, whether one of those hands is dead, and then the creation of the trial
in Optuna's own table together with the claim on it. So a worker can be killed at any instant and
leave neither a trial without a claim nor a claim without a trial.

RUNNING trials that other means made (`study.optimize` on the same study) have no claim: they are
left alone, and count towards the budget once they are finished. Enqueued trials (WAITING) are
handed out first.
"""

from __future__ import annotations

import enum
import logging
import uuid
from dataclasses import dataclass
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection, Row, func, insert, select

from hpo.leases.claim_rows import change_claim, end_trial, held_leases, live_rows
from hpo.leases.claims import Claim
from hpo.leases.heartbeat import Worker
from hpo.leases.lease import Assignment
from hpo.leases.liveness import WorkerIdentity
from hpo.search.grid import GRID_SLOT
from hpo.storage.optuna_rows import create_trial, set_attribute, start_waiting_trial
from hpo.storage.optuna_tables import TRIAL_SYSTEM_ATTRIBUTES, TRIALS
from hpo.storage.tables import FREE, HELD, HPO_CLAIMS, HPO_STUDIES, OVER, lock_study, now_utc
from hpo.studies.progress import ended_states
from hpo.studies.studies import OpenStudy

logger = logging.getLogger(__name__)


class NoTrial(enum.Enum):
    """Why there is no trial to work on."""

    DONE = "the budget is met"
    WAIT = "all that is left is in other workers' hands"


@dataclass(frozen=True)
class GivenUp:
    """A trial that the deciding transaction ended, for too many workers died over it."""

    number: int
    attempt: int
    reason: str


@dataclass(frozen=True)
class Decision:
    """What the deciding transaction came to: a trial or the reason why there is none, and what it ended."""

    outcome: Assignment | NoTrial
    given_up: tuple[GivenUp, ...] = ()


def claim_trial(study: OpenStudy, worker: Worker) -> Claim | NoTrial:
    """The next trial for a worker: one whose worker died or gave it back, or else a new one.

    Args:
        study: To work on.
        worker: Who asks; its heartbeat renews the lease from now on.

    Returns:
        The claim on the trial, or why there is none.

    Raises:
        StudyGoneError: The study was deleted.
        StorageError: The database stays away.
    """
    fencing_token = uuid.uuid4().hex

    def decide() -> Decision:
        with study.storage.write() as connection:
            return _decide(connection, study, worker, fencing_token)

    decision = study.storage.retry(decide, "claiming a trial")
    for trial in decision.given_up:
        logger.warning("Trial %d has failed: %s.", trial.number, trial.reason)
        worker.on_given_up(trial.number, trial.attempt, trial.reason)
    if isinstance(decision.outcome, NoTrial):
        return decision.outcome
    claim = Claim(study, worker, decision.outcome)
    claim.lease.acquire()
    return claim


def _decide(
    connection: Connection, study: OpenStudy, worker: Worker, fencing_token: str
) -> Decision:
    if not lock_study(connection, study.study_id, study.uid, study.name):
        raise study.gone()
    repeated = _assigned_before(connection, fencing_token)
    if repeated is not None:
        return Decision(repeated)  # an earlier try went through, and only its answer was lost
    given_up: tuple[GivenUp, ...] = ()
    while True:
        orphans = _orphans(connection, study, worker)
        if isinstance(orphans, NoTrial):
            return Decision(orphans, given_up)
        for row in orphans:
            taken_over = _take_over(connection, row, worker, fencing_token)
            if taken_over is None:
                break  # the claim changed while it was looked at: look again
            if isinstance(taken_over, Assignment):
                return Decision(taken_over, given_up)
            given_up += (taken_over,)
        else:
            begun = _begin_trial(connection, study, worker.identity, fencing_token)
            return Decision(begun, given_up)


def _orphans(connection: Connection, study: OpenStudy, worker: Worker) -> list[Row[Any]] | NoTrial:
    """Claims given back or of dead workers, where the budget leaves something to do; else why not."""
    study_id = study.study_id
    wanted = connection.execute(
        select(HPO_STUDIES.c.trials).where(HPO_STUDIES.c.study_id == study_id)
    ).scalar_one()
    # In this order: a trial that ends between the two reads is counted twice, and never not at all.
    rows = live_rows(connection, study_id)
    finished = _count_ended(connection, study)
    dead = worker.observer.dead(study_id, held_leases(rows))
    orphans = [row for row in rows if row.status == FREE or row.claim_id in dead]
    if finished >= wanted:
        return NoTrial.DONE
    if finished + len(rows) - len(orphans) >= wanted:
        return NoTrial.WAIT
    return orphans


def _assigned_before(connection: Connection, fencing_token: str) -> Assignment | None:
    row = connection.execute(
        select(HPO_CLAIMS.c.claim_id, HPO_CLAIMS.c.trial_id, TRIALS.c.number, HPO_CLAIMS.c.attempt)
        .join(TRIALS, TRIALS.c.trial_id == HPO_CLAIMS.c.trial_id)
        .where(HPO_CLAIMS.c.token == fencing_token)
    ).first()
    return None if row is None else Assignment(*row, fencing_token)


def _count_ended(connection: Connection, study: OpenStudy) -> int:
    states = ended_states(study.name)
    return connection.execute(
        select(func.count())
        .select_from(TRIALS)
        .where(TRIALS.c.study_id == study.study_id, TRIALS.c.state.in_(states))
    ).scalar_one()


def _take_over(
    connection: Connection, row: Row[Any], worker: Worker, fencing_token: str
) -> Assignment | GivenUp | None:
    """Go on with a trial that was given back or whose worker died, or end it; None where its claim changed."""
    deaths = row.deaths + (1 if row.status == HELD else 0)
    changes: dict[str, Any] = {"deaths": deaths}
    if deaths >= worker.max_deaths:
        changes |= {"status": OVER}
    else:
        changes |= _held_by(worker.identity, fencing_token) | {"attempt": row.attempt + 1}
    # Under PostgreSQL the worker may beat, or finish, until the claim itself is locked.
    if not change_claim(connection, row.claim_id, row.token, row.status, changes, beat=row.beat):
        return None
    if deaths >= worker.max_deaths:
        reason = f"{deaths} workers died over this trial"
        end_trial(connection, row.trial_id, TrialState.FAIL, None, reason)
        return GivenUp(row.number, row.attempt, reason)
    return Assignment(row.claim_id, row.trial_id, row.number, row.attempt + 1, fencing_token)


def _begin_trial(
    connection: Connection, study: OpenStudy, identity: WorkerIdentity, fencing_token: str
) -> Assignment:
    """A new trial with its claim: an enqueued one, or else one that the sampler will fill."""
    slot = None
    waiting = start_waiting_trial(connection, study.study_id)
    if waiting is not None:
        trial_id, number = waiting
    else:
        trial_id, number = create_trial(connection, study.study_id)
        if study.grid_size is not None:
            slot = _next_slot(connection, study.study_id, study.grid_size)
            set_attribute(connection, TRIAL_SYSTEM_ATTRIBUTES, trial_id, GRID_SLOT, slot)
    result = connection.execute(
        insert(HPO_CLAIMS).values(
            study_id=study.study_id,
            trial_id=trial_id,
            attempt=1,
            deaths=0,
            grid_slot=slot,
            **_held_by(identity, fencing_token),
        )
    )
    assert result.inserted_primary_key is not None
    claim_id = int(result.inserted_primary_key[0])
    return Assignment(claim_id, trial_id, number, 1, fencing_token)


def _next_slot(connection: Connection, study_id: int, size: int) -> int:
    """The grid slot for a new trial: one never given out, or else one whose trials all failed."""
    claims = HPO_CLAIMS
    highest = connection.execute(
        select(func.max(claims.c.grid_slot)).where(claims.c.study_id == study_id)
    ).scalar_one()
    if highest is None or highest + 1 < size:
        return 0 if highest is None else int(highest) + 1
    live = select(claims.c.grid_slot).join(TRIALS, TRIALS.c.trial_id == claims.c.trial_id)
    taken = live.where(
        claims.c.study_id == study_id,
        claims.c.grid_slot.is_not(None),
        TRIALS.c.state != TrialState.FAIL,
    )
    failed = connection.execute(
        select(func.min(claims.c.grid_slot)).where(
            claims.c.study_id == study_id, claims.c.grid_slot.not_in(taken)
        )
    ).scalar_one()
    return int(failed or 0)


def _held_by(identity: WorkerIdentity, fencing_token: str) -> dict[str, Any]:
    return {
        "status": HELD,
        "token": fencing_token,
        "worker": identity.worker,
        "machine": identity.machine,
        "pid": identity.pid,
        "process_started": identity.process_started,
        "beat": 0,
        "taken_utc": now_utc(),
    }
