"""The rows that a claim is made of, inside a transaction of the caller's: read, changed, and the trial ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from optuna.trial import TrialState
from sqlalchemy import Connection, Row, select, update

from hpo.leases.liveness import HeldLease
from hpo.storage.optuna_rows import set_attribute, tell
from hpo.storage.optuna_tables import (
    TRIAL_USER_ATTRIBUTES,
    TRIALS,
)
from hpo.storage.seals import seal_trial
from hpo.storage.tables import FREE, HELD, HPO_CLAIMS

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


def live_leases(connection: Connection, study_id: int) -> list[HeldLease]:
    """The leases that the study's workers hold at the moment, for an observer to look at."""
    return held_leases(live_rows(connection, study_id))


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


def held_leases(rows: list[Row[Any]]) -> list[HeldLease]:
    """The leases of those of some claims that are in a worker's hands."""
    return [
        HeldLease(row.claim_id, row.token, row.machine, row.pid, row.process_started, row.beat)
        for row in rows
        if row.status == HELD
    ]


def fencing_token_and_status(
    connection: Connection, claim_id: int, *, lock: bool = False
) -> tuple[str, str] | None:
    """Whose a claim is, and its status.

    Args:
        connection: In a transaction.
        claim_id: Of the claim.
        lock: Whether to lock the claim until the transaction ends.

    Returns:
        Its fencing token and status; None where it was deleted.
    """
    query = select(HPO_CLAIMS.c.token, HPO_CLAIMS.c.status).where(HPO_CLAIMS.c.claim_id == claim_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else (row.token, row.status)


def change_claim(
    connection: Connection,
    claim_id: int,
    fencing_token: str,
    status: str,
    values: Mapping[str, Any],
    *,
    beat: int | None = None,
) -> bool:
    """Change a claim if it is still what it was.

    Args:
        connection: In a transaction.
        claim_id: Of the claim.
        fencing_token: Which it had.
        status: Which it had.
        values: New ones, by column.
        beat: Which it had; None where that does not matter.

    Returns:
        Whether it was what it was.
    """
    claims = HPO_CLAIMS
    statement = update(claims).where(
        claims.c.claim_id == claim_id, claims.c.token == fencing_token, claims.c.status == status
    )
    if beat is not None:
        statement = statement.where(claims.c.beat == beat)
    return connection.execute(statement.values(**values)).rowcount == 1


def renew_claim(connection: Connection, claim_id: int, fencing_token: str) -> bool:
    """Add a beat to a claim that is held under a fencing token; returns whether it was."""
    beat = HPO_CLAIMS.c.beat + 1
    return change_claim(connection, claim_id, fencing_token, HELD, {"beat": beat})


def end_trial(
    connection: Connection,
    trial_id: int,
    state: TrialState,
    value: float | None,
    reason: str | None,
) -> bool:
    """End a trial and seal it; nothing is written where it does not run.

    Args:
        connection: In a transaction.
        trial_id: Of the trial.
        state: COMPLETE, PRUNED or FAIL.
        value: Of the study's metric; None for that of the last report of a pruned trial.
        reason: Why, in words; kept as user attribute `hpo.reason`.

    Returns:
        Whether the trial was still RUNNING.
    """
    if not tell(connection, trial_id, state, value):
        return False
    if reason is not None:
        set_attribute(connection, TRIAL_USER_ATTRIBUTES, trial_id, REASON, reason)
    seal_trial(connection, trial_id)
    return True
