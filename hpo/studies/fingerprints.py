"""What a study's trials are trained on, and from: the same for all of them, or they cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from pydantic import JsonValue
from sqlalchemy import Connection, delete

from hpo.errors import DataError, ModelError
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_MEMORY
from hpo.studies.memory import keep, kept, locked_study, recall

_KEY: Final = "materials"
_SHOWN: Final = 12  # digits of a fingerprint, enough to tell two apart
_HINT: Final = "Put the old {} back, or use another --name."


@dataclass(frozen=True)
class Fingerprints:
    """Fingerprints of a study's texts with their labels, and of the model that its trials begin with."""

    data: str
    model: str


def check_fingerprints(
    storage: Storage, study_id: int, name: str, fingerprints: Fingerprints
) -> None:
    """See that a process has what the study's trials are made of; the first to come says what that
    is.

    Raises:
        DataError: It has something else.
        ModelError: It has something else.
        StudyGoneError: The study was deleted.
    """

    def check() -> None:
        with locked_study(storage, study_id) as connection:
            agree_on(connection, study_id, name, fingerprints)

    storage.retry(check, "comparing data and model with the study's")


def agree_on(connection: Connection, study_id: int, name: str, fingerprints: Fingerprints) -> None:
    """The same in a transaction of the caller's that holds the study's row."""
    known = kept(connection, study_id, _KEY)
    if not isinstance(known, dict):
        keep(connection, study_id, _KEY, asdict(fingerprints))
        return
    _refuse_others(known, name, fingerprints, _HINT)


def compare_fingerprints(
    storage: Storage, study_id: int, name: str, fingerprints: Fingerprints
) -> None:
    """See that a process has what the study's trials were made of, and keep nothing.

    Raises:
        DataError: It has something else.
        ModelError: It has something else.
    """
    known = recall(storage, study_id, _KEY)
    if isinstance(known, dict):
        _refuse_others(known, name, fingerprints, "Put the old {} back.")


def _refuse_others(
    known: Mapping[str, JsonValue], name: str, fingerprints: Fingerprints, hint: str
) -> None:
    if known["data"] != fingerprints.data:
        raise DataError(
            f"study {name}",
            found=f"other data than its trials were trained on ({_differ(known['data'], fingerprints.data)})",
            expected="the same texts, labels and splits, so that its trials can be compared",
            hint=hint.format("data"),
        )
    if known["model"] != fingerprints.model:
        raise ModelError(
            f"study {name}",
            found=f"another model than its trials began with ({_differ(known['model'], fingerprints.model)})",
            expected="the same weights, so that its trials can be compared",
            hint=hint.format("model"),
        )


def forget(connection: Connection, study_id: int) -> None:
    """Leave what the study is made of to whoever comes next."""
    connection.execute(
        delete(HPO_MEMORY).where(HPO_MEMORY.c.study_id == study_id, HPO_MEMORY.c.key == _KEY)
    )


def _differ(known: object, now: str) -> str:
    return f"fingerprint {now[:_SHOWN]}, theirs {str(known)[:_SHOWN]}"
