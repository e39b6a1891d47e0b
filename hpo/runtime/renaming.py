"""A study renamed: in the storage, in MLflow and in the state folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.exc import IntegrityError

from hpo.errors import TrackingError
from hpo.redaction import without_credentials
from hpo.results.presentation import CHAMPION_KEY, trial_runs
from hpo.runtime.study_folder import rename_folder
from hpo.runtime.study_parts import Part, check_idle, hold, parts_of, send_what_waits
from hpo.spec.locations import Locations
from hpo.spec.names import confirmation_name, confirmed_study, model_name
from hpo.storage.storage import Storage
from hpo.studies.earlier_names import (
    check_whole,
    earlier_names,
    half_renamed,
    name_of,
    note_renaming,
    note_whole,
)
from hpo.studies.memory import recall
from hpo.studies.overview import Overview, overviews
from hpo.studies.renaming import (
    clear_confirmation,
    name_taken,
    refuse_taken,
    rename_rows,
    unlinked_trials,
)
from hpo.tracking.renaming import check_store, has_versions, rename_in_mlflow


@dataclass(frozen=True)
class Renamed:
    """What became of a study.

    Attributes:
        runs: How many it has in MLflow, those of its trials among them.
        model: The name that its registered model keeps; None where nothing is registered yet.
        folders: Its state folders.
    """

    old: str
    new: str
    uid: str
    runs: int
    model: str | None
    folders: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        """The same for a machine."""
        return {
            "study": self.new,
            "formerly": self.old,
            "uid": self.uid,
            "mlflow_runs": self.runs,
            "registered_model": self.model,
            "folders": [str(folder) for folder in self.folders],
        }


def was_cut_short(storage: Storage, old: str, new: str) -> bool:
    """Whether a study was renamed so in the storage, and not yet all else."""

    def look() -> bool:
        with storage.read() as connection:
            found = half_renamed(connection, new)
            return found is not None and found[1:] == (old, new)

    return storage.retry(look, "looking for a renaming that was cut short")


def rename(
    storage: Storage, old: str, new: str, locations: Locations, *, outcome_of: Callable[[], Any]
) -> Renamed:
    """Give a study another name.

    The storage comes first, in one transaction that notes the rest as still to be done: until that is
    done nobody works on the study, and the same call goes on where it was cut short.

    Args:
        storage: Where the study is.
        old: Its name.
        new: A name for a study.
        locations: Where all else is kept.
        outcome_of: As for `remove`.

    Raises:
        StudyGoneError: There is no such study.
        StorageError: A worker is at it, or the name is taken; nothing is changed.
        TrackingError: MLflow cannot be used, has another's things under one of the names, or has not got
            all of the study yet.
    """
    if not was_cut_short(storage, old, new):
        _rename_in_storage(storage, old, new, locations, outcome_of)
    [study] = overviews(storage, new)
    parts = parts_of(storage, study)
    before = [replace(part.identity, name=old) for part in parts]
    runs = rename_in_mlflow(locations.tracking_uri, before, new)
    folders = [rename_folder(locations.state, part.name, part.identity.uid) for part in parts]
    study_id = study.progress.study_id
    note_whole(storage, study_id)
    return Renamed(
        old,
        new,
        study.uid,
        runs,
        _registered_model(storage, study_id),
        tuple(folder for folder in folders if folder is not None),
    )


def _registered_model(storage: Storage, study_id: int) -> str | None:
    champion = recall(storage, study_id, CHAMPION_KEY)
    if isinstance(champion, dict):
        return str(champion["registered_name"])
    named_after = earlier_names(storage, study_id).registered_as
    return None if named_after is None else model_name(named_after)


def _rename_in_storage(
    storage: Storage, old: str, new: str, locations: Locations, outcome_of: Callable[[], Any]
) -> None:
    """Rename what the storage has, once nothing speaks against renaming all else."""
    for name in (old, new):
        check_whole(storage, name)
    [study] = overviews(storage, old)
    _check_free(storage, new)
    dead = check_idle(storage, study, locations.state)
    parts = parts_of(storage, study)
    for part in parts:
        send_what_waits(part.identity, locations, outcome_of, before="the renaming")
        _check_linked(storage, part, locations)
    uids = [part.identity.uid for part in parts]
    linked = sorted(trial_runs(storage, study.progress.study_id).items(), reverse=True)
    run_ids = [run_id for _, (run_id, _) in linked]
    check_store(locations.tracking_uri, old, new, uids, run_ids)
    registered = _registered_as(storage, study, parts[-1], locations)

    def write() -> None:
        with storage.write() as connection:
            if name_of(connection, study.uid) == new:
                return  # an earlier try went through, and only its answer was lost
            hold(connection, storage, parts, dead)
            refuse_taken(connection, new)
            clear_confirmation(connection, new)
            for part in parts:
                confirms = confirmed_study(part.name) is not None
                rename_rows(connection, part.study_id, confirmation_name(new) if confirms else new)
            note_renaming(connection, study.progress.study_id, old, registered)

    def rename_once() -> None:
        try:
            write()
        except IntegrityError as error:  # under PostgreSQL: somebody took the name at this instant
            raise name_taken(storage.redacted, new) from error

    storage.retry(rename_once, "renaming the study")


def _check_free(storage: Storage, name: str) -> None:
    def look() -> None:
        with storage.read() as connection:
            refuse_taken(connection, name)

    storage.retry(look, "looking for a study of that name")


def _check_linked(storage: Storage, part: Part, locations: Locations) -> None:
    """Refuse to rename what another machine's outbox is still to tell MLflow of, under the old name."""
    unlinked = unlinked_trials(storage, part.study_id)
    if not unlinked:
        return
    shown = ", ".join(map(str, unlinked[:3])) + ", …" * (len(unlinked) > 3)
    raise TrackingError(
        f"tracking server {without_credentials(locations.tracking_uri)}",
        found=f"no runs of the finished trials {shown} of {part.name}, of which nothing waits here",
        expected="all of the study",
        hint="Run `python -m hpo.doctor --flush` where its workers ran.",
    )


def _registered_as(
    storage: Storage, study: Overview, part: Part, locations: Locations
) -> str | None:
    """The name that the study's registered model keeps; None where nothing is registered yet."""
    has_champion = recall(storage, study.progress.study_id, CHAMPION_KEY) is not None
    if has_champion or has_versions(locations.tracking_uri, part.identity):
        return part.identity.registered_as or study.name
    return None
