"""A study deleted with all that is its own: in the storage, in MLflow and in the state folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.atomic import discard_folder
from hpo.outbox.quota import size_of
from hpo.results.dashboard_drawings import drawings_of
from hpo.runtime.kept_data import is_named, own_data
from hpo.runtime.study_folder import study_folder
from hpo.runtime.study_parts import Part, hold, parts_of, send_what_waits
from hpo.spec.locations import Locations
from hpo.storage.optuna_rows import delete_study
from hpo.storage.storage import Storage
from hpo.studies.overview import Overview
from hpo.tracking.removal import InMlflow, delete_from_mlflow, find_in_mlflow


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
    parts = parts_of(storage, study)
    return sum(map(size_of, (*_folders(parts, state), *_drawings(storage, parts, state))))


def belongings(storage: Storage, study: Overview, locations: Locations) -> Belongings:
    """What would go with a study; nothing is changed.

    Raises:
        TrackingError: MLflow cannot be asked.
    """
    parts = parts_of(storage, study)
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
        send_what_waits(part.identity, locations, outcome_of, before="the deletion")
        delete_from_mlflow(locations.tracking_uri, part.identity)

    def delete() -> None:
        with storage.write() as connection:
            hold(connection, storage, study.parts, dead)
            for part in study.parts:
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


def _count_trials(storage: Storage, part: Part) -> int:
    return storage.retry(lambda: storage.optuna.get_n_trials(part.study_id), "counting the trials")


def _folders(parts: tuple[Part, ...], state: Path) -> tuple[Path, ...]:
    folders = [study_folder(state, part.name, part.identity.uid) for part in parts]
    return tuple(folder for folder in folders if folder.is_dir())


def _drawings(storage: Storage, parts: tuple[Part, ...], state: Path) -> tuple[Path, ...]:
    return tuple(
        drawing for part in parts for drawing in drawings_of(storage, part.study_id, state)
    )
