"""Claims: which worker has which trial, and the budget, exact under any number of workers and
deaths.

All that decides is one transaction with the study's row locked: how many trials are finished, how
many are in somebody's hands, whether one of those hands is dead, and then the creation of the trial
in Optuna's own table together with the claim on it. So a worker can be killed at any instant and
leave neither a trial without a claim nor a claim without a trial. What a worker writes about its
trial goes through a transaction that first checks the claim, so that a worker which lost it
(stopped, and resumed after another took over) cannot write.

RUNNING trials that other means made (`study.optimize` on the same study) have no claim: they are
left alone, and count towards the budget once they are finished. Enqueued trials (WAITING) are
handed out first.
"""

from __future__ import annotations

import enum
import json
import logging
import math
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages._rdb import models
from optuna.trial import Trial, TrialState
from pydantic import JsonValue
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from hpo.errors import StorageError
from hpo.search.liveness import (
    BEATS_PER_LEASE,
    DEFAULT_LEASE_SECONDS,
    Hold,
    Observer,
    WorkerIdentity,
    this_worker,
)
from hpo.search.plugins import quietly
from hpo.search.retries import one_line
from hpo.search.samplers import GRID_SLOT, suggest
from hpo.search.storage import Storage
from hpo.search.studies import FINISHED, OpenStudy
from hpo.search.tables import (
    HPO_CLAIMS,
    HPO_STUDIES,
    STUDIES,
    TRIAL_INTERMEDIATE_VALUES,
    TRIAL_SYSTEM_ATTRIBUTES,
    TRIAL_USER_ATTRIBUTES,
    TRIAL_VALUES,
    TRIALS,
    upsert,
)
from hpo.spec.space import OptionValue

logger = logging.getLogger(__name__)

DEFAULT_MAX_DEATHS: Final = 3
REASON: Final = "hpo.reason"

_HELD, _FREE, _OVER = "held", "free", "finished"


class ClaimLost(Exception):  # noqa: N818
    """The trial belongs to another worker by now, or is finished, or was deleted: drop it, write
    nothing.
    """


class _ChangedMeanwhile(Exception):  # noqa: N818
    """A claim is not what it was when it was read."""


class NoTrial(enum.Enum):
    """Why there is no trial to work on."""

    DONE = "the budget is met"
    WAIT = "all that is left is in other workers' hands"


@dataclass(frozen=True)
class _GivenUp:
    """A trial that the deciding transaction ended, for too many workers died over it."""

    number: int
    attempt: int
    reason: str


@dataclass(frozen=True)
class _Taken:
    """What the deciding transaction gave out."""

    claim_id: int
    trial_id: int
    number: int
    attempt: int


class Worker:
    """A taker of trials with a heartbeat: who it is, what it holds, whom it has seen be silent.

    lease_seconds: a worker that is silent for so long is taken for dead; it beats four times as
    often.
    max_deaths: a trial that so many workers died over is told FAIL instead of being tried again;
    on_given_up: called with number, last attempt and reason of a trial that this worker told so.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        name: str | None = None,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        max_deaths: int = DEFAULT_MAX_DEATHS,
        observer: Observer | None = None,
        on_given_up: Callable[[int, int, str], None] = lambda number, attempt, reason: None,
    ) -> None:
        self.storage = storage
        self.identity = this_worker(name)
        self.max_deaths = max_deaths
        self.on_given_up = on_given_up
        self.observer = observer or Observer(lease_seconds)
        self._interval = lease_seconds / BEATS_PER_LEASE
        self._held: dict[int, Claim] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Stop beating. Claims still held are taken for dead when the lease, or the process, is
        over.
        """
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def holds(self, claim: Claim) -> None:
        """Beat for a claim from now on."""
        with self._lock:
            self._held[claim.claim_id] = claim
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="hpo-beat", daemon=True)
                self._thread.start()

    def drops(self, claim: Claim) -> None:
        """Beat for a claim no longer."""
        with self._lock:
            self._held.pop(claim.claim_id, None)

    def _beat(self) -> None:
        failing = False
        while not self._stopping.wait(self._interval):
            with self._lock:
                claims = list(self._held.values())
            for claim in claims:
                try:
                    claim.beat()
                except Exception as error:  # noqa: BLE001 - a beat must outlive whatever a database throws
                    if not failing:
                        logger.warning(
                            "No heartbeat for trial %d: %s", claim.number, one_line(error)
                        )
                    failing = True
                else:
                    if failing:
                        logger.info("The heartbeat of trial %d is back.", claim.number)
                    failing = False


class Claim:
    """A trial in this worker's hands. Everything said about the trial goes through here.

    trial: Optuna's; number: its number in the study; attempt: 1 for a trial never begun before;
    is_new: the same as a flag; deaths: how many workers died over it.
    As a context manager it gives the trial back where the block ends without `finish`.
    """

    def __init__(self, study: OpenStudy, worker: Worker, token: str, taken: _Taken) -> None:
        self.study = study
        self.worker = worker
        self.claim_id = taken.claim_id
        self.trial_id = taken.trial_id
        self.number = taken.number
        self.attempt = taken.attempt
        self._token = token
        self._storage = study.storage
        self._lost = threading.Event()
        self._over = False
        self._end: tuple[TrialState, float | None] | None = None
        self._trial: Trial | None = None

    @property
    def is_new(self) -> bool:
        return self.attempt == 1

    @property
    def is_over(self) -> bool:
        """Whether the trial was finished, or given back, through this claim."""
        return self._over

    @property
    def trial(self) -> Trial:
        """Optuna's trial: what was suggested and reported in earlier attempts is there."""
        if self._trial is None:
            self._trial = self._storage.retry(self._load_trial, "loading the trial")
        return self._trial

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._over or isinstance(error, StorageError | ClaimLost):
            return
        try:
            self.release()
        except StorageError as fault:
            if error is None:
                raise
            logger.warning("Trial %d could not be given back: %s", self.number, fault)

    def suggest(self) -> dict[str, OptionValue]:
        """The trial's point of the space: the same one in every attempt."""

        def draw() -> dict[str, OptionValue]:
            try:
                suggest(self.trial, self.study.space)
                # What is stored counts: another attempt may have drawn some of it a moment earlier.
                stored = self._storage.optuna.get_trial(self.trial_id).params
            except (UpdateFinishedTrialError, KeyError) as error:
                raise self._is_lost() from error
            return {name: stored[name] for name in self.study.space}

        return self._storage.retry(draw, "suggesting parameters")

    def report(self, value: float, step: int) -> None:
        """Note the value of an evaluation. value: NaN and infinities allowed; step: 0 or more.

        A step reported before is overwritten. Raises ClaimLost.
        """
        if step < 0:
            raise ValueError(f"step must be 0 or more but got {step}")
        value = float(value)
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        row = {
            "trial_id": self.trial_id,
            "step": step,
            "intermediate_value": stored,
            "intermediate_value_type": kind,
        }

        def write() -> None:
            with self._mine() as connection:
                upsert(connection, TRIAL_INTERMEDIATE_VALUES, row, ("trial_id", "step"))

        self._storage.retry(write, "reporting a value")
        self._cached_values()[step] = value

    def forget_reports_after(self, step: int) -> None:
        """Drop what earlier attempts reported beyond the checkpoint that this one goes on from.

        step: of the last evaluation that the checkpoint knows; 0 drops all. Raises ClaimLost.
        """
        table = TRIAL_INTERMEDIATE_VALUES

        def write() -> None:
            with self._mine() as connection:
                connection.execute(
                    delete(table).where(table.c.trial_id == self.trial_id, table.c.step > step)
                )

        self._storage.retry(write, "going back to the checkpoint")
        values = self._cached_values()
        for later in [each for each in values if each > step]:
            del values[later]

    def should_prune(self) -> bool:
        """Whether the study's pruner gives the trial up. Raises ClaimLost."""

        def ask() -> bool:
            self._check_not_lost()
            try:
                with quietly():
                    return self.trial.should_prune()
            except UpdateFinishedTrialError as error:
                raise self._is_lost() from error

        return self._storage.retry(ask, "asking the pruner")

    def set_user_attr(self, key: str, value: JsonValue) -> None:
        """Set a user attribute of the trial. Raises ClaimLost."""
        self.set_user_attrs({key: value})

    def set_user_attrs(self, values: Mapping[str, JsonValue]) -> None:
        """Set user attributes of the trial, all at once. Raises ClaimLost."""

        def write() -> None:
            with self._mine() as connection:
                for key, value in values.items():
                    _set_attr(connection, TRIAL_USER_ATTRIBUTES, self.trial_id, key, value)

        self._storage.retry(write, "setting attributes of the trial")
        self._frozen().user_attrs.update(values)

    def finish(
        self, state: TrialState, value: float | None = None, reason: str | None = None
    ) -> None:
        """End the trial: its state, value and claim change at once, or not at all.

        state: COMPLETE (value needed, no NaN), PRUNED (value, or else the last one reported) or
        FAIL (no value). reason: why, in words; kept as user attribute `hpo.reason`.
        May be called again when the outcome of a call is not known. Raises ClaimLost.
        """
        _check_outcome(state, value)
        if self._end not in (None, (state, value)):
            raise ClaimLost(f"trial {self.number} has another end already")
        self._storage.retry(lambda: self._finish(state, value, reason), "finishing the trial")
        self._end = (state, value)
        self._over = True
        self.worker.drops(self)

    def release(self) -> bool:
        """Give the trial back unfinished: the next worker goes on with it, and no death is counted.

        Returns whether it was still ours to give.
        """
        values = {"status": _FREE}

        def write() -> bool:
            with self._storage.write() as connection:
                _change_claim(connection, self.claim_id, self._token, _HELD, values)
                return _token_and_status(connection, self.claim_id) == (self._token, _FREE)

        self._over = True
        self.worker.drops(self)
        return self._storage.retry(write, "giving the trial back")

    def still_mine(self) -> bool:
        """Whether the trial is still this worker's, by the database's word."""

        def read() -> bool:
            with self._storage.read() as connection:
                return _token_and_status(connection, self.claim_id) == (self._token, _HELD)

        mine = not self._lost.is_set() and self._storage.retry(read, "checking the claim")
        if not mine:
            self._lost.set()
        return mine

    def beat(self) -> None:
        """One heartbeat, and a look at those of the others. Called by the worker's own thread."""
        claims = HPO_CLAIMS
        with self._storage.write() as connection:
            result = connection.execute(
                update(claims)
                .where(
                    claims.c.claim_id == self.claim_id,
                    claims.c.token == self._token,
                    claims.c.status == _HELD,
                )
                .values(beat=claims.c.beat + 1)
            )
        if result.rowcount == 0 and not self._over:
            self._lost.set()
            self.worker.drops(self)
        with self._storage.read() as connection:
            holds = live_holds(connection, self.study.study_id)
        self.worker.observer.dead(self.study.study_id, holds)

    def _finish(self, state: TrialState, value: float | None, reason: str | None) -> None:
        with self._storage.write() as connection:
            held = _token_and_status(connection, self.claim_id, lock=True)
            if held == (self._token, _OVER):
                return  # an earlier try went through, and only its answer was lost
            if held != (self._token, _HELD):
                raise self._is_lost()
            ended = _end_trial(connection, self.trial_id, state, value, reason)
            _change_claim(connection, self.claim_id, self._token, _HELD, {"status": _OVER})
        if not ended:  # somebody told Optuna an outcome behind our back
            raise self._is_lost()

    @contextmanager
    def _mine(self) -> Iterator[Connection]:
        """A transaction in which the claim is this worker's and stays so. Raises ClaimLost."""
        self._check_not_lost()
        with self._storage.write() as connection:
            if _token_and_status(connection, self.claim_id, lock=True) != (self._token, _HELD):
                raise self._is_lost()
            state = connection.execute(
                select(TRIALS.c.state).where(TRIALS.c.trial_id == self.trial_id)
            ).scalar_one_or_none()
            if state is not TrialState.RUNNING:
                raise self._is_lost()
            yield connection

    def _check_not_lost(self) -> None:
        if self._lost.is_set() or self._over:
            raise self._is_lost()

    def _is_lost(self) -> ClaimLost:
        self._lost.set()
        self.worker.drops(self)
        return ClaimLost(f"trial {self.number} is no longer this worker's (attempt {self.attempt})")

    def _load_trial(self) -> Trial:
        try:
            study = self.study.load()
            # Optuna's cache writes parameters only of trials that it has listed.
            study.get_trials(deepcopy=False)
            return Trial(study, self.trial_id)
        except KeyError as error:  # the study was deleted
            raise self._is_lost() from error

    def _frozen(self) -> Any:
        # Optuna's trial keeps a copy of itself that its pruners are shown; report() would mend it,
        # but writes without a look at the claim.
        return self.trial._cached_frozen_trial

    def _cached_values(self) -> dict[int, float]:
        values: dict[int, float] = self._frozen().intermediate_values
        return values


def claim_trial(study: OpenStudy, worker: Worker) -> Claim | NoTrial:
    """The next trial for a worker: one whose worker died or gave it back, or else a new one.

    Raises StorageError where the database stays away, or the study was deleted.
    """
    token = uuid.uuid4().hex

    def decide() -> tuple[_Taken | NoTrial, list[_GivenUp]]:
        given_up: list[_GivenUp] = []
        with study.storage.write() as connection:
            return _decide(connection, study, worker, token, given_up), given_up

    outcome, given_up = study.storage.retry(decide, "claiming a trial")
    for trial in given_up:
        logger.warning("Trial %d has failed: %s.", trial.number, trial.reason)
        worker.on_given_up(trial.number, trial.attempt, trial.reason)
    if isinstance(outcome, NoTrial):
        return outcome
    claim = Claim(study, worker, token, outcome)
    worker.holds(claim)
    return claim


def live_holds(connection: Connection, study_id: int) -> list[Hold]:
    """What the study's workers hold at the moment, for an observer to look at."""
    return _holds(_live_rows(connection, study_id))


def _decide(
    connection: Connection,
    study: OpenStudy,
    worker: Worker,
    token: str,
    given_up: list[_GivenUp],
) -> _Taken | NoTrial:
    _lock_study(connection, study)
    repeated = _taken_before(connection, token)
    if repeated is not None:
        return repeated  # an earlier try went through, and only its answer was lost
    while True:
        try:
            return _decide_once(connection, study, worker, token, given_up)
        except _ChangedMeanwhile:
            logger.debug("A claim changed while it was looked at; looking again.")


def _decide_once(
    connection: Connection,
    study: OpenStudy,
    worker: Worker,
    token: str,
    given_up: list[_GivenUp],
) -> _Taken | NoTrial:
    wanted = connection.execute(
        select(HPO_STUDIES.c.trials).where(HPO_STUDIES.c.study_id == study.study_id)
    ).scalar_one()
    # In this order: a trial that ends between the two reads is counted twice, and never not at all.
    rows = _live_rows(connection, study.study_id)
    finished = _count_finished(connection, study.study_id)
    dead = worker.observer.dead(study.study_id, _holds(rows))
    orphans = [row for row in rows if row.status == _FREE or row.claim_id in dead]
    if finished >= wanted:
        return NoTrial.DONE
    if finished + len(rows) - len(orphans) >= wanted:
        return NoTrial.WAIT
    for row in orphans:
        taken = _take_over(connection, row, worker, token)
        if isinstance(taken, _Taken):
            return taken
        given_up.append(taken)
    return _begin_trial(connection, study, worker.identity, token)


def _lock_study(connection: Connection, study: OpenStudy) -> None:
    # The row that Optuna locks, too, when it creates a trial. SQLite is locked as a whole already.
    query = select(STUDIES.c.study_id).where(STUDIES.c.study_id == study.study_id)
    if connection.execute(query.with_for_update()).first() is None:
        raise StorageError(
            study.storage.redacted,
            found=f"the study {study.name} deleted",
            expected="a study that stays while workers are at it",
            mend="Submit it again.",
        )


def _taken_before(connection: Connection, token: str) -> _Taken | None:
    row = connection.execute(
        select(HPO_CLAIMS.c.claim_id, HPO_CLAIMS.c.trial_id, TRIALS.c.number, HPO_CLAIMS.c.attempt)
        .join(TRIALS, TRIALS.c.trial_id == HPO_CLAIMS.c.trial_id)
        .where(HPO_CLAIMS.c.token == token)
    ).first()
    return None if row is None else _Taken(*row)


def _live_rows(connection: Connection, study_id: int) -> list[Row[Any]]:
    """Claims on trials that are RUNNING, the trial with the lowest number first."""
    claims = HPO_CLAIMS
    return list(
        connection.execute(
            select(claims, TRIALS.c.number)
            .join(TRIALS, TRIALS.c.trial_id == claims.c.trial_id)
            .where(
                claims.c.study_id == study_id,
                claims.c.status.in_((_HELD, _FREE)),
                TRIALS.c.state == TrialState.RUNNING,
            )
            .order_by(TRIALS.c.number)
        )
    )


def _holds(rows: list[Row[Any]]) -> list[Hold]:
    return [
        Hold(row.claim_id, row.token, row.machine, row.pid, row.process_started, row.beat)
        for row in rows
        if row.status == _HELD
    ]


def _count_finished(connection: Connection, study_id: int) -> int:
    return connection.execute(
        select(func.count())
        .select_from(TRIALS)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state.in_(FINISHED))
    ).scalar_one()


def _take_over(
    connection: Connection, row: Row[Any], worker: Worker, token: str
) -> _Taken | _GivenUp:
    """Go on with a trial that was given back or whose worker died, or end it."""
    deaths = row.deaths + (1 if row.status == _HELD else 0)
    changes: dict[str, Any] = {"deaths": deaths}
    if deaths >= worker.max_deaths:
        changes |= {"status": _OVER}
    else:
        changes |= _held_by(worker.identity, token) | {"attempt": row.attempt + 1}
    # Under PostgreSQL the worker may beat, or finish, until the claim itself is locked.
    if not _change_claim(connection, row.claim_id, row.token, row.status, changes, beat=row.beat):
        raise _ChangedMeanwhile
    if deaths >= worker.max_deaths:
        reason = f"{deaths} workers died over this trial"
        _end_trial(connection, row.trial_id, TrialState.FAIL, None, reason)
        return _GivenUp(row.number, row.attempt, reason)
    return _Taken(row.claim_id, row.trial_id, row.number, row.attempt + 1)


def _begin_trial(
    connection: Connection, study: OpenStudy, identity: WorkerIdentity, token: str
) -> _Taken:
    """A new trial with its claim: an enqueued one, or else one that the sampler will fill."""
    slot = None
    waiting = connection.execute(
        select(TRIALS.c.trial_id, TRIALS.c.number)
        .where(TRIALS.c.study_id == study.study_id, TRIALS.c.state == TrialState.WAITING)
        .order_by(TRIALS.c.number)
        .limit(1)
        .with_for_update()
    ).first()
    if waiting is not None:
        trial_id, number = int(waiting.trial_id), int(waiting.number)
        connection.execute(
            update(TRIALS)
            .where(TRIALS.c.trial_id == trial_id)
            .values(state=TrialState.RUNNING, datetime_start=_now())
        )
    else:
        trial_id, number = _insert_trial(connection, study.study_id)
        if study.grid_size is not None:
            slot = _next_slot(connection, study.study_id, study.grid_size)
            _set_attr(connection, TRIAL_SYSTEM_ATTRIBUTES, trial_id, GRID_SLOT, slot)
    result = connection.execute(
        insert(HPO_CLAIMS).values(
            study_id=study.study_id,
            trial_id=trial_id,
            attempt=1,
            deaths=0,
            grid_slot=slot,
            **_held_by(identity, token),
        )
    )
    assert result.inserted_primary_key is not None
    return _Taken(int(result.inserted_primary_key[0]), trial_id, number, 1)


def _insert_trial(connection: Connection, study_id: int) -> tuple[int, int]:
    """The row that Optuna's `ask` writes; its number is the count of those before it, as there."""
    number = connection.execute(
        select(func.count()).select_from(TRIALS).where(TRIALS.c.study_id == study_id)
    ).scalar_one()
    result = connection.execute(
        insert(TRIALS).values(
            study_id=study_id, number=number, state=TrialState.RUNNING, datetime_start=_now()
        )
    )
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0]), number


def _next_slot(connection: Connection, study_id: int, size: int) -> int:
    """The grid slot for a new trial: one never given out, or else one of which every trial
    failed.
    """
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


def _held_by(identity: WorkerIdentity, token: str) -> dict[str, Any]:
    return {
        "status": _HELD,
        "token": token,
        "worker": identity.worker,
        "machine": identity.machine,
        "pid": identity.pid,
        "process_started": identity.process_started,
        "beat": 0,
        "taken_utc": _now(),
    }


def _token_and_status(
    connection: Connection, claim_id: int, *, lock: bool = False
) -> tuple[str, str] | None:
    query = select(HPO_CLAIMS.c.token, HPO_CLAIMS.c.status).where(HPO_CLAIMS.c.claim_id == claim_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else (row.token, row.status)


def _change_claim(
    connection: Connection,
    claim_id: int,
    token: str,
    status: str,
    values: Mapping[str, Any],
    *,
    beat: int | None = None,
) -> bool:
    """Change a claim if it is still what it was; returns whether it was."""
    claims = HPO_CLAIMS
    statement = update(claims).where(
        claims.c.claim_id == claim_id, claims.c.token == token, claims.c.status == status
    )
    if beat is not None:
        statement = statement.where(claims.c.beat == beat)
    return connection.execute(statement.values(**values)).rowcount == 1


def _end_trial(
    connection: Connection,
    trial_id: int,
    state: TrialState,
    value: float | None,
    reason: str | None,
) -> bool:
    """What Optuna's `tell` writes; returns whether the trial was still RUNNING.

    The samplers that we build have nothing to do after a trial, so their `after_trial` is not
    called.
    """
    now = connection.execute(
        select(TRIALS.c.state).where(TRIALS.c.trial_id == trial_id).with_for_update()
    ).scalar_one_or_none()
    if now is not TrialState.RUNNING:
        return False
    if state is TrialState.PRUNED and value is None:
        value = _last_report(connection, trial_id)
    if value is not None:
        stored, kind = models.TrialValueModel.value_to_stored_repr(float(value))
        row = {"trial_id": trial_id, "objective": 0, "value": stored, "value_type": kind}
        upsert(connection, TRIAL_VALUES, row, ("trial_id", "objective"))
    if reason is not None:
        _set_attr(connection, TRIAL_USER_ATTRIBUTES, trial_id, REASON, reason)
    connection.execute(
        update(TRIALS)
        .where(TRIALS.c.trial_id == trial_id)
        .values(state=state, datetime_complete=_now())
    )
    return True


def _last_report(connection: Connection, trial_id: int) -> float | None:
    model = models.TrialIntermediateValueModel
    table = TRIAL_INTERMEDIATE_VALUES
    row = connection.execute(
        select(table.c.intermediate_value, table.c.intermediate_value_type)
        .where(table.c.trial_id == trial_id)
        .order_by(table.c.step.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    value = float(model.stored_repr_to_intermediate_value(*row))
    return None if math.isnan(value) else value


def _set_attr(
    connection: Connection, table: Any, trial_id: int, key: str, value: JsonValue
) -> None:
    row = {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
    upsert(connection, table, row, ("trial_id", "key"))


def _check_outcome(state: TrialState, value: float | None) -> None:
    if not state.is_finished():
        raise ValueError(f"a trial cannot end as {state.name}")
    if state is TrialState.COMPLETE and (value is None or math.isnan(value)):
        raise ValueError(f"a complete trial needs a value but got {value}")
    if state is TrialState.FAIL and value is not None:
        raise ValueError("a failed trial has no value")
    if value is not None and math.isnan(value):
        raise ValueError("a value cannot be NaN")


def _now() -> datetime:
    # As Optuna stores it: UTC without saying so.
    return datetime.now(UTC).replace(tzinfo=None)
