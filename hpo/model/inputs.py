"""What a classifier of a given freeze depth reads of a batch: token rows, or hidden states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.data.tokens import TokenizedSplit
from hpo.model.classifier import Vocabulary
from hpo.model.layout import Layout
from hpo.model.prefix import HiddenStates, Prefix, rows_and_layout
from hpo.model.transfer import to_device


@dataclass(frozen=True)
class Batch:
    """Inputs of `Classifier.logits` and the labels, (texts,)."""

    inputs: Tensor
    layout: Layout | None
    labels: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Equal for batches of which one can take the other's place in memory."""
        return (*self.inputs.shape, *(() if self.layout is None else self.layout.shape))

    def copy(self) -> Batch:
        """The same batch in memory of its own."""
        layout = None if self.layout is None else self.layout.copy()
        return Batch(self.inputs.clone(), layout, self.labels.clone())

    def become(self, other: Batch) -> None:
        """Take over the contents of a batch of the same shape."""
        self.inputs.copy_(other.inputs)
        self.labels.copy_(other.labels)
        if self.layout is not None and other.layout is not None:
            self.layout.indices.copy_(other.layout.indices)


class SplitInputs:
    """Batches of one split at one freeze depth.

    indices: the texts of the split that are read, (texts,) in their order; None for all.
    """

    def __init__(
        self,
        split: TokenizedSplit,
        split_key: str,
        *,
        freeze_depth: int,
        prefix: Prefix,
        vocabulary: Vocabulary | None,
        indices: NDArray[np.int64] | None = None,
    ) -> None:
        """vocabulary: needed at freeze depth 0, where token rows are read; indices: see `indices`."""
        self.split = split
        self.indices = indices
        self._device = prefix.device
        self._rounding = prefix.rounding
        self._vocabulary = vocabulary
        self._labels = torch.from_numpy(np.array(split.labels))
        self._states: HiddenStates | None = None
        self._token_rows: NDArray[np.int64] | None = None
        if freeze_depth > 0:
            self._states = prefix.states(split, split_key, freeze_depth)
        else:
            assert vocabulary is not None
            self._token_rows = _token_rows(split, indices, vocabulary)

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

    def stored(self, texts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places among the texts that are read -> indices into the stored split."""
        return texts if self.indices is None else self.indices[texts]

    def batch(self, texts: NDArray[np.int64]) -> Batch:
        """The batch of the texts with these indices into the stored split."""
        labels = to_device(self._labels[torch.from_numpy(texts)], self._device)
        if self._states is not None and self._states.is_per_text:
            return Batch(self._states.read_per_text(texts), None, labels)
        rows, layout = rows_and_layout(self.split, texts, self._device, self._rounding)
        if self._states is not None:
            return Batch(self._states.read(texts, layout, rows), layout, labels)
        assert self._token_rows is not None
        tokens = to_device(torch.from_numpy(self._token_rows[rows]), self._device)
        return Batch(tokens, layout, labels)


def _token_rows(
    split: TokenizedSplit, indices: NDArray[np.int64] | None, vocabulary: Vocabulary
) -> NDArray[np.int64]:
    """The row of each token of the split in the compact table; of texts that are not read, none (-1)."""
    if indices is None:
        return vocabulary.rows(split.tokens)
    read = split.rows(indices)
    rows = np.full(len(split.tokens), -1)
    rows[read] = vocabulary.rows(split.tokens[read])
    return rows
