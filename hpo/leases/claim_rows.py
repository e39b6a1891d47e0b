"""The rows that a claim is made of, inside a transaction of the caller's: read, changed, and the trial ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, Row, select, update

from hpo.leases.liveness import Hold
from hpo.storage.seals import seal_trial
from hpo.storage.tables import (
    FREE,
    HELD,
    HPO_CLAIMS,
    TRIAL_INTERMEDIATE_VALUES,
    TRIAL_USER_ATTRIBUTES,
    TRIAL_VALUES,
    TRIALS,
    set_attribute,
    upsert,
)

REASON: Final = "hpo.reason"
_LIVE: Final = (
    "claim_id",
    "trial_id",
    "status",
    "token",
    "machine",
    "pid",
    "process_started",
    "attempt",
    "deaths",
    "beat",
)


def live_holds(connection: Connection, study_id: int) -> list[Hold]:
    """What the study's workers hold at the moment, for an observer to look at."""
    return holds(live_rows(connection, study_id))


def live_rows(connection: Connection, study_id: int) -> list[Row[Any]]:
    """Claims on trials that are RUNNING, the trial with the lowest number first."""
    claims = HPO_CLAIMS
    columns = (claims.c[name] for name in _LIVE)
    return list(
        connection.execute(
            select(*columns, TRIALS.c.number)
            .join(TRIALS, TRIALS.c.trial_id == claims.c.trial_id)
            .where(
                claims.c.study_id == study_id,
                claims.c.status.in_((HELD, FREE)),
                TRIALS.c.state == TrialState.RUNNING,
            )
            .order_by(TRIALS.c.number)
        )
    )


def holds(rows: list[Row[Any]]) -> list[Hold]:
    """Those of some claims that are in a worker's hands."""
    return [
        Hold(row.claim_id, row.token, row.machine, row.pid, row.process_started, row.beat)
        for row in rows
        if row.status == HELD
    ]


def token_and_status(
    connection: Connection, claim_id: int, *, lock: bool = False
) -> tuple[str, str] | None:
    """Whose a claim is, and its status; None where it was deleted. lock: until the transaction ends."""
    query = select(HPO_CLAIMS.c.token, HPO_CLAIMS.c.status).where(HPO_CLAIMS.c.claim_id == claim_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else (row.token, row.status)


def change_claim(
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


def end_trial(
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
        set_attribute(connection, TRIAL_USER_ATTRIBUTES, trial_id, REASON, reason)
    connection.execute(
        update(TRIALS)
        .where(TRIALS.c.trial_id == trial_id)
        .values(state=state, datetime_complete=now_utc())
    )
    seal_trial(connection, trial_id)
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


def now_utc() -> datetime:
    """The time for a column of the storage."""
    # As Optuna stores it: UTC without saying so.
    return datetime.now(UTC).replace(tzinfo=None)
