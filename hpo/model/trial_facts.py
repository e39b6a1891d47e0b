"""What stands beside weights that a trial trained, `trial.json`: believed only in its own shape."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, FiniteFloat, JsonValue, TypeAdapter

from hpo.documents import parse_json, typed
from hpo.formats import TRAINED, refusal

FACTS_FILE: Final = "trial.json"

_Name = Annotated[str, Field(min_length=1)]


class _Facts(BaseModel):
    """The keys that are needed, and the later ones with what an earlier release meant by leaving them out."""

    base_model: _Name
    base_revision: str | None
    base_fingerprint: _Name
    freeze_depth: Annotated[int, Field(ge=0, le=100_000)]
    task: _Name = "single_label"
    problem_type: str | None = None
    task_facts: dict[str, JsonValue] = {}
    label_names: Annotated[list[str], Field(min_length=1)]
    max_length: Annotated[int, Field(ge=1, le=10_000_000)]
    decay: FiniteFloat
    preprocessing: dict[str, JsonValue] = {}
    trial: dict[str, JsonValue] = {}


_SHAPE: Final = TypeAdapter(_Facts)


def read_facts(folder: Path) -> dict[str, Any]:
    """The document in a folder that `save_trained` wrote, as it stands there.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not what was written, or a newer release wrote it.
    """
    path = folder / FACTS_FILE
    document = parse_json(path.read_text(encoding="utf-8"))
    if isinstance(document, dict):
        newer = refusal(TRAINED, str(path), document.get("format"))
        if newer is not None:
            raise ValueError(str(newer))
    typed(_SHAPE, document)
    facts: dict[str, Any] = document
    facts.setdefault("task", _Facts.model_fields["task"].default)
    return facts
