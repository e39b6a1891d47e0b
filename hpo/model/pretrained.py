"""A pretrained model in memory: its configuration, weights and tokenizer, read and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hpo.errors import ModelError
from hpo.model.families import family_of
from hpo.model.family import Architecture, ModelFamily
from hpo.model.model_files import model_folder, read_config_document
from hpo.model.tokenizer import load_tokenizer, tokenizer_fingerprint
from hpo.model.weight_files import StoredTensor, read_tensors

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

# What computes as it stands; of whole numbers and 8-bit ones only their library knows what they mean.
_NUMBER_FORMATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(frozen=True)
class PretrainedModel:
    """A pretrained model in memory. Nobody changes its weights: trials copy what they train.

    Attributes:
        name: Hub id, local directory or "demo", as the study names it.
        revision: Of a hub model; None: the newest.
        family: What the engine asks about names, mask and pooling.
        config: As transformers reads it.
        architecture: Sizes, and what else the forward pass needs.
        weights: fp32 tensors under the family's names, the head left out.
        tokenizer: As transformers loads it.
        fingerprint: Of the weights and the architecture, the same wherever they were loaded from.
        tokenizer_fingerprint: Of what the tokenizer does.
    """

    name: str
    revision: str | None
    family: ModelFamily
    config: PretrainedConfig
    architecture: Architecture
    weights: Mapping[str, Tensor]
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str
    tokenizer_fingerprint: str


def load_pretrained(name: str, revision: str | None = None) -> PretrainedModel:
    """Load a model and its tokenizer.

    Args:
        name: Hub id, local directory or "demo".
        revision: Of a hub model; None: the newest.

    Raises:
        ModelError: Where there is none, it is damaged, or of a family that is not known.
    """
    folder = model_folder(name, revision)
    document = read_config_document(folder, name)
    family = family_of(document, name)
    config = family.read_config(document, name)
    architecture = family.architecture(config, name)
    weights = _read_weights(folder, name, family, architecture)
    tokenizer = load_tokenizer(folder, name, architecture.vocab_size)
    return PretrainedModel(
        name=name,
        revision=revision,
        family=family,
        config=config,
        architecture=architecture,
        weights=weights,
        tokenizer=tokenizer,
        fingerprint=_fingerprint(architecture, weights),
        tokenizer_fingerprint=tokenizer_fingerprint(tokenizer),
    )


def _read_weights(
    folder: Path, name: str, family: ModelFamily, architecture: Architecture
) -> Mapping[str, Tensor]:
    stored: dict[str, StoredTensor] = {}
    for key, found in read_tensors(folder, name).items():
        full_name = family.full_name(key)
        if full_name in stored:
            raise _bad_weight(name, full_name, "two of that name", "one", found.file)
        stored[full_name] = found
    weights = {}
    for key, shape in family.shapes(architecture).items():
        expected = f"a weight of shape {shape}, as config.json says"
        if key not in stored:
            raise _bad_weight(name, key, "nothing of that name", expected)
        tensor, file = stored[key].tensor, stored[key].file
        if tensor.shape != shape:
            raise _bad_weight(name, key, f"shape {tuple(tensor.shape)}", expected, file)
        if tensor.dtype not in _NUMBER_FORMATS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise _bad_weight(name, key, f"numbers of type {kind}", "floating-point numbers", file)
        weights[key] = tensor.to(torch.float32).contiguous()
        # A sum has no memory to fill, and is finite only where all of its terms are.
        if not weights[key].sum().isfinite() and not weights[key].isfinite().all():
            odd = int((~weights[key].isfinite()).sum())
            found_numbers = f"{odd} of {tensor.numel()} numbers NaN or infinite"
            raise _bad_weight(name, key, found_numbers, "finite numbers in fp32", file)
    return weights


def _bad_weight(
    name: str, key: str, found: str, expected: str, file: str | None = None
) -> ModelError:
    return ModelError(
        f"model {name}, {f'{file}, ' if file else ''}weight {key}",
        found=found,
        expected=expected,
        hint="Fetch the model again, or save it with save_pretrained.",
    )


def _fingerprint(architecture: Architecture, weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(repr(architecture).encode())
    for key in sorted(weights):
        digest.update(key.encode())
        digest.update(weights[key].numpy().data.cast("B"))
    return digest.hexdigest()[:32]
