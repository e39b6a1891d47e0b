"""Where the texts of a packed batch lie: as one run of tokens, as a grid, and head by head."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.model.transfer import to_device


@dataclass(frozen=True)
class Rounding:
    """How a few spare tokens and empty cells make fewer different shapes of batches.

    cell_step: grids are as long as a multiple of it; step_bits: runs come in 2^step_bits lengths
    from each power of two to the next; uniform: whether this holds for texts of one length too.
    """

    cell_step: int
    step_bits: int
    uniform: bool


# 2 % more tokens, where a shape costs a kernel, and 10 %, where it costs the graph of a whole pass.
FINE = Rounding(cell_step=4, step_bits=4, uniform=False)
COARSE = Rounding(cell_step=16, step_bits=2, uniform=True)

# A forward pass of so many tokens keeps a device's matrix products busy.
PASS_TOKENS = {"cpu": 4096, "cuda": 16_384}


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the texts of a batch lie in its run of tokens and in the grid, (texts, longest).

    longest: cells a text has in the grid; ragged: whether cells are empty; lengths: (texts,);
    positions: (tokens,), each token's position in its text; last: (texts,), index of each text's
    last token; cells: (tokens,), each token's cell of the flattened grid; sources: (cells,), the
    token that each cell shows; empty: the cells of no token, some of them perhaps told again. They
    show their text's first one, for nothing reads them and to copy is faster than to blank.
    indices: all these tensors in one run, so that they move together.

    A run may end in `spare` tokens of no text. They all lie in one empty cell, nothing reads them,
    and so they get no gradient.
    """

    texts: int
    longest: int
    ragged: bool
    indices: Tensor
    lengths: Tensor
    positions: Tensor
    last: Tensor
    cells: Tensor
    sources: Tensor
    empty: Tensor
    _routes: dict[int, _Routes] = field(default_factory=dict, init=False, repr=False)

    @staticmethod
    def of(
        lengths: NDArray[np.int64], device: torch.device, rounding: Rounding | None = None
    ) -> Layout:
        """The layout of texts of these lengths, (texts,), one after another."""
        texts, tokens = len(lengths), int(lengths.sum())
        longest = int(lengths.max())
        ragged = tokens != texts * longest
        step = 1
        if rounding is not None and (ragged or rounding.uniform):
            longest = -(-longest // rounding.cell_step) * rounding.cell_step
            ragged = tokens != texts * longest
            if ragged:
                step = 1 << max(0, tokens.bit_length() - 1 - rounding.step_bits)
        ends = np.cumsum(lengths)
        starts = ends - lengths
        positions = np.arange(tokens) - np.repeat(starts, lengths)
        cells = np.repeat(np.arange(texts) * longest, lengths) + positions
        sources = np.repeat(starts, longest)
        sources[cells] = np.arange(tokens)
        is_empty = np.ones(texts * longest, bool)
        is_empty[cells] = False
        empty = np.flatnonzero(is_empty)
        if step > 1:
            spare = -tokens % step
            cells = np.append(cells, np.full(spare, empty[0]))
            positions = np.append(positions, np.zeros(spare, np.int64))
            # As many as the shortest run of this size leaves empty, so that all have one shape.
            empty = np.append(empty, np.full(step - 1 - spare, empty[0]))
        parts = lengths, positions, ends - 1, cells, sources, empty
        indices = to_device(torch.from_numpy(np.concatenate(parts)), device)
        return Layout(
            texts, longest, ragged, indices, *torch.split(indices, [len(part) for part in parts])
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Equal for layouts of which one can take the other's place in memory."""
        return self.texts, self.longest, self.ragged, len(self.positions), len(self.empty)

    def copy(self) -> Layout:
        """The same layout in memory of its own."""
        indices = self.indices.clone()
        parts = self.lengths, self.positions, self.last, self.cells, self.sources, self.empty
        sizes = [len(part) for part in parts]
        return Layout(self.texts, self.longest, self.ragged, indices, *torch.split(indices, sizes))

    def to_grid(self, packed: Tensor) -> Tensor:
        """(tokens, width) -> (texts, longest, width)."""
        grid = _rearranged(packed, self.sources, self.cells, None)
        return grid.view(self.texts, self.longest, -1)

    def split_heads(self, qkv: Tensor, heads: int) -> Tensor:
        """(tokens, 3 width) -> (3, texts, heads, longest, head width), in one pass over memory."""
        routes = self._routes_of(heads)
        rows = qkv.view(len(qkv) * 3 * heads, -1)
        split = _rearranged(rows, routes.to_qkv, routes.from_qkv, None)
        return split.view(3, self.texts, heads, self.longest, -1)

    def join_heads(self, attended: Tensor) -> Tensor:
        """(texts, heads, longest, head width) -> (tokens, width)."""
        heads, head_width = attended.shape[1], attended.shape[3]
        routes = self._routes_of(heads)
        rows = attended.reshape(-1, head_width)
        joined = _rearranged(rows, routes.from_heads, routes.to_heads, routes.empty)
        return joined.view(-1, heads * head_width)

    def _routes_of(self, heads: int) -> _Routes:
        if heads not in self._routes:
            self._routes[heads] = _Routes.of(self, heads)
        return self._routes[heads]


@dataclass(frozen=True)
class _Routes:
    """For rows of one head's width: from where each row comes, in one order and in the other.

    In the run rows are ordered by token, part (query, key, value) and head; in the grid by part,
    text, head and position. empty: the grid's rows of no token.
    """

    to_qkv: Tensor
    from_qkv: Tensor
    to_heads: Tensor
    from_heads: Tensor
    empty: Tensor

    @staticmethod
    def of(layout: Layout, heads: int) -> _Routes:
        texts, longest = layout.texts, layout.longest
        head = torch.arange(heads, device=layout.cells.device)
        part = torch.arange(3, device=layout.cells.device)

        def in_run(part: Tensor, parts: int) -> Tensor:
            token = layout.sources.view(texts, 1, longest)
            return ((token * parts + part.view(-1, 1, 1, 1)) * heads + head[:, None]).flatten()

        def in_grid(cells: Tensor, part: Tensor) -> Tensor:
            text, position = (cells // longest).view(-1, 1, 1), (cells % longest).view(-1, 1, 1)
            return (((part[:, None] * texts + text) * heads + head) * longest + position).flatten()

        return _Routes(
            to_qkv=in_run(part, 3),
            from_qkv=in_grid(layout.cells, part),
            to_heads=in_run(part[:1], 1),
            from_heads=in_grid(layout.cells, part[:1]),
            empty=in_grid(layout.empty, part[:1]),
        )


def _rearranged(rows: Tensor, sources: Tensor, places: Tensor, unread: Tensor | None) -> Tensor:
    out: Tensor = _Rearrange.apply(rows, sources, places, unread)  # type: ignore[no-untyped-call]
    return out


class _Rearrange(torch.autograd.Function):
    """Rows in another order; going back by selection too, which index_select's own way is not.

    sources: the input's row that each row of the output is; places: an output's row that shows each
    row of the input, the one that gets gradients; unread: the input's rows that none shows.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, sources: Tensor, places: Tensor, unread: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(places, unread)
        return rows.index_select(0, sources)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        places, unread = ctx.saved_tensors
        back = gradient.index_select(0, places)
        if unread is not None and len(unread):
            back.index_fill_(0, unread, 0)
        return back, None, None, None
