"""What a classifier reads of a batch: token rows, or hidden states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.data.tokens import TokenizedSplit
from hpo.model.embedding_rows import EmbeddingRows
from hpo.model.family import Trained
from hpo.model.frozen_features import FrozenFeatures, HiddenStates
from hpo.model.layout import Layout, rows_and_layout
from hpo.model.transfer import to_device


@dataclass(frozen=True)
class Batch:
    """What a classifier reads of some texts, and their labels.

    Attributes:
        inputs: Of `Classifier.logits`.
        layout: Of the texts; None where one vector a text is read.
        labels: (texts,) int64, or whatever else the task reads.
        weights: What each text counts for in the loss, (texts,) fp32, or each of its outputs,
            (texts, outputs) fp32; None: 1 each.
    """

    inputs: Tensor
    layout: Layout | None
    labels: Tensor
    weights: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Equal for batches of which one can take the other's place in memory."""
        return (*self.inputs.shape, *(() if self.layout is None else self.layout.shape))

    def copy(self) -> Batch:
        """The same batch in memory of its own."""
        layout = None if self.layout is None else self.layout.copy()
        weights = None if self.weights is None else self.weights.clone()
        return Batch(self.inputs.clone(), layout, self.labels.clone(), weights)

    def become(self, other: Batch) -> None:
        """Take over the contents of a batch of the same shape."""
        self.inputs.copy_(other.inputs)
        self.labels.copy_(other.labels)
        if self.weights is not None and other.weights is not None:
            self.weights.copy_(other.weights)
        if self.layout is not None and other.layout is not None:
            self.layout.indices.copy_(other.layout.indices)


class SplitInputs:
    """Batches of one split, or of some of its texts, as a classifier reads them.

    Attributes:
        split: The stored split.
        indices: The texts of it that are read, (texts,) in their order; None for all.
    """

    def __init__(
        self,
        split: TokenizedSplit,
        split_key: str | None,
        *,
        trained: Trained,
        features: FrozenFeatures,
        embedding_rows: EmbeddingRows | None,
        indices: NDArray[np.int64] | None = None,
        weights: NDArray[np.float32] | None = None,
    ) -> None:
        """Make them ready; hidden states are built where the cache lacks them.

        Args:
            split: The stored split.
            split_key: Names the split's tokens, the same wherever they are the same; None: their hidden
                states are not kept.
            trained: What the classifier trains, and so where it begins to read.
            features: The frozen part.
            embedding_rows: Needed where the embeddings are trained, as token rows are read then.
            indices: The texts that are read, (texts,); None for all.
            weights: What each text that is read counts for, (texts,) or (texts, outputs); None: 1.
        """
        self.split = split
        self.indices = indices
        self._device = features.device
        self._rounding = features.blocks.rounding
        self._labels = torch.from_numpy(np.array(split.labels))
        self._weights = None if weights is None else _in_stored_order(split, indices, weights)
        self._states: HiddenStates | None = None
        self._token_rows: NDArray[np.int64] | None = None
        if trained.embeddings:
            assert embedding_rows is not None
            self._token_rows = _token_rows(split, indices, embedding_rows)
        else:
            self._states = features.states(split, split_key, trained.first_block)

    def __len__(self) -> int:
        return len(self.split if self.indices is None else self.indices)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text that is read, (texts,)."""
        lengths = self.split.lengths
        return lengths if self.indices is None else lengths[self.indices]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The label of each text that is read, (texts,)."""
        return self.split.labels if self.indices is None else self.split.labels[self.indices]

    @property
    def spared_blocks(self) -> int:
        """The frozen blocks that no reading runs, for what they give is kept."""
        return 0 if self._states is None else self._states.stored_depth

    def stored(self, texts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places among the texts that are read -> indices into the stored split."""
        return texts if self.indices is None else self.indices[texts]

    def batch(self, texts: NDArray[np.int64]) -> Batch:
        """The batch of some texts, on the device.

        Args:
            texts: Their indices into the stored split, (texts,).
        """
        labels = to_device(self._labels[torch.from_numpy(texts)], self._device)
        weights = None
        if self._weights is not None:
            weights = to_device(self._weights[torch.from_numpy(texts)], self._device)
        if self._states is not None and self._states.is_per_text:
            return Batch(self._states.read_per_text(texts), None, labels, weights)
        rows, layout = rows_and_layout(self.split, texts, self._device, self._rounding)
        if self._states is not None:
            return Batch(self._states.read(texts, layout, rows), layout, labels, weights)
        assert self._token_rows is not None
        tokens = to_device(torch.from_numpy(self._token_rows[rows]), self._device)
        return Batch(tokens, layout, labels, weights)


def _in_stored_order(
    split: TokenizedSplit, indices: NDArray[np.int64] | None, weights: NDArray[np.float32]
) -> Tensor:
    """The weight of each text of the stored split; 0 for texts that are not read."""
    if indices is None:
        return torch.from_numpy(weights)
    stored = np.zeros((len(split), *weights.shape[1:]), np.float32)
    stored[indices] = weights
    return torch.from_numpy(stored)


def _token_rows(
    split: TokenizedSplit, indices: NDArray[np.int64] | None, embedding_rows: EmbeddingRows
) -> NDArray[np.int64]:
    """The row of each token of the split in the compact table; of texts that are not read, none (-1)."""
    if indices is None:
        return embedding_rows.rows(split.tokens)
    read = split.rows(indices)
    rows = np.full(len(split.tokens), -1)
    rows[read] = embedding_rows.rows(split.tokens[read])
    return rows
