"""A study deleted with all that is its own: in the storage, in MLflow and in the state folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.atomic import discard_folder
from hpo.errors import StorageError, TrackingError
from hpo.leases.at_work import leases_of, workers_at
from hpo.leases.liveness import HeldLease
from hpo.outbox.outbox import is_open
from hpo.outbox.quota import size_of
from hpo.redaction import without_credentials
from hpo.results.dashboard_drawings import drawings_of
from hpo.runtime.kept_data import is_named, own_data
from hpo.runtime.study_folder import study_folder
from hpo.spec.locations import Locations
from hpo.spec.names import confirmation_name
from hpo.storage.optuna_rows import delete_study
from hpo.storage.storage import Storage
from hpo.storage.tables import lock_study
from hpo.studies.confirmations import confirmation_row
from hpo.studies.overview import Overview
from hpo.studies.progress import unknown_study
from hpo.tracking.drain import drain_abandoned
from hpo.tracking.identity import StudyIdentity
from hpo.tracking.removal import (
    InMlflow,
    delete_from_mlflow,
    find_in_mlflow,
    waits_for_mlflow,
)

_SEND_SECONDS = 60.0


@dataclass(frozen=True)
class Part:
    """A study in the storage: the one that is deleted, or what confirms it.

    Attributes:
        name: In the storage.
        identity: In MLflow.
    """

    study_id: int
    name: str
    identity: StudyIdentity


@dataclass(frozen=True)
class Belongings:
    """What goes with a study.

    Attributes:
        parts: What confirms it, where that has begun, and itself.
        trials: In the storage, in whatever state.
        folders: Its checkpoints and kept models; none where there is none of it.
        drawings: Of its trials and its own, for the dashboard.
        data: Kept for it alone, a file or a folder, where a program had them in memory.
        bytes: What folders, drawings and data take on the disk.
    """

    name: str
    uid: str
    parts: tuple[Part, ...]
    trials: int
    in_mlflow: InMlflow
    folders: tuple[Path, ...]
    drawings: tuple[Path, ...]
    data: tuple[Path, ...]
    bytes: int

    def as_json(self) -> dict[str, Any]:
        """The same for a machine."""
        return {
            "study": self.name,
            "uid": self.uid,
            "trials": self.trials,
            "mlflow_runs": list(self.in_mlflow.runs),
            "logged_models": list(self.in_mlflow.models),
            "model_versions": [f"models:/{name}/{it}" for name, it in self.in_mlflow.versions],
            "folders": [str(folder) for folder in self.folders],
            "data": [str(path) for path in self.data],
            "bytes": self.bytes,
        }


def bytes_of(storage: Storage, study: Overview, state: Path) -> int:
    """What a study takes on the disk in a state folder."""
    parts = _parts(storage, study)
    return sum(map(size_of, (*_folders(parts, state), *_drawings(storage, parts, state))))


def belongings(storage: Storage, study: Overview, locations: Locations) -> Belongings:
    """What would go with a study; nothing is changed.

    Raises:
        TrackingError: MLflow cannot be asked.
    """
    parts = _parts(storage, study)
    data = own_data(storage, study, locations.state)
    there = [find_in_mlflow(locations.tracking_uri, part.identity) for part in parts]
    return Belongings(
        name=study.name,
        uid=study.uid,
        parts=parts,
        trials=sum(_count_trials(storage, part) for part in parts),
        in_mlflow=InMlflow(
            runs=tuple(run for each in there for run in each.runs),
            models=tuple(model for each in there for model in each.models),
            versions=tuple(version for each in there for version in each.versions),
        ),
        folders=_folders(parts, locations.state),
        drawings=_drawings(storage, parts, locations.state),
        data=data,
        bytes=bytes_of(storage, study, locations.state) + sum(map(size_of, data)),
    )


def check_idle(storage: Storage, study: Overview, state: Path) -> frozenset[str]:
    """The fencing tokens of workers that died over a study.

    Raises:
        StorageError: A worker is at it, which may be found out only after a while.
    """
    dead: frozenset[str] = frozenset()
    for part in _parts(storage, study):
        alive, died = workers_at(storage, part.study_id)
        # Between two trials a process holds no lease, but its run is open.
        if alive or is_open(state, part.identity.key):
            raise _at_work(storage, study.name, alive)
        dead |= died
    return dead


def remove(
    storage: Storage,
    study: Belongings,
    locations: Locations,
    *,
    dead: frozenset[str],
    outcome_of: Callable[[], Any],
) -> None:
    """Delete a study. MLflow comes first and the storage after it, so that it can be done again if cut short.

    Args:
        dead: What `check_idle` returned.
        outcome_of: Makes what tells how trials ended, for what other studies left in the same outboxes.

    Raises:
        TrackingError: MLflow cannot be used, or has not got all of the study yet; nothing is deleted.
        StorageError: A worker came to it meanwhile.
    """
    for part in study.parts:
        _send_what_waits(part.identity, locations, outcome_of)
        delete_from_mlflow(locations.tracking_uri, part.identity)

    def delete() -> None:
        with storage.write() as connection:
            for part in study.parts:
                if not lock_study(connection, part.study_id, part.identity.uid):
                    raise unknown_study(storage, study.name)
                leases = leases_of(connection, part.study_id)
                come = [each for each in leases if each.fencing_token not in dead]
                if come:
                    raise _at_work(storage, study.name, come)
                delete_study(connection, part.study_id)

    storage.retry(delete, "deleting the study")
    for folder in study.folders:
        discard_folder(folder)
    for drawing in study.drawings:
        drawing.unlink(missing_ok=True)
    for path in study.data:
        if is_named(storage, path, but=study.uid):  # meanwhile
            continue
        if path.is_dir():
            discard_folder(path)
        else:
            path.unlink(missing_ok=True)


def _send_what_waits(
    study: StudyIdentity, locations: Locations, outcome_of: Callable[[], Any]
) -> None:
    """See to it that nothing comes to MLflow after the deletion."""
    if not waits_for_mlflow(locations.state, study):
        return
    drain_abandoned(locations.state, timeout_seconds=_SEND_SECONDS, outcome_of=outcome_of())
    waiting = waits_for_mlflow(locations.state, study)
    if waiting:
        raise TrackingError(
            f"tracking server {without_credentials(locations.tracking_uri)}",
            found=f"{waiting} operations of {study.name} that still wait for it in {locations.state / 'outbox'}",
            expected="a server that takes them, or they would come to it after the deletion",
            hint="Start it, and run the same command again.",
        )


def _parts(storage: Storage, study: Overview) -> tuple[Part, ...]:
    def look() -> tuple[int, str] | None:
        with storage.read() as connection:
            return confirmation_row(connection, study.name)

    row = storage.retry(look, "looking for what confirms the study")
    itself = StudyIdentity(study.name, study.uid)
    parts = [Part(study.progress.study_id, study.name, itself)]
    if row is not None:
        identity = StudyIdentity(study.name, row[1])
        parts.insert(0, Part(row[0], confirmation_name(study.name), identity))
    return tuple(parts)


def _count_trials(storage: Storage, part: Part) -> int:
    return storage.retry(lambda: storage.optuna.get_n_trials(part.study_id), "counting the trials")


def _folders(parts: tuple[Part, ...], state: Path) -> tuple[Path, ...]:
    folders = [study_folder(state, part.name, part.identity.uid) for part in parts]
    return tuple(folder for folder in folders if folder.is_dir())


def _drawings(storage: Storage, parts: tuple[Part, ...], state: Path) -> tuple[Path, ...]:
    return tuple(
        drawing for part in parts for drawing in drawings_of(storage, part.study_id, state)
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
