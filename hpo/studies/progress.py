"""How far studies are: what is wanted of each, what is finished, and what workers have in hand.

What confirms a study is a row beside it in the storage, and a part of its progress here: it has none of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from optuna.trial import TrialState
from sqlalchemy import Connection, Row, func, select

from hpo.errors import StudyGoneError, nearest_name
from hpo.spec.names import confirmation_name, confirmed_study
from hpo.storage.optuna_tables import STUDIES, TRIALS
from hpo.storage.seals import Damaged, damage, place_of, spec_text
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_CLAIMS, HPO_STUDIES
from hpo.studies.confirmation_rows import confirms

FINISHED: Final = (TrialState.COMPLETE, TrialState.PRUNED)
_COUNTS: Final = ("finished", "failed", "held", "free")


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is. wanted: its budget; finished: COMPLETE or PRUNED; held: being worked on;
    free: begun and given back; failed: FAIL, which no search's budget counts; confirmation: how far that
    is, once it has begun, where a training that failed is finished, too."""

    study_id: int
    name: str
    wanted: int
    finished: int
    held: int
    free: int
    failed: int
    priority: int
    confirmation: StudyProgress | None = None

    @property
    def is_searched(self) -> bool:
        """Whether the search's budget is met."""
        return self.finished >= self.wanted

    @property
    def is_done(self) -> bool:
        """Whether it is, and the confirmation's, as far as that has begun."""
        return self.is_searched and (self.confirmation is None or self.confirmation.is_done)

    @property
    def is_given_out(self) -> bool:
        """Whether all that is left is with workers, which may die."""
        if self.is_searched and self.confirmation is not None:
            return self.confirmation.is_given_out
        return self.finished + self.held >= self.wanted


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
    return sorted(open_ones, key=lambda each: each.is_given_out)


def ended_states(name: str) -> tuple[TrialState, ...]:
    """The states of a trial that a budget counts: one of a confirmation is not tried again when it failed.

    Args:
        name: Of the study, or of what confirms one.
    """
    return FINISHED if confirmed_study(name) is None else (*FINISHED, TrialState.FAIL)


def unknown_study(storage: Storage, name: str) -> StudyGoneError:
    """The error for a study that is not there, with the names of those that are."""
    query = (
        select(STUDIES.c.study_name)
        .join(HPO_STUDIES, HPO_STUDIES.c.study_id == STUDIES.c.study_id)
        .order_by(HPO_STUDIES.c.priority.desc(), HPO_STUDIES.c.created_utc, HPO_STUDIES.c.study_id)
    )

    def read() -> list[str]:
        with storage.read() as connection:
            found = connection.execute(query).scalars()
            return [each for each in found if confirmed_study(each) is None]

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
        query = query.where(STUDIES.c.study_name.in_((name, confirmation_name(name))))
    rows = connection.execute(query).all()
    found = {row.study_name: _study_progress(connection, row) for row in rows}

    def confirmation(name: str, uid: str) -> StudyProgress | None:
        its = found.get(confirmation_name(name))
        return its if its is not None and confirms(connection, its.study_id, uid) else None

    return [
        replace(found[row.study_name], confirmation=confirmation(row.study_name, row.uid))
        for row in rows
        if confirmed_study(row.study_name) is None
    ]


def _study_progress(connection: Connection, row: Row[Any]) -> StudyProgress:
    try:
        spec_text(row)  # whose seal is also the budget's
    except Damaged as error:
        what = f"study {row.study_name}, its budget and study file"
        raise damage(place_of(connection), what, error) from error
    counts = {name: getattr(row, name) for name in _COUNTS}
    if confirmed_study(row.study_name) is not None:
        counts["finished"] += counts["failed"]
    return StudyProgress(
        study_id=row.study_id,
        name=row.study_name,
        wanted=row.trials,
        priority=row.priority,
        **counts,
    )
