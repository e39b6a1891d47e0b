"""The pyfunc of a registered ensemble: what its members have frozen alike runs once for all of them.

Publishing copies this file into the model's folder, with the four of ours that it imports, and MLflow
loads it from there, in environments that need not have hpo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
from annotated_types import Gt, Len
from numpy.typing import NDArray
from pydantic import FiniteFloat, TypeAdapter
from torch import Tensor
from torch.nn import functional

from hpo.documents import parse_json, typed
from hpo.model.combination import ENSEMBLE_FILE, Combination
from hpo.tasks.temperature import tempered
from hpo.tracking.served_classifier import (
    MODEL_FOLDER,
    Answers,
    ServedModel,
    check_digests,
    refusal,
)

Weights = Mapping[str, Tensor]
Count = Annotated[int, Gt(0)]
Pair = Annotated[list[str], Len(2, 2)]
Block = Annotated[list[str], Len(12, 12)]

_ONE_CLASS = "single_label_classification"


@dataclass(frozen=True)
class ForwardPass:
    """What `ensemble.json` tells of the model: its shape, and what its weights are called."""

    heads: Count
    activation: str
    norm_epsilon: FiniteFloat
    attention_scales: list[FiniteFloat]
    embeddings: Pair
    blocks: list[Block]
    final_norm: Pair
    head: str

    def __post_init__(self) -> None:
        if len(self.attention_scales) != len(self.blocks):
            raise ValueError(f"{len(self.attention_scales)} scales for {len(self.blocks)} blocks")


@dataclass(frozen=True)
class StoredMember:
    """What it tells of a member: where its weights are."""

    weights: str
    head: str
    freeze_depth: Annotated[int, Gt(-1)]


@dataclass(frozen=True)
class StoredEnsemble:
    """`ensemble.json`, as far as it is read here."""

    base: str
    tokenizer: str
    members: Annotated[list[StoredMember], Len(1)]
    combination: dict[str, Any]
    problem_type: str
    temperature: Annotated[FiniteFloat, Gt(0)]
    thresholds: list[FiniteFloat]
    label_names: Annotated[list[str], Len(1)]
    max_length: Count
    model: ForwardPass

    def __post_init__(self) -> None:
        if len(self.thresholds) not in (0, len(self.label_names)):
            raise ValueError(f"{len(self.thresholds)} thresholds, {len(self.label_names)} labels")
        if max(member.freeze_depth for member in self.members) > len(self.model.blocks):
            raise ValueError("a member that froze more blocks than there are")


_SHAPE: Final = TypeAdapter(StoredEnsemble)


@dataclass(frozen=True)
class Member:
    """One classifier of the ensemble.

    Attributes:
        weights: What it trained; what it froze is the base model's.
        freeze_depth: Blocks that it froze; 0: not the embeddings either.
    """

    weights: Weights
    freeze_depth: int


class ServedEnsemble(ServedModel):
    """An ensemble in the folder that `save_ensemble` wrote, behind pyfunc's `predict`.

    The forward pass is written out, in fp32, for transformers' own does not go on from hidden states.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer
        from transformers.activations import ACT2FN

        stored, self._combination = _read_document(folder)
        super().__init__(
            AutoTokenizer.from_pretrained(folder / stored.tokenizer, local_files_only=True),
            Answers(stored.problem_type, tuple(stored.label_names), tuple(stored.thresholds)),
            stored.max_length,
        )
        self._temperature = stored.temperature
        self._model = stored.model
        self._activation = ACT2FN[self._model.activation]
        self._members = [
            Member(
                {**self._read(folder / member.weights), **self._read(folder / member.head)},
                member.freeze_depth,
            )
            for member in stored.members
        ]
        deepest = max(member.freeze_depth for member in self._members)
        frozen = [*self._model.embeddings, *(n for b in self._model.blocks[:deepest] for n in b)]
        self._base = self._read(folder / stored.base / "model.safetensors", frozen)

    def _scores(self, ids: Tensor, mask: Tensor) -> NDArray[np.float32]:
        last = mask.sum(1) - 1
        found = [
            self._probabilities(member, ids, hidden, last)
            for member, hidden in zip(self._members, self._shared(ids), strict=True)
        ]
        one_class = self.answers.problem_type == _ONE_CLASS
        return tempered(self._combination.of(found), self._temperature, one_class=one_class)

    def _shared(self, ids: Tensor) -> list[Tensor | None]:
        """What enters each member's first trained block; None where its embeddings are trained."""
        depths = sorted({member.freeze_depth for member in self._members} - {0})
        at: dict[int, Tensor] = {}
        hidden, reached = (self._embed(self._base, ids) if depths else None), 0
        for depth in depths:
            hidden = self._run(self._base, hidden, reached, depth)
            at[depth], reached = hidden, depth
        return [at.get(member.freeze_depth) for member in self._members]

    def _probabilities(
        self, member: Member, ids: Tensor, hidden: Tensor | None, last: Tensor
    ) -> NDArray[np.float32]:
        weights, names = member.weights, self._model
        hidden = self._embed(weights, ids) if hidden is None else hidden
        hidden = self._run(weights, hidden, member.freeze_depth, len(names.blocks))
        read = hidden[torch.arange(len(hidden), device=hidden.device), last]
        normed = self._norm(read, *(weights[name] for name in names.final_norm))
        logits = functional.linear(normed, weights[names.head])
        found: NDArray[np.float32] = self.answers.scores(logits).cpu().numpy()
        return found

    def _embed(self, weights: Weights, ids: Tensor) -> Tensor:
        tokens, positions = (weights[name] for name in self._model.embeddings)
        return functional.embedding(ids, tokens) + positions[: ids.shape[1]]

    def _run(self, weights: Weights, hidden: Tensor | None, first: int, end: int) -> Tensor:
        """Blocks first..end-1 over padded hidden states, (texts, tokens, width)."""
        assert hidden is not None
        for index in range(first, end):
            block = [weights[name] for name in self._model.blocks[index]]
            hidden = self._block(hidden, block, self._model.attention_scales[index])
        return hidden

    def _block(self, hidden: Tensor, block: Sequence[Tensor], scale: float) -> Tensor:
        """One block with the norm before each part; padding stands on the right, where none looks."""
        norm_1, qkv, out, norm_2, up, down = zip(block[::2], block[1::2], strict=True)
        texts, tokens, width = hidden.shape
        split = _linear(self._norm(hidden, *norm_1), qkv).view(
            texts, tokens, 3, self._model.heads, -1
        )
        query, key, value = split.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scale
        )
        attended = attended.transpose(1, 2).reshape(texts, tokens, width)
        hidden = hidden + _linear(attended, out)
        inner = self._activation(_linear(self._norm(hidden, *norm_2), up))
        return hidden + _linear(inner, down)

    def _norm(self, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        epsilon = self._model.norm_epsilon
        return functional.layer_norm(hidden, weight.shape, weight, bias, epsilon)

    def _read(self, path: Path, names: Sequence[str] | None = None) -> Weights:
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in names or file.keys()}
        return {name: tensor.to(self._device) for name, tensor in found.items()}


def _read_document(folder: Path) -> tuple[StoredEnsemble, Combination]:
    """`ensemble.json`, which somebody may have edited where no digests tell of it.

    Raises:
        ValueError: It is not what was published; LookupError and TypeError likewise.
    """
    try:
        stored = typed(_SHAPE, parse_json((folder / ENSEMBLE_FILE).read_text(encoding="utf-8")))
        return stored, Combination.from_json(stored.combination)
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{ENSEMBLE_FILE}: {error}") from error


def _linear(hidden: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    matrix, bias = weights
    return hidden @ matrix + bias


def _load_pyfunc(data_path: str) -> ServedEnsemble:
    from safetensors import SafetensorError

    folder = Path(data_path)
    check_digests(folder)
    try:
        return ServedEnsemble(folder / MODEL_FOLDER)
    except (OSError, ValueError, LookupError, TypeError, SafetensorError) as error:
        why = " ".join(str(error).split())
        message = (
            f"The model in {folder} is no ensemble that can be read ({why}). Publish it again."
        )
        raise refusal(message, server=True) from error
