"""How far studies are: what is wanted of each, what is finished, and what workers have in hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from optuna.trial import TrialState
from sqlalchemy import Connection, Row, func, select

from hpo.errors import StudyGoneError, nearest_name
from hpo.storage.optuna_tables import STUDIES, TRIALS
from hpo.storage.seals import Damaged, damage, place_of, spec_text
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_CLAIMS, HPO_STUDIES

FINISHED: Final = (TrialState.COMPLETE, TrialState.PRUNED)
_COUNTS: Final = ("finished", "failed", "held", "free")


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is. wanted: its budget; finished: COMPLETE or PRUNED; held: being worked on;
    free: begun and given back; failed: FAIL, which no budget counts."""

    study_id: int
    name: str
    wanted: int
    finished: int
    held: int
    free: int
    failed: int
    priority: int

    @property
    def is_done(self) -> bool:
        return self.finished >= self.wanted


def progress(storage: Storage, name: str) -> StudyProgress:
    """How far a registered study is.

    Raises:
        StudyGoneError: There is none of this name.
    """
    found = all_progress(storage, name)
    if not found:
        raise unknown_study(storage, name)
    return found[0]


def all_progress(storage: Storage, name: str | None = None) -> list[StudyProgress]:
    """How far each registered study is: the most urgent first, then the oldest.

    Args:
        name: Only this one.

    Raises:
        StorageError: What is stored of one is damaged.
    """

    def read() -> list[StudyProgress]:
        with storage.read() as connection:
            return _progress(connection, name)

    return storage.retry(read, "reading the studies")


def studies_with_work(storage: Storage, name: str | None = None) -> list[StudyProgress]:
    """Studies whose budget is not met, in the order in which a worker should try them.

    Those that have a trial to give come first; then those whose last trials are with other workers,
    which may die.

    Args:
        name: Only this study.
    """
    open_ones = [each for each in all_progress(storage, name) if not each.is_done]
    return sorted(open_ones, key=lambda each: each.finished + each.held >= each.wanted)


def unknown_study(storage: Storage, name: str) -> StudyGoneError:
    """The error for a study that is not there, with the names of those that are."""
    query = (
        select(STUDIES.c.study_name)
        .join(HPO_STUDIES, HPO_STUDIES.c.study_id == STUDIES.c.study_id)
        .order_by(HPO_STUDIES.c.priority.desc(), HPO_STUDIES.c.created_utc, HPO_STUDIES.c.study_id)
    )

    def read() -> list[str]:
        with storage.read() as connection:
            return list(connection.execute(query).scalars())

    names = storage.retry(read, "reading the studies")
    return no_such_study(storage.redacted, name, names)


def no_such_study(place: str, name: str, names: Sequence[str]) -> StudyGoneError:
    """The same, where the names are known.

    Args:
        place: The storage, for people.
    """
    near = nearest_name(name, names)
    return StudyGoneError(
        place,
        found=f"no study {name}",
        expected="one of " + ", ".join(names) if names else "a study that was submitted",
        hint=f"Did you mean {near}?" if near else "Check the name, or submit the study first.",
    )


def _progress(connection: Connection, name: str | None) -> list[StudyProgress]:
    states = (
        select(
            TRIALS.c.study_id,
            func.count().filter(TRIALS.c.state.in_(FINISHED)).label("finished"),
            func.count().filter(TRIALS.c.state == TrialState.FAIL).label("failed"),
            func.count()
            .filter(TRIALS.c.state == TrialState.RUNNING, HPO_CLAIMS.c.status == "held")
            .label("held"),
            func.count()
            .filter(TRIALS.c.state == TrialState.RUNNING, HPO_CLAIMS.c.status == "free")
            .label("free"),
        )
        .join(HPO_CLAIMS, HPO_CLAIMS.c.trial_id == TRIALS.c.trial_id, isouter=True)
        .group_by(TRIALS.c.study_id)
        .subquery()
    )
    query = (
        select(
            HPO_STUDIES.c.study_id,
            HPO_STUDIES.c.uid,
            HPO_STUDIES.c.spec_json,
            STUDIES.c.study_name,
            HPO_STUDIES.c.trials,
            HPO_STUDIES.c.priority,
            *(func.coalesce(states.c[name], 0).label(name) for name in _COUNTS),
        )
        .join(STUDIES, STUDIES.c.study_id == HPO_STUDIES.c.study_id)
        .join(states, states.c.study_id == HPO_STUDIES.c.study_id, isouter=True)
        .order_by(HPO_STUDIES.c.priority.desc(), HPO_STUDIES.c.created_utc, HPO_STUDIES.c.study_id)
    )
    if name is not None:
        query = query.where(STUDIES.c.study_name == name)
    return [_study_progress(connection, row) for row in connection.execute(query)]


def _study_progress(connection: Connection, row: Row[Any]) -> StudyProgress:
    try:
        spec_text(row)  # whose seal is also the budget's
    except Damaged as error:
        what = f"study {row.study_name}, its budget and study file"
        raise damage(place_of(connection), what, error) from error
    return StudyProgress(
        study_id=row.study_id,
        name=row.study_name,
        wanted=row.trials,
        priority=row.priority,
        **{name: getattr(row, name) for name in _COUNTS},
    )
