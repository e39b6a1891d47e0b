"""Drawings shown beside a study and its trials in the Optuna dashboard, as artifacts of Optuna's kind.

A file in `<state>/dashboard/`, and a system attribute that names it: what optuna.artifacts.upload_artifact
does, also for a trial that is finished.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from sqlalchemy import Table, select

from hpo.storage.storage import Storage
from hpo.storage.tables import (
    ARTIFACTS,
    STUDY_SYSTEM_ATTRIBUTES,
    TRIAL_SYSTEM_ATTRIBUTES,
    set_attribute,
)


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
    owner = table.c.trial_id if "trial_id" in table.c else table.c.study_id
    query = select(table.c.value_json).where(
        owner == owner_id, table.c.key.startswith(ARTIFACTS, autoescape=True)
    )

    def write() -> None:
        with storage.write() as connection:
            # Optuna keeps them as JSON text, which the attribute then wraps in JSON once more.
            shown = [json.loads(json.loads(text)) for text in connection.execute(query).scalars()]
            known = [meta["artifact_id"] for meta in shown if meta["filename"] == name]
            identifier = known[0] if known else str(uuid.uuid4())
            (folder / identifier).write_text(drawing, "utf-8")
            meta = {
                "artifact_id": identifier,
                "filename": name,
                "mimetype": "image/svg+xml",
                "encoding": None,
            }
            set_attribute(connection, table, owner_id, f"{ARTIFACTS}{identifier}", json.dumps(meta))

    storage.retry(write, f"showing {name} in the dashboard")
