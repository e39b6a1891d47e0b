"""A study opened as tests of the tracker do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hpo.tracking import StudyTracker


def open_study(store: str, study: str, state_dir: Path, **others: Any) -> StudyTracker:
    return StudyTracker.open(
        store,
        study,
        state_dir,
        study_uid="u1",
        study_file=f'[study]\nname = "{study}"\n',
        environment={"torch": "2.13"},
        **others,
    )
