"""Where a study's checkpoints and kept models are, beside those of other studies, and data that programs had."""

from __future__ import annotations

from glob import escape
from pathlib import Path

from hpo.spec.names import file_name


def study_folder(state: Path, study_name: str, study_uid: str) -> Path:
    """Where a study's checkpoints and models are; another study of the same name has another folder.

    The uid names it: a folder whose name an earlier version made otherwise is gone on with.
    """
    folder, uid = state / "studies", study_uid[:12]
    named = folder / f"{file_name(study_name)}-{uid}"
    if named.exists():
        return named
    return min(folder.glob(f"*-{escape(uid)}"), default=named)


def data_folder(state: Path) -> Path:
    """Where data are kept that a program had in memory: a file each, or a folder of splits, named after its content."""
    return state / "data"
