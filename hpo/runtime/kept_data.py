"""Data that a program had in memory, kept as files in the state folder: whose they are."""

from __future__ import annotations

import logging
from pathlib import Path

from hpo.errors import StorageError
from hpo.runtime.study_folder import data_folder
from hpo.storage.storage import Storage
from hpo.studies.overview import Overview, overviews

logger = logging.getLogger(__name__)


def own_data(storage: Storage, study: Overview, state: Path) -> tuple[Path, ...]:
    """Those of a study that no other study of the storage names, below the state folder as that is given."""
    path = _source(study)
    if path.parent != data_folder(state).resolve() or not path.exists():
        return ()
    return () if is_named(storage, path, but=study.uid) else (data_folder(state) / path.name,)


def is_named(storage: Storage, path: Path, *, but: str) -> bool:
    """Whether a study other than the one of that uid has its data there, as far as can be told."""
    try:
        wanted = path.resolve()
        return any(_source(each) == wanted for each in overviews(storage) if each.uid != but)
    except StorageError as error:
        logger.info("Whose %s is cannot be told: %s", path, error)
        return True


def _source(study: Overview) -> Path:
    return Path(str(study.settings["data"]["source"])).resolve()
