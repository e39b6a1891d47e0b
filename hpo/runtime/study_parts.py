"""A study with what confirms it, for what is done to both at once: found, and seen to be idle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from hpo.errors import StorageError, TrackingError
from hpo.leases.at_work import leases_of, workers_at
from hpo.leases.liveness import HeldLease
from hpo.outbox.outbox import is_open
from hpo.redaction import without_credentials
from hpo.spec.locations import Locations
from hpo.spec.names import confirmation_name
from hpo.storage.storage import Storage
from hpo.storage.tables import lock_study
from hpo.studies.confirmation_rows import confirmation_row
from hpo.studies.earlier_names import earlier_names
from hpo.studies.overview import Overview
from hpo.studies.progress import unknown_study
from hpo.tracking.drain import drain_abandoned
from hpo.tracking.identity import StudyIdentity
from hpo.tracking.removal import waits_for_mlflow

_SEND_SECONDS = 60.0


@dataclass(frozen=True)
class Part:
    """A study in the storage: the one that is meant, or what confirms it.

    Attributes:
        name: In the storage.
        identity: In MLflow.
    """

    study_id: int
    name: str
    identity: StudyIdentity


def parts_of(storage: Storage, study: Overview) -> tuple[Part, ...]:
    """What confirms a study, where that has begun, and itself."""

    def look() -> tuple[int, str] | None:
        with storage.read() as connection:
            return confirmation_row(connection, study.name, study.uid)

    row = storage.retry(look, "looking for what confirms the study")
    registered_as = earlier_names(storage, study.progress.study_id).registered_as
    itself = StudyIdentity(study.name, study.uid, registered_as)
    parts = [Part(study.progress.study_id, study.name, itself)]
    if row is not None:
        identity = StudyIdentity(study.name, row[1], registered_as)
        parts.insert(0, Part(row[0], confirmation_name(study.name), identity))
    return tuple(parts)


def check_idle(storage: Storage, study: Overview, state: Path) -> frozenset[str]:
    """The fencing tokens of workers that died over a study.

    Raises:
        StorageError: A worker is at it, which may be found out only after a while.
    """
    dead: frozenset[str] = frozenset()
    for part in parts_of(storage, study):
        alive, died = workers_at(storage, part.study_id)
        # Between two trials a process holds no lease, but its run is open.
        if alive or is_open(state, part.identity.key):
            raise _at_work(storage, study.name, alive)
        dead |= died
    return dead


def hold(
    connection: Connection, storage: Storage, parts: Sequence[Part], dead: frozenset[str]
) -> None:
    """Hold the rows of a study until the transaction ends.

    Args:
        connection: In a transaction.
        storage: Where the study is.
        parts: What `parts_of` returned.
        dead: What `check_idle` returned.

    Raises:
        StudyGoneError: It is gone.
        StorageError: A worker came to it meanwhile.
    """
    name = parts[-1].name
    for part in parts:
        if not lock_study(connection, part.study_id, part.identity.uid, part.name):
            raise unknown_study(storage, name)
        come = [
            each for each in leases_of(connection, part.study_id) if each.fencing_token not in dead
        ]
        if come:
            raise _at_work(storage, name, come)


def send_what_waits(
    study: StudyIdentity, locations: Locations, outcome_of: Callable[[], Any], before: str
) -> None:
    """See to it that nothing comes to MLflow too late.

    Args:
        study: Whose operations are meant.
        locations: Where they wait, and for what.
        outcome_of: Makes what tells how trials ended, for what other studies left in the same outboxes.
        before: What is to be done then, in words.

    Raises:
        TrackingError: They still wait.
    """
    if not waits_for_mlflow(locations.state, study):
        return
    drain_abandoned(locations.state, timeout_seconds=_SEND_SECONDS, outcome_of=outcome_of())
    waiting = waits_for_mlflow(locations.state, study)
    if waiting:
        raise TrackingError(
            f"tracking server {without_credentials(locations.tracking_uri)}",
            found=f"{waiting} operations of {study.name} that still wait for it in {locations.state / 'outbox'}",
            expected=f"a server that takes them, or they would come to it after {before}",
            hint="Start it, and run the same command again.",
        )


def _at_work(storage: Storage, name: str, leases: list[HeldLease]) -> StorageError:
    places = sorted({f"process {each.pid} on {each.machine.split()[0]}" for each in leases})
    by = f" ({', '.join(places[:3])})" if places else ""
    return StorageError(
        storage.redacted,
        found=f"{name}, which is being worked on{by}",
        expected="a study that no worker is at",
        hint="Stop its workers, and run the same command again.",
    )
