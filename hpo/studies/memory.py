"""What a study has learnt, kept with it for all its workers and later runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import JsonValue
from sqlalchemy import Connection, select

from hpo.documents import parse_json
from hpo.errors import StudyGoneError
from hpo.storage.seals import Damaged, damage, place_of, sealed_text, unsealed_text
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_MEMORY, lock_study, upsert


def remember(storage: Storage, study_id: int, key: str, value: JsonValue) -> None:
    """Keep something that the study has learnt.

    Raises:
        StudyGoneError: The study was deleted.
    """

    def write() -> None:
        with locked_study(storage, study_id) as connection:
            keep(connection, study_id, key, value)

    storage.retry(write, f"noting {key}")


def recall(storage: Storage, study_id: int, key: str) -> JsonValue:
    """What `remember` kept under the key; None where nothing was."""

    def read() -> JsonValue:
        with storage.read() as connection:
            return kept(connection, study_id, key)

    return storage.retry(read, f"looking up {key}")


@contextmanager
def locked_study(storage: Storage, study_id: int) -> Iterator[Connection]:
    """A transaction that holds the study's row.

    What is kept for a study that is gone would belong to the next one: SQLite gives ids out again.

    Raises:
        StudyGoneError: The study was deleted.
    """
    with storage.write() as connection:
        if not lock_study(connection, study_id):
            raise StudyGoneError(
                storage.redacted,
                found=f"the study with the id {study_id} deleted",
                expected="a study that stays while workers are at it",
                hint="Submit it again.",
            )
        yield connection


def kept(connection: Connection, study_id: int, key: str) -> JsonValue:
    """What the study keeps under the key; None where nothing is.

    Raises:
        StorageError: It is damaged.
    """
    found = connection.execute(
        select(HPO_MEMORY.c.value_json).where(
            HPO_MEMORY.c.study_id == study_id, HPO_MEMORY.c.key == key
        )
    ).scalar_one_or_none()
    if found is None:
        return None
    try:
        value: JsonValue = parse_json(unsealed_text(found, study_id, key))
    except Damaged as error:
        raise damage(place_of(connection), f"what the study keeps as {key}", error) from error
    return value


def keep(connection: Connection, study_id: int, key: str, value: JsonValue) -> None:
    """Keep a value under the key, in place of an earlier one."""
    text = sealed_text(json.dumps(value), study_id, key)
    row = {"study_id": study_id, "key": key, "value_json": text}
    upsert(connection, HPO_MEMORY, row, ("study_id", "key"))
