"""Drawings shown beside a study and its trials in the Optuna dashboard, as artifacts of Optuna's kind.

A file in `<state>/dashboard/`, and a system attribute that names it, also of a trial that is finished.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Table, select

from hpo.storage.optuna_rows import ARTIFACTS, attach_artifact
from hpo.storage.optuna_tables import (
    STUDY_SYSTEM_ATTRIBUTES,
    TRIAL_SYSTEM_ATTRIBUTES,
    TRIALS,
)
from hpo.storage.storage import Storage


def artifact_folder(state: Path) -> Path:
    """Where the drawings are: beside the checkpoints, shared by the workers and the dashboard."""
    return state / "dashboard"


def drawings_of(storage: Storage, study_id: int, state: Path) -> tuple[Path, ...]:
    """The files of the drawings of a study and of its trials, those that are there."""
    of_study, of_trials = STUDY_SYSTEM_ATTRIBUTES, TRIAL_SYSTEM_ATTRIBUTES
    trials = select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    queries = (
        select(of_study.c.key).where(of_study.c.study_id == study_id),
        select(of_trials.c.key).where(of_trials.c.trial_id.in_(trials)),
    )

    def read() -> list[str]:
        with storage.read() as connection:
            return [key for query in queries for key in connection.execute(query).scalars()]

    keys = storage.retry(read, "reading the names of the drawings")
    names = [key.removeprefix(ARTIFACTS) for key in keys if key.startswith(ARTIFACTS)]
    # Names that somebody else put there lead nowhere else.
    files = [artifact_folder(state) / name for name in names if Path(name).name == name]
    return tuple(file for file in files if file.is_file())


def show_with_trial(storage: Storage, trial_id: int, state: Path, name: str, drawing: str) -> None:
    """Show an SVG drawing with a trial, in place of an earlier one of that name."""
    _show(storage, TRIAL_SYSTEM_ATTRIBUTES, trial_id, state, name, drawing)


def show_with_study(storage: Storage, study_id: int, state: Path, name: str, drawing: str) -> None:
    """Show an SVG drawing with a study, in place of an earlier one of that name."""
    _show(storage, STUDY_SYSTEM_ATTRIBUTES, study_id, state, name, drawing)


def _show(
    storage: Storage, table: Table, owner_id: int, state: Path, name: str, drawing: str
) -> None:
    folder = artifact_folder(state)
    folder.mkdir(parents=True, exist_ok=True)

    def write() -> None:
        with storage.write() as connection:
            identifier = attach_artifact(connection, table, owner_id, name, "image/svg+xml")
            (folder / identifier).write_text(drawing, "utf-8")

    storage.retry(write, f"showing {name} in the dashboard")
