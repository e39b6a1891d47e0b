"""Where a study's checkpoints and kept models are, beside those of other studies, and data that programs had."""

from __future__ import annotations

from glob import escape
from pathlib import Path

from hpo.spec.names import file_name


def study_folder(state: Path, study_name: str, study_uid: str) -> Path:
    """Where a study's checkpoints and models are; another study of the same name has another folder.

    The uid names it: a folder whose name an earlier version made otherwise is gone on with.
    """
    named = _named(state, study_name, study_uid)
    if named.exists():
        return named
    return min(named.parent.glob(f"*-{escape(study_uid[:12])}"), default=named)


def rename_folder(state: Path, study_name: str, study_uid: str) -> Path | None:
    """Have a study's folder go by its name of now; None where it has none here."""
    found, named = study_folder(state, study_name, study_uid), _named(state, study_name, study_uid)
    if not found.is_dir():
        return None
    return found if found == named else found.rename(named)


def data_folder(state: Path) -> Path:
    """Where data are kept that a program had in memory: a file each, or a folder of splits, named after its content."""
    return state / "data"


def _named(state: Path, study_name: str, study_uid: str) -> Path:
    return state / "studies" / f"{file_name(study_name)}-{study_uid[:12]}"
