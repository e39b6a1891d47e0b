"""Which study of the storage confirms another: the one of its name that remembers the other's uid.

A study deleted by other means leaves what confirmed it, which is nothing of a later study of its name.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, select

from hpo.spec.names import confirmation_name
from hpo.storage.optuna_tables import STUDIES
from hpo.storage.tables import HPO_STUDIES
from hpo.studies.memory import keep, kept

_OF: Final = "confirms"  # under which it remembers the uid of its study


def confirmation_row(connection: Connection, name: str, uid: str) -> tuple[int, str] | None:
    """The id and uid of what confirms a study; None where nothing does yet.

    Args:
        name: The study's.
        uid: The study's.
    """
    found = row_of_that_name(connection, name)
    return found if found is not None and confirms(connection, found[0], uid) else None


def row_of_that_name(connection: Connection, name: str) -> tuple[int, str] | None:
    """The id and uid of what confirms a study of this name, be it one that is gone; None where there is none."""
    row = connection.execute(
        select(HPO_STUDIES.c.study_id, HPO_STUDIES.c.uid)
        .join(STUDIES, STUDIES.c.study_id == HPO_STUDIES.c.study_id)
        .where(STUDIES.c.study_name == confirmation_name(name))
    ).first()
    return None if row is None else (int(row.study_id), str(row.uid))


def confirms(connection: Connection, study_id: int, uid: str) -> bool:
    """Whether a study of the storage confirms the one of this uid."""
    return kept(connection, study_id, _OF) == uid


def note_confirmed(connection: Connection, study_id: int, uid: str) -> None:
    """Have a study of the storage remember the uid of the one that it confirms."""
    keep(connection, study_id, _OF, uid)
