"""What a study that was renamed remembers of the names that it had, and of a renaming that was cut short."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, select

from hpo.errors import StudyGoneError
from hpo.storage.optuna_tables import STUDIES
from hpo.storage.seals import place_of
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_MEMORY, HPO_STUDIES
from hpo.studies.memory import keep, kept, recall, remember

_EARLIER_NAMES: Final = "earlier names"


@dataclass(frozen=True)
class EarlierNames:
    """The names that a study had.

    Attributes:
        former: The latest first.
        registered_as: The one that its registered model is named after; None where that is its name of now.
        is_whole: Whether all that goes by its name has followed; it is not worked on until then.
    """

    former: tuple[str, ...] = ()
    registered_as: str | None = None
    is_whole: bool = True


NEVER_RENAMED: Final = EarlierNames()


def earlier_names(storage: Storage, study_id: int) -> EarlierNames:
    """The names that a study had."""
    return _from_json(recall(storage, study_id, _EARLIER_NAMES))


def note_renaming(
    connection: Connection, study_id: int, former: str, registered_as: str | None
) -> None:
    """Note in the transaction that renames a study what it was called; it is not whole then."""
    known = _from_json(kept(connection, study_id, _EARLIER_NAMES))
    noted = EarlierNames((former, *known.former), known.registered_as or registered_as, False)
    keep(connection, study_id, _EARLIER_NAMES, asdict(noted))


def note_whole(storage: Storage, study_id: int) -> None:
    """Note that all of a study goes by its new name."""
    noted = replace(earlier_names(storage, study_id), is_whole=True)
    remember(storage, study_id, _EARLIER_NAMES, asdict(noted))


def name_of(connection: Connection, uid: str) -> str | None:
    """The name of a study now; None where it is gone."""
    query = (
        select(STUDIES.c.study_name)
        .join(HPO_STUDIES, HPO_STUDIES.c.study_id == STUDIES.c.study_id)
        .where(HPO_STUDIES.c.uid == uid)
    )
    return connection.execute(query).scalar()


def half_renamed(connection: Connection, name: str) -> tuple[int, str, str] | None:
    """The study that goes by this name in some places and by another elsewhere: its id, old and new name."""
    for study_id, now, known in _renamed_studies(connection):
        if not known.is_whole and name in (now, known.former[0]):
            return study_id, known.former[0], now
    return None


def called_so_before(connection: Connection, name: str) -> list[str]:
    """The studies of other names that once had this one."""
    return [now for _, now, known in _renamed_studies(connection) if name in known.former]


def refuse_half_renamed(connection: Connection, name: str) -> None:
    """Raise StudyGoneError where a study that was not renamed to the end goes by this name anywhere."""
    found = half_renamed(connection, name)
    if found is None:
        return
    _, old, new = found
    again = shlex.join(["python", "-m", "hpo.studies", "rename", old, new])
    raise StudyGoneError(
        place_of(connection),
        found=f"a renaming of {old} to {new} that is under way, or was cut short",
        expected="a study that goes by one name everywhere",
        hint=f"Run `{again}` again.",
    )


def check_whole(storage: Storage, name: str) -> None:
    """The same for a storage."""

    def look() -> None:
        with storage.read() as connection:
            refuse_half_renamed(connection, name)

    storage.retry(look, "looking for renamings")


def _renamed_studies(connection: Connection) -> Iterator[tuple[int, str, EarlierNames]]:
    """The studies that were ever renamed, by id and name."""
    query = (
        select(STUDIES.c.study_id, STUDIES.c.study_name)
        .join(HPO_MEMORY, HPO_MEMORY.c.study_id == STUDIES.c.study_id)
        .where(HPO_MEMORY.c.key == _EARLIER_NAMES)
        .order_by(STUDIES.c.study_id)
    )
    for row in connection.execute(query).all():
        yield (
            row.study_id,
            row.study_name,
            _from_json(kept(connection, row.study_id, _EARLIER_NAMES)),
        )


def _from_json(document: Any) -> EarlierNames:
    if not isinstance(document, dict):
        return NEVER_RENAMED
    return EarlierNames(**{**document, "former": tuple(document["former"])})
