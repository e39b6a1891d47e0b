"""Studies renamed in the Optuna dashboard, which copies their trials under the new name and deletes them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from hpo.errors import StudyGoneError
from hpo.redaction import redacted
from hpo.storage.optuna_tables import STUDIES, TRIAL_SYSTEM_ATTRIBUTES, TRIALS
from hpo.storage.seals import TRIAL_SEAL
from hpo.storage.storage import look_into, registered_names
from hpo.storage.tables import HPO_STUDIES
from hpo.studies.progress import no_such_study

WAY_ON = (
    "Run it under a --name that is free: the copy's trials stay to be looked at. "
    "`python -m hpo.studies rename` renames a study with all that is its own."
)


def copies(connection: Connection) -> list[str]:
    """Names of the studies that have trials of ours, but are not ours: what hpo knew of them is gone."""
    sealed = (
        select(TRIALS.c.study_id)
        .join(TRIAL_SYSTEM_ATTRIBUTES, TRIAL_SYSTEM_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
        .where(TRIAL_SYSTEM_ATTRIBUTES.c.key == TRIAL_SEAL)
    )
    query = (
        select(STUDIES.c.study_name)
        .where(STUDIES.c.study_id.in_(sealed))
        .where(STUDIES.c.study_id.not_in(select(HPO_STUDIES.c.study_id)))
        .order_by(STUDIES.c.study_name)
    )
    return list(connection.execute(query).scalars())


def check_registered(url: str, name: str) -> None:
    """Look for a study of ours in a storage, with nothing made.

    Raises:
        StudyGoneError: There is none of this name.
        StorageError: The storage cannot be used.
    """
    known = registered_names(url)
    if name not in known:
        raise study_not_found(url, name, known)


def study_not_found(url: str, name: str, known: Sequence[str]) -> StudyGoneError:
    """The error for the name of no study of ours: none has it, or a copy.

    Args:
        url: Of the storage.
        known: The studies in it.
    """
    if name in look_into(url, copies):
        return StudyGoneError(
            redacted(url),
            found=f"a study {name} that is a copy of one of hpo's, made when that was renamed in the dashboard",
            expected="a study that goes by the name it was submitted under",
            hint=WAY_ON,
        )
    return no_such_study(redacted(url), name, known)


def named(names: list[str]) -> str:
    """The first of some copies, in words."""
    shown = ", ".join(names[:3]) + ", …" * (len(names) > 3)
    return f"{shown}, made when a study was renamed in the dashboard"
