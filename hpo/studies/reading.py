"""What was read of a study's data, kept with the study for whoever looks at it without its data."""

from __future__ import annotations

import json
from typing import Final

from hpo.data.reading import Reading
from hpo.storage.storage import Storage
from hpo.studies.memory import recall, remember

_KEY: Final = "reading"


def note_reading(storage: Storage, study_id: int, reading: Reading) -> None:
    """Keep it, unless it is kept already.

    Raises:
        StudyGoneError: The study was deleted.
    """
    document = json.loads(json.dumps(reading.as_json()))
    if recall(storage, study_id, _KEY) != document:
        remember(storage, study_id, _KEY, document)


def known_reading(storage: Storage, study_id: int) -> Reading | None:
    """What was read, where a worker of this version has been at the study."""
    document = recall(storage, study_id, _KEY)
    return Reading.from_json(document) if isinstance(document, dict) else None
