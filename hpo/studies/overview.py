"""Studies at a glance: how far each is, its best trial, and when it was last worked on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, func, select

from hpo.documents import parse_json
from hpo.storage.optuna_rows import frozen_trial
from hpo.storage.optuna_tables import STUDIES, STUDY_DIRECTIONS, TRIAL_VALUES, TRIALS
from hpo.storage.seals import spec_text
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_CLAIMS, HPO_STUDIES
from hpo.studies.progress import StudyProgress, all_progress, unknown_study


@dataclass(frozen=True)
class Overview:
    """A study as its storage has it.

    Attributes:
        progress: How far it is.
        uid: Names it for good.
        settings: Its study file, as it was last submitted.
        best: The complete trial with the best value, of equals the earlier; None where none is complete.
        created: When it was submitted first.
        last_active: When a trial was last begun, gone on with or ended.
    """

    progress: StudyProgress
    uid: str
    settings: Mapping[str, Any]
    best: FrozenTrial | None
    created: datetime
    last_active: datetime

    @property
    def name(self) -> str:
        return self.progress.name

    @property
    def metric(self) -> str:
        return str(self.settings["study"]["metric"])

    def as_json(self) -> dict[str, Any]:
        """What `hpo.studies list --json` says of it."""
        at = self.progress
        best = self.best
        return {
            "name": at.name,
            "uid": self.uid,
            "trials": at.wanted,
            "finished": at.finished,
            "running": at.held,
            "waiting": at.free,
            "failed": at.failed,
            "confirmation": _confirmation_json(at.confirmation),
            "priority": at.priority,
            "metric": self.metric,
            "best_value": None if best is None else best.value,
            "best_trial": None if best is None else best.number,
            "created": self.created.isoformat(),
            "last_active": self.last_active.isoformat(),
        }


def _confirmation_json(at: StudyProgress | None) -> dict[str, int] | None:
    """How far a confirmation is; None where it has not begun."""
    return None if at is None else {"trainings": at.wanted, "finished": at.finished}


def overviews(storage: Storage, name: str | None = None) -> list[Overview]:
    """All registered studies: the most urgent first, then the oldest.

    Args:
        name: Only this one.

    Raises:
        StudyGoneError: There is none of this name.
        StorageError: What is stored of one is damaged.
    """
    found = all_progress(storage, name)
    if name is not None and not found:
        raise unknown_study(storage, name)

    def read() -> list[Overview]:
        with storage.read() as connection:
            seen = (_overview(connection, each) for each in found)
            return [each for each in seen if each is not None]

    return storage.retry(read, "reading the studies")


def _overview(connection: Connection, progress: StudyProgress) -> Overview | None:
    study_id = progress.study_id
    row = connection.execute(
        select(HPO_STUDIES, STUDIES.c.study_name, STUDY_DIRECTIONS.c.direction)
        .join(STUDIES, STUDIES.c.study_id == HPO_STUDIES.c.study_id)
        .join(STUDY_DIRECTIONS, STUDY_DIRECTIONS.c.study_id == HPO_STUDIES.c.study_id)
        .where(HPO_STUDIES.c.study_id == study_id)
    ).first()
    if row is None:  # deleted since
        return None
    return Overview(
        progress=progress,
        uid=row.uid,
        settings=parse_json(spec_text(row)),
        best=_best(connection, study_id, maximize=row.direction is StudyDirection.MAXIMIZE),
        created=row.created_utc.replace(tzinfo=UTC),
        last_active=max(_moments(connection, study_id, row.created_utc)).replace(tzinfo=UTC),
    )


def _best(connection: Connection, study_id: int, *, maximize: bool) -> FrozenTrial | None:
    value = TRIAL_VALUES.c.value
    best = connection.execute(
        select(TRIALS.c.trial_id)
        .join(TRIAL_VALUES, TRIAL_VALUES.c.trial_id == TRIALS.c.trial_id)
        # An infinite value has none here.
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.COMPLETE)
        .where(value.is_not(None))
        .order_by(value.desc() if maximize else value.asc(), TRIALS.c.number)
        .limit(1)
    ).scalar()
    return None if best is None else frozen_trial(connection, best)


def _moments(connection: Connection, study_id: int, created: datetime) -> list[datetime]:
    latest = [
        select(func.max(column)).where(table.c.study_id == study_id)
        for table, column in (
            (TRIALS, TRIALS.c.datetime_start),
            (TRIALS, TRIALS.c.datetime_complete),
            (HPO_CLAIMS, HPO_CLAIMS.c.taken_utc),
        )
    ]
    found = [connection.execute(query).scalar() for query in latest]
    return [created, *(moment for moment in found if moment is not None)]
