"""The families of models that there are, by the `model_type` of a config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hpo.errors import ModelError
from hpo.model.family import ModelFamily
from hpo.model.gpt2 import GPT2

FAMILIES: Final[Mapping[str, ModelFamily]] = {"gpt2": GPT2}


def family_of(document: Mapping[str, Any], model: str) -> ModelFamily:
    """The family of a model with this `config.json`.

    Args:
        document: What the file holds.
        model: The model's name, for messages.

    Raises:
        ModelError: For a type that is none of `FAMILIES`.
    """
    kind = document.get("model_type")
    family = FAMILIES.get(str(kind))
    if family is None:
        raise ModelError(
            f"model {model}",
            found=f"a model of type {kind!s:.50}",
            expected=f"a model of type {' or '.join(FAMILIES)}",
            hint="Name a GPT-2 checkpoint (gpt2, distilgpt2, gpt2-medium, …).",
        )
    return family
