"""The pass through the frozen blocks, without dropout: from tokens to hidden states at a depth."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.data.tokens import TokenizedSplit
from hpo.model import packed
from hpo.model.block_weights import BlockWeights
from hpo.model.dropout import NO_DROPOUT
from hpo.model.layout import COARSE, FINE, Layout, Rounding
from hpo.model.pretrained import PretrainedModel


class FrozenBlocks:
    """The embeddings and blocks of a pretrained model, in one dtype on one device."""

    def __init__(self, model: PretrainedModel, dtype: torch.dtype, device: torch.device) -> None:
        self.model = model
        self.dtype = dtype
        self.device = device
        self._blocks: dict[int, BlockWeights] = {}

    @property
    def rounding(self) -> Rounding | None:
        """How batches are rounded where something is made for every shape of one.

        oneDNN, which multiplies bf16 on CPUs, takes half a millisecond for each; on a GPU it is the
        graph of a training pass. Evaluations share it, for the price of a few spare tokens.
        """
        if self.device.type != "cpu":
            return COARSE
        return FINE if self.dtype == torch.bfloat16 else None

    @torch.no_grad()
    def embed(self, split: TokenizedSplit, layout: Layout, token_rows: NDArray[np.int64]) -> Tensor:
        """Token plus position embeddings of some texts of a split: (tokens, width) fp32."""
        tokens = torch.from_numpy(split.tokens[token_rows].astype(np.int64))
        family, weights = self.model.family, self.model.weights
        tables = weights[family.token_embedding], weights[family.position_embedding]
        return packed.embed(tokens, layout.positions.cpu(), *tables, NO_DROPOUT).to(self.device)

    @torch.no_grad()
    def run(self, hidden: Tensor, layout: Layout, first: int, end: int) -> Tensor:
        """Run the frozen blocks first..end-1.

        What leaves a block is rounded as the cache would store it, so that a depth comes out the
        same whether the one before it was stored or computed a moment ago.

        Args:
            hidden: What enters the first of them, (tokens, width) fp32.
            layout: Of the batch.
            first: Index of the first block to run.
            end: Index after that of the last.

        Returns:
            (tokens, width) fp32; of the model's last block, which yields the last tokens alone,
            (texts, width).
        """
        architecture = self.model.architecture
        for index in range(first, end):
            run = packed.pass_of(self.model.family, index, architecture.n_layer)
            hidden = run(hidden, self._block(index), layout, architecture, index, NO_DROPOUT)
            hidden = hidden.to(self.dtype).float()
        return hidden

    def _block(self, index: int) -> BlockWeights:
        if index not in self._blocks:
            names = self.model.family.block_names(index)
            weights = BlockWeights(*(self.model.weights[name] for name in names))
            weights = BlockWeights(*(weight.to(self.device) for weight in weights))
            self._blocks[index] = weights.in_dtype(self.dtype)
        return self._blocks[index]
