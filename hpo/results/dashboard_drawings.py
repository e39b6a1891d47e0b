"""Drawings shown beside a study and its trials in the Optuna dashboard, as artifacts of Optuna's kind.

A file in `<state>/dashboard/`, and a system attribute that names it, also of a trial that is finished.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Table

from hpo.storage.optuna_rows import attach_artifact
from hpo.storage.optuna_tables import STUDY_SYSTEM_ATTRIBUTES, TRIAL_SYSTEM_ATTRIBUTES
from hpo.storage.storage import Storage


def artifact_folder(state: Path) -> Path:
    """Where the drawings are: beside the checkpoints, shared by the workers and the dashboard."""
    return state / "dashboard"


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
