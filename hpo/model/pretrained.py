"""A pretrained model in memory: its configuration, weights and tokenizer, read and checked."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from hpo.errors import ModelError
from hpo.model.families import family_of
from hpo.model.family import Architecture, ModelFamily
from hpo.model.model_files import model_folder, read_config_document
from hpo.model.tensor_files import is_whole
from hpo.model.tokenizer import load_tokenizer, tokenizer_fingerprint
from hpo.model.weight_files import StoredTensor, read_tensors
from hpo.model.wrapped_names import MERGE, adapter_in, name_within, parted

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

# What computes as it stands; of whole numbers and 8-bit ones only their library knows what they mean.
_NUMBER_FORMATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

_SAVE_AGAIN: Final = "Fetch the model again, or save it with save_pretrained."


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
    tensors = read_tensors(folder, name)
    stored = _by_full_name(tensors, name, family)
    weights = {}
    for key, shape in family.shapes(architecture).items():
        if key not in stored:
            raise _missing_weight(name, key, shape, tensors, family)
        weights[key] = _checked(stored[key], name, key, shape)
    return weights


def _by_full_name(
    tensors: Mapping[str, StoredTensor], name: str, family: ModelFamily
) -> Mapping[str, StoredTensor]:
    """Tensors under the family's names, without what wrappers put before them."""
    stored: dict[str, StoredTensor] = {}
    prefixes: dict[str, None] = {}
    for key, found in tensors.items():
        prefix, bare = parted(key)
        prefixes[prefix] = None
        full_name = family.full_name(bare)
        if full_name in stored:
            raise _bad_weight(name, full_name, "two of that name", "one", found.file)
        stored[full_name] = found
    wrapped = [prefix for prefix in prefixes if prefix]
    if wrapped:
        logger.warning(
            "model %s: its weights are read without the %s that a wrapper put before their names",
            name,
            " and ".join(wrapped),
        )
    return stored


def _checked(stored: StoredTensor, name: str, key: str, shape: tuple[int, ...]) -> Tensor:
    """A weight in fp32, as it is computed with."""
    tensor, file = stored.tensor.detach(), stored.file
    if tensor.shape != shape:
        raise _bad_weight(name, key, f"shape {tuple(tensor.shape)}", _expected(shape), file)
    if tensor.dtype not in _NUMBER_FORMATS:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise _bad_weight(name, key, f"numbers of type {kind}", "floating-point numbers", file)
    if not is_whole(tensor):
        raise _bad_weight(name, key, "a tensor without all of its numbers", _expected(shape), file)
    weight = tensor.to(torch.float32).resolve_neg().contiguous()
    # A sum has no memory to fill, and is finite only where all of its terms are.
    if not weight.sum().isfinite() and not weight.isfinite().all():
        odd = int((~weight.isfinite()).sum())
        found_numbers = f"{odd} of {tensor.numel()} numbers NaN or infinite"
        raise _bad_weight(name, key, found_numbers, "finite numbers in fp32", file)
    return weight


def _missing_weight(
    name: str,
    key: str,
    shape: tuple[int, ...],
    tensors: Mapping[str, StoredTensor],
    family: ModelFamily,
) -> ModelError:
    found, hint = "nothing of that name", _SAVE_AGAIN
    adapter, within = adapter_in(tensors), name_within(tensors, key, family.full_name)
    if adapter is not None:
        found, hint = f"an adapter that is not merged ({adapter})", MERGE
    elif within is not None:
        found = f"it as {within}"
        hint = "Save the model inside of what wraps it, with save_pretrained."
    return _bad_weight(name, key, found, _expected(shape), hint=hint)


def _expected(shape: tuple[int, ...]) -> str:
    return f"a weight of shape {shape}, as config.json says"


def _bad_weight(
    name: str,
    key: str,
    found: str,
    expected: str,
    file: str | None = None,
    hint: str = _SAVE_AGAIN,
) -> ModelError:
    return ModelError(
        f"model {name}, {f'{file}, ' if file else ''}weight {key}",
        found=found,
        expected=expected,
        hint=hint,
    )


def _fingerprint(architecture: Architecture, weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(repr(architecture).encode())
    for key in sorted(weights):
        digest.update(key.encode())
        digest.update(weights[key].numpy().data.cast("B"))
    return digest.hexdigest()[:32]
