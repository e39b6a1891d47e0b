"""The pyfunc of a registered ensemble: what its members have frozen alike runs once for all of them.

Publishing copies this file into the model's folder, with the three of ours that it imports, and MLflow
loads it from there, in environments that need not have hpo.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hpo.model.combination import ENSEMBLE_FILE, Combination
from hpo.tasks.temperature import tempered
from hpo.tracking.served_classifier import MODEL_FOLDER, Answers, ServedModel, check_digests

Weights = Mapping[str, Tensor]

_ONE_CLASS = "single_label_classification"


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

        document = json.loads((folder / ENSEMBLE_FILE).read_text(encoding="utf-8"))
        base = folder / document["base"]
        super().__init__(
            AutoTokenizer.from_pretrained(folder / document["tokenizer"], local_files_only=True),
            Answers(
                document["problem_type"],
                tuple(document["label_names"]),
                tuple(document["thresholds"]),
            ),
            int(document["max_length"]),
        )
        self._combination = Combination.from_json(document["combination"])
        self._temperature = float(document["temperature"])
        self._model: dict[str, Any] = document["model"]
        self._activation = ACT2FN[self._model["activation"]]
        self._members = [
            Member(
                {**self._read(folder / member["weights"]), **self._read(folder / member["head"])},
                int(member["freeze_depth"]),
            )
            for member in document["members"]
        ]
        deepest = max(member.freeze_depth for member in self._members)
        frozen = (self._model["embeddings"], *self._model["blocks"][:deepest])
        self._base = self._read(base / "model.safetensors", [n for names in frozen for n in names])

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
        hidden = self._run(weights, hidden, member.freeze_depth, len(names["blocks"]))
        read = hidden[torch.arange(len(hidden), device=hidden.device), last]
        normed = self._norm(read, *(weights[name] for name in names["final_norm"]))
        logits = functional.linear(normed, weights[names["head"]])
        found: NDArray[np.float32] = self.answers.scores(logits).cpu().numpy()
        return found

    def _embed(self, weights: Weights, ids: Tensor) -> Tensor:
        tokens, positions = (weights[name] for name in self._model["embeddings"])
        return functional.embedding(ids, tokens) + positions[: ids.shape[1]]

    def _run(self, weights: Weights, hidden: Tensor | None, first: int, end: int) -> Tensor:
        """Blocks first..end-1 over padded hidden states, (texts, tokens, width)."""
        assert hidden is not None
        for index in range(first, end):
            block = [weights[name] for name in self._model["blocks"][index]]
            hidden = self._block(hidden, block, self._model["attention_scales"][index])
        return hidden

    def _block(self, hidden: Tensor, block: Sequence[Tensor], scale: float) -> Tensor:
        """One block with the norm before each part; padding stands on the right, where none looks."""
        norm_1, qkv, out, norm_2, up, down = zip(block[::2], block[1::2], strict=True)
        texts, tokens, width = hidden.shape
        split = _linear(self._norm(hidden, *norm_1), qkv).view(
            texts, tokens, 3, self._model["heads"], -1
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
        epsilon = self._model["norm_epsilon"]
        return functional.layer_norm(hidden, weight.shape, weight, bias, epsilon)

    def _read(self, path: Path, names: Sequence[str] | None = None) -> Weights:
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in names or file.keys()}
        return {name: tensor.to(self._device) for name, tensor in found.items()}


def _linear(hidden: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    matrix, bias = weights
    return hidden @ matrix + bias


def _load_pyfunc(data_path: str) -> ServedEnsemble:
    folder = Path(data_path)
    check_digests(folder)
    return ServedEnsemble(folder / MODEL_FOLDER)
