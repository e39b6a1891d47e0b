"""Where the texts of a batch lie: packed one after another, padded, and head by head.

Three texts of 2, 3 and 1 tokens, packed one after another and padded to the longest:

    packed   a0 a1 b0 b1 b2 c0        padded   a0 a1 ·
                                               b0 b1 b2
                                               c0 ·  ·

>>> batch = Layout.of(np.array([2, 3, 1]), torch.device("cpu"))
>>> batch.positions.tolist()  # of each token in its text
[0, 1, 0, 1, 2, 0]
>>> batch.last.tolist()  # each text's last token: a1, b2, c0
[1, 4, 5]
>>> batch.scatter.tolist()  # the slot of each token, counted along the rows of the padded form
[0, 1, 3, 4, 5, 6]
>>> batch.gather.tolist()  # the token that each slot shows; padding shows its text's first
[0, 1, 0, 2, 3, 4, 5, 5, 5]
>>> batch.padding.tolist()  # the slots of no token
[2, 7, 8]
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.data.tokens import TokenizedSplit
from hpo.model.autograd_functions import rearrange
from hpo.model.transfer import to_device


@dataclass(frozen=True)
class Rounding:
    """How a few spare tokens and more padding make fewer different shapes of batches.

    Attributes:
        max_seqlen_step: Texts are padded to a multiple of it.
        step_bits: Packed sequences come in 2^step_bits lengths from each power of two to the next.
        uniform: Whether this holds for texts of one length too.
    """

    max_seqlen_step: int
    step_bits: int
    uniform: bool


# 2 % more tokens, where a shape costs a kernel, and 10 %, where it costs the graph of a whole pass.
FINE = Rounding(max_seqlen_step=4, step_bits=4, uniform=False)
COARSE = Rounding(max_seqlen_step=16, step_bits=2, uniform=True)

# A forward pass of so many tokens keeps a device's matmuls busy.
PASS_TOKENS = {"cpu": 4096, "cuda": 16_384}


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the texts of a batch lie, packed, (tokens,), and padded, (texts, max_seqlen).

    Packed sequences may end in spare tokens of no text. They all lie in one slot of the padding,
    nothing reads them, and so they get no gradient.

    Attributes:
        texts: How many.
        max_seqlen: Slots that each text has when padded.
        ragged: Whether there is padding.
        indices: All the tensors below in one, int64, so that they move together.
        lengths: Tokens of each text, (texts,).
        positions: Of each token in its text, (tokens,).
        last: Index of each text's last token, (texts,).
        scatter: Each token's slot, (tokens,).
        gather: The token that each slot shows, (slots,).
        padding: The slots of no token, some of them perhaps told again. They show their text's
            first token, for nothing reads them and to copy is faster than to blank.
    """

    texts: int
    max_seqlen: int
    ragged: bool
    indices: Tensor
    lengths: Tensor
    positions: Tensor
    last: Tensor
    scatter: Tensor
    gather: Tensor
    padding: Tensor
    _head_indices: dict[int, _HeadIndices] = field(default_factory=dict, init=False, repr=False)

    @staticmethod
    def of(
        lengths: NDArray[np.int64], device: torch.device, rounding: Rounding | None = None
    ) -> Layout:
        """The layout of texts that lie one after another.

        Args:
            lengths: Tokens of each text, (texts,).
            device: Where the indices go.
            rounding: How shapes are rounded; None: not.
        """
        texts, tokens = len(lengths), int(lengths.sum())
        max_seqlen, step = _rounded_sizes(lengths, rounding)
        ragged = tokens != texts * max_seqlen
        ends = np.cumsum(lengths)
        starts = ends - lengths
        positions = np.arange(tokens) - np.repeat(starts, lengths)
        scatter = np.repeat(np.arange(texts) * max_seqlen, lengths) + positions
        gather = np.repeat(starts, max_seqlen)
        gather[scatter] = np.arange(tokens)
        is_padding = np.ones(texts * max_seqlen, bool)
        is_padding[scatter] = False
        padding = np.flatnonzero(is_padding)
        if step > 1:
            spare = -tokens % step
            scatter = np.append(scatter, np.full(spare, padding[0]))
            positions = np.append(positions, np.zeros(spare, np.int64))
            # As many as the fewest tokens of this size leave padding, so that all have one shape.
            padding = np.append(padding, np.full(step - 1 - spare, padding[0]))
        parts = lengths, positions, ends - 1, scatter, gather, padding
        indices = to_device(torch.from_numpy(np.concatenate(parts)), device)
        return Layout(
            texts, max_seqlen, ragged, indices, *torch.split(indices, [len(part) for part in parts])
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Equal for layouts of which one can take the other's place in memory."""
        return self.texts, self.max_seqlen, self.ragged, len(self.positions), len(self.padding)

    def copy(self) -> Layout:
        """The same layout in memory of its own."""
        indices = self.indices.clone()
        parts = self.lengths, self.positions, self.last, self.scatter, self.gather, self.padding
        sizes = [len(part) for part in parts]
        return Layout(
            self.texts, self.max_seqlen, self.ragged, indices, *torch.split(indices, sizes)
        )

    def to_padded(self, packed: Tensor) -> Tensor:
        """(tokens, width) -> (texts, max_seqlen, width)."""
        padded = rearrange(packed, self.gather, self.scatter, None)
        return padded.view(self.texts, self.max_seqlen, -1)

    def split_heads(self, qkv: Tensor, heads: int) -> Tensor:
        """(tokens, 3 width) -> (3, texts, heads, max_seqlen, head width), in one pass over memory."""
        indices = self._head_indices_of(heads)
        rows = qkv.view(len(qkv) * 3 * heads, -1)
        split = rearrange(rows, indices.gather_qkv, indices.scatter_qkv, None)
        return split.view(3, self.texts, heads, self.max_seqlen, -1)

    def join_heads(self, attended: Tensor) -> Tensor:
        """(texts, heads, max_seqlen, head width) -> (tokens, width)."""
        heads, head_width = attended.shape[1], attended.shape[3]
        indices = self._head_indices_of(heads)
        rows = attended.reshape(-1, head_width)
        joined = rearrange(rows, indices.scatter_heads, indices.gather_heads, indices.padding)
        return joined.view(-1, heads * head_width)

    def _head_indices_of(self, heads: int) -> _HeadIndices:
        if heads not in self._head_indices:
            self._head_indices[heads] = _HeadIndices.of(self, heads)
        return self._head_indices[heads]


def _rounded_sizes(lengths: NDArray[np.int64], rounding: Rounding | None) -> tuple[int, int]:
    """Slots that each text has, and of what number that of packed tokens becomes a multiple."""
    texts, tokens, max_seqlen = len(lengths), int(lengths.sum()), int(lengths.max())
    is_uniform = tokens == texts * max_seqlen
    if rounding is None or (is_uniform and not rounding.uniform):
        return max_seqlen, 1
    max_seqlen = -(-max_seqlen // rounding.max_seqlen_step) * rounding.max_seqlen_step
    if tokens == texts * max_seqlen:
        return max_seqlen, 1
    return max_seqlen, 1 << max(0, tokens.bit_length() - 1 - rounding.step_bits)


def rows_and_layout(
    split: TokenizedSplit,
    texts: NDArray[np.int64],
    device: torch.device,
    rounding: Rounding | None = None,
) -> tuple[NDArray[np.int64], Layout]:
    """Where a batch's tokens lie in the split, and how the batch itself is laid out.

    Args:
        split: The split that the texts are of.
        texts: Indices into it, (texts,).
        device: Where the layout's indices go.
        rounding: How shapes are rounded; None: not.

    Returns:
        The row of each token of the batch among those of the split, (tokens,), where spare tokens,
        as rounding adds them, are the first text's first; and the layout.
    """
    starts = split.offsets[texts]
    lengths = split.offsets[texts + 1] - starts
    layout = Layout.of(lengths, device, rounding)
    ends = np.cumsum(lengths)
    rows = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
    spare = len(layout.positions) - len(rows)
    return (np.append(rows, np.full(spare, rows[0])) if spare else rows), layout


@dataclass(frozen=True)
class _HeadIndices:
    """The layout's gather and scatter indices, for rows of one head's width.

    Packed, rows are ordered by token, part (query, key, value) and head; padded, by part, text, head
    and position.

    Attributes:
        gather_qkv: The packed row that each padded row shows, of queries, keys and values.
        scatter_qkv: The padded row of each packed row, of queries, keys and values.
        gather_heads: As `gather_qkv`, of the one part that attention gives.
        scatter_heads: As `scatter_qkv`, of the one part that attention gives.
        padding: The padded rows of no token, of that one part.
    """

    gather_qkv: Tensor
    scatter_qkv: Tensor
    gather_heads: Tensor
    scatter_heads: Tensor
    padding: Tensor

    @staticmethod
    def of(layout: Layout, heads: int) -> _HeadIndices:
        texts, max_seqlen = layout.texts, layout.max_seqlen
        head = torch.arange(heads, device=layout.scatter.device)
        part = torch.arange(3, device=layout.scatter.device)

        def in_packed(part: Tensor, parts: int) -> Tensor:
            token = layout.gather.view(texts, 1, max_seqlen)
            return ((token * parts + part.view(-1, 1, 1, 1)) * heads + head[:, None]).flatten()

        def in_padded(slots: Tensor, part: Tensor) -> Tensor:
            text, position = (
                (slots // max_seqlen).view(-1, 1, 1),
                (slots % max_seqlen).view(-1, 1, 1),
            )
            return (
                ((part[:, None] * texts + text) * heads + head) * max_seqlen + position
            ).flatten()

        return _HeadIndices(
            gather_qkv=in_packed(part, 3),
            scatter_qkv=in_padded(layout.scatter, part),
            gather_heads=in_packed(part[:1], 1),
            scatter_heads=in_padded(layout.scatter, part[:1]),
            padding=in_padded(layout.padding, part[:1]),
        )
