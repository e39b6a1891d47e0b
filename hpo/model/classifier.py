"""A trial's model: the trained part of GPT-2 and a head, over a frozen part that trials share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.model import packed
from hpo.model.dropout import Dropout
from hpo.model.gpt2 import (
    FINAL_NORM,
    HEAD,
    POSITION_EMBEDDING,
    TOKEN_EMBEDDING,
    PretrainedModel,
    block_names,
    trained_names,
)
from hpo.model.layout import Layout
from hpo.model.packed import BlockWeights


@dataclass(frozen=True)
class Vocabulary:
    """The rows of the two embedding tables that the texts at hand use.

    Only these are trained, with a dense gradient as small as they are. A row that no text uses gets
    no gradient, so weight decay is all that would ever happen to it: `Classifier.decay` stands for
    that.

    tokens: (rows,) sorted token ids; positions: how many positions are used.
    """

    tokens: NDArray[np.int64]
    positions: int

    @staticmethod
    def of(*token_runs: NDArray[np.int32], longest: int) -> Vocabulary:
        """The vocabulary of some runs of token ids whose longest text has `longest` tokens."""
        used = np.unique(np.concatenate([np.unique(run) for run in token_runs]))
        return Vocabulary(used.astype(np.int64), longest)

    def rows(self, tokens: NDArray[np.int32]) -> NDArray[np.int64]:
        """Token ids -> rows of the compact table, (tokens,).

        Raises ValueError for an id that the vocabulary lacks, whose row would be another token's.
        """
        rows = np.searchsorted(self.tokens, tokens)
        if len(tokens):
            # Beyond the last row means beyond the last id; the ids compared there differ.
            unseen = self.tokens[np.minimum(rows, len(self.tokens) - 1)] != tokens
            if unseen.any():
                raise ValueError(f"token {tokens[unseen][0]} is not in the vocabulary")
        return rows


class Classifier:
    """What a trial of one freeze depth trains, and its forward pass.

    parameters: fp32 leaves under the names of `GPT2ForSequenceClassification`, embeddings up to the
    head; at freeze depth 0 the embedding tables are those of `vocabulary`, compact.
    decay: the product of all weight decay factors so far, for embedding rows outside the vocabulary.
    """

    def __init__(
        self,
        model: PretrainedModel,
        *,
        freeze_depth: int,
        classes: int,
        vocabulary: Vocabulary | None,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        """vocabulary: needed at freeze depth 0; dtype: of matrix products; seed: of the head."""
        self.model = model
        self.architecture = model.architecture
        self.freeze_depth = freeze_depth
        self.vocabulary = vocabulary
        self.dtype = dtype
        self.device = device or torch.device("cpu")
        self.decay = 1.0
        self._held: dict[int, BlockWeights] = {}
        self.parameters: dict[str, Tensor] = {}
        for name in trained_names(freeze_depth, self.architecture.n_layer):
            first = self._first_head(classes, seed) if name == HEAD else self._pretrained(name)
            self.parameters[name] = first.to(self.device, copy=True).requires_grad_()

    def logits(self, inputs: Tensor, layout: Layout | None, dropout: Dropout) -> Tensor:
        """Logits (texts, classes) in fp32.

        inputs: at freeze depth 0 rows of the compact token table, (tokens,); between, hidden states
        after the frozen blocks, (tokens, width) fp32; with everything frozen, those of each text's
        last token, (texts, width), which need no layout.
        """
        hidden = inputs if self.freeze_depth else self._embed(inputs, layout, dropout)
        for index in range(self.freeze_depth, self.architecture.n_layer):
            assert layout is not None
            run = packed.last_block if index == self.architecture.n_layer - 1 else packed.block
            weights = self.block_weights(index)
            hidden = run(hidden, weights, layout, self.architecture, index, dropout)
        norm_weight, norm_bias, score = (self.parameters[name] for name in (*FINAL_NORM, HEAD))
        return packed.head(hidden, norm_weight, norm_bias, score, self.architecture.norm_epsilon)

    def _embed(self, rows: Tensor, layout: Layout | None, dropout: Dropout) -> Tensor:
        assert layout is not None
        tables = self.parameters[TOKEN_EMBEDDING], self.parameters[POSITION_EMBEDDING]
        return packed.embed(rows, layout.positions, *tables, dropout)

    def block_weights(self, index: int) -> BlockWeights:
        """A trained block's weights in the compute dtype."""
        if index in self._held:
            return self._held[index]
        weights = BlockWeights(*(self.parameters[name] for name in block_names(index)))
        return weights.in_dtype(self.dtype)

    @contextmanager
    def held_weights(self) -> Iterator[None]:
        """While weights stay as they are, cast them once and not for every batch. No gradients."""
        blocks = range(self.freeze_depth, self.architecture.n_layer)
        with torch.no_grad():
            self._held = {index: self.block_weights(index) for index in blocks}
            try:
                yield
            finally:
                self._held = {}

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of the trained weights."""
        return {name: tensor.detach().clone() for name, tensor in self.parameters.items()}

    def restore(self, weights: Mapping[str, Tensor], decay: float) -> None:
        """Take over weights that `snapshot` gave, into the same leaves."""
        with torch.no_grad():
            for name, tensor in self.parameters.items():
                tensor.copy_(weights[name])
        self.decay = decay

    def full_weights(self) -> Iterator[tuple[str, Tensor]]:
        """All weights with whole embedding tables, as transformers names them, on the CPU."""
        for name in trained_names(0, self.architecture.n_layer):
            if name not in self.parameters:
                yield name, self.model.weights[name]
            elif name in (TOKEN_EMBEDDING, POSITION_EMBEDDING):
                yield name, self._whole_table(name)
            else:
                yield name, self.parameters[name].detach().cpu()

    def _whole_table(self, name: str) -> Tensor:
        assert self.vocabulary is not None
        table = self.model.weights[name] * self.decay
        trained = self.parameters[name].detach().cpu()
        if name == TOKEN_EMBEDDING:
            table[torch.from_numpy(self.vocabulary.tokens)] = trained
        else:
            table[: self.vocabulary.positions] = trained
        return table

    def _pretrained(self, name: str) -> Tensor:
        weight = self.model.weights[name]
        if name == TOKEN_EMBEDDING:
            assert self.vocabulary is not None
            return weight[torch.from_numpy(self.vocabulary.tokens)]
        if name == POSITION_EMBEDDING:
            assert self.vocabulary is not None
            return weight[: self.vocabulary.positions]
        return weight

    def _first_head(self, classes: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        head = torch.empty(classes, self.architecture.width)
        return head.normal_(0, self.architecture.initializer_range, generator=generator)
