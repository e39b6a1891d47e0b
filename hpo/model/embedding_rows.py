"""Which rows of the embedding tables a trial trains: those of the tokens and positions that its texts use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class EmbeddingRows:
    """The rows of the two embedding tables that the texts at hand use, as tables of their own.

    Only these are trained, with a dense gradient as small as they are. A row that no text uses gets
    no gradient, so weight decay is all that would ever happen to it: `Classifier.decay` stands for
    that.

    Attributes:
        token_ids: The tokens that have a row, sorted, (rows,) int64.
        n_positions: How many positions have one, from the first on.
    """

    token_ids: NDArray[np.int64]
    n_positions: int

    @staticmethod
    def of(*token_ids: NDArray[np.int32], max_seqlen: int) -> EmbeddingRows:
        """The rows that some splits use.

        Args:
            token_ids: The tokens of each split, (tokens,).
            max_seqlen: Tokens of the longest text.
        """
        used = np.unique(np.concatenate([np.unique(ids) for ids in token_ids]))
        return EmbeddingRows(used.astype(np.int64), max_seqlen)

    @staticmethod
    def whole(vocab_size: int, n_positions: int) -> EmbeddingRows:
        """Every row of both tables."""
        return EmbeddingRows(np.arange(vocab_size), n_positions)

    def rows(self, token_ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """The rows of the compact table that stand for these tokens.

        Args:
            token_ids: (tokens,).

        Returns:
            (tokens,) int64.

        Raises:
            ValueError: For an id without a row, whose place would be another token's.
        """
        rows = np.searchsorted(self.token_ids, token_ids)
        if len(token_ids):
            # Beyond the last row means beyond the last id; the ids compared there differ.
            unseen = self.token_ids[np.minimum(rows, len(self.token_ids) - 1)] != token_ids
            if unseen.any():
                raise ValueError(f"token {token_ids[unseen][0]} is not in the embedding rows")
        return rows

    def compact_tokens(self, table: Tensor) -> Tensor:
        """Of a whole token table, (vocab_size, width), the rows used, (rows, width)."""
        return table[torch.from_numpy(self.token_ids)]

    def compact_positions(self, table: Tensor) -> Tensor:
        """Of a whole position table, (positions, width), the rows used, (n_positions, width)."""
        return table[: self.n_positions]

    def whole_tokens(self, table: Tensor, trained: Tensor, decay: float) -> Tensor:
        """A whole token table again: the trained rows, and the others, which only decayed.

        Args:
            table: The pretrained one, (vocab_size, width).
            trained: The compact one, (rows, width).
            decay: What weight decay has made of a row without gradient, as a factor.
        """
        whole = table * decay
        whole[torch.from_numpy(self.token_ids)] = trained
        return whole

    def whole_positions(self, table: Tensor, trained: Tensor, decay: float) -> Tensor:
        """A whole position table again, as `whole_tokens` makes a token table."""
        whole = table * decay
        whole[: self.n_positions] = trained
        return whole
