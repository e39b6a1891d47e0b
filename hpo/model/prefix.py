"""The frozen prefix: what the frozen blocks make of every text, computed once and shared.

Frozen blocks run without dropout, so their output is a pure function of the text. It is kept on
disk (prefix_cache.py), memory mapped, one file a split and depth, under a key made of the weights, the
texts, their length and the dtype.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.data.tokens import TokenizedSplit
from hpo.formats import HIDDEN_STATES
from hpo.model import packed
from hpo.model.dropout import NO_DROPOUT
from hpo.model.gpt2 import POSITION_EMBEDDING, TOKEN_EMBEDDING, PretrainedModel, block_names
from hpo.model.layout import COARSE, FINE, PASS_TOKENS, Layout, Rounding
from hpo.model.packed import BlockWeights
from hpo.model.prefix_cache import (
    PARTIAL,
    DamagedStates,
    PrefixCache,
    discard_states,
    finish_states,
    map_states,
    open_states,
    remove_partial_files,
)
from hpo.model.transfer import to_device

logger = logging.getLogger(__name__)

_DTYPE_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}

BuildProgress = Callable[[int, int, int], None]
"""Called while a file is built, or waited for, with (depth, texts done, texts in all); may raise."""


@dataclass(frozen=True)
class HiddenStates:
    """Where the hidden states of a split at one depth come from.

    stored: (tokens, width) at `stored_depth`, or (texts, width) if that is n_layer; None: nothing is.
    The blocks from `stored_depth` up to `depth` are run whenever states are read.
    """

    prefix: Prefix
    split: TokenizedSplit
    depth: int
    stored_depth: int
    stored: Tensor | None

    @property
    def is_per_text(self) -> bool:
        """Whether one vector a text is stored, and nothing of its tokens is read."""
        return self.stored is not None and self.stored_depth == self._n_layer

    def read_per_text(self, texts: NDArray[np.int64]) -> Tensor:
        """What is stored of some texts, (texts, width) fp32. Only where `is_per_text`."""
        assert self.stored is not None
        return self._rows(texts)

    def read(
        self, texts: NDArray[np.int64], layout: Layout, token_rows: NDArray[np.int64]
    ) -> Tensor:
        """Hidden states at `depth` in fp32: (tokens, width), or (texts, width) with everything frozen.

        texts: indices into the split; token_rows: the rows of their tokens in the split's run.
        """
        if self.is_per_text:
            return self.read_per_text(texts)
        stored = self.stored is not None
        hidden = (
            self._rows(token_rows) if stored else self.prefix.embed(self.split, layout, token_rows)
        )
        return self.prefix.run(hidden, layout, self.stored_depth, self.depth)

    @property
    def _n_layer(self) -> int:
        return self.prefix.model.architecture.n_layer

    def _rows(self, rows: NDArray[np.int64]) -> Tensor:
        assert self.stored is not None
        index = to_device(torch.from_numpy(rows), self.stored.device)
        read = self.stored.index_select(0, index)
        return (read if read.is_cuda else to_device(read, self.prefix.device)).float()


class Prefix:
    """The frozen part of one model, in one dtype, on one device."""

    def __init__(
        self,
        model: PretrainedModel,
        *,
        cache: PrefixCache | None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
        on_progress: BuildProgress | None = None,
    ) -> None:
        """cache: None computes the frozen part anew whenever it is read."""
        self.model = model
        self.cache = cache
        self.dtype = dtype
        self.device = device or torch.device("cpu")
        self.on_progress = on_progress
        self._blocks: dict[int, BlockWeights] = {}
        self._open: dict[tuple[str, int], Tensor] = {}

    def states(self, split: TokenizedSplit, split_key: str, depth: int) -> HiddenStates:
        """The hidden states of a split after `depth` frozen blocks, 1..n_layer.

        split_key: names the split's tokens, the same wherever they are the same.
        """
        key = self._key(split_key)
        if self.cache is not None and depth > 0:
            self._build(split, key, depth)
        for stored_depth in range(depth, 0, -1):
            stored = self._stored(split, key, stored_depth)
            if stored is not None:
                return HiddenStates(self, split, depth, stored_depth, stored)
        return HiddenStates(self, split, depth, 0, None)

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
        tables = self.model.weights[TOKEN_EMBEDDING], self.model.weights[POSITION_EMBEDDING]
        return packed.embed(tokens, layout.positions.cpu(), *tables, NO_DROPOUT).to(self.device)

    @torch.no_grad()
    def run(self, hidden: Tensor, layout: Layout, first: int, end: int) -> Tensor:
        """Run the frozen blocks first..end-1; the model's last block yields the last tokens alone.

        What leaves a block is rounded as the cache would store it, so that a depth comes out the
        same whether the one before it was stored or computed a moment ago.
        """
        architecture = self.model.architecture
        for index in range(first, end):
            run = packed.last_block if index == architecture.n_layer - 1 else packed.block
            hidden = run(hidden, self._block(index), layout, architecture, index, NO_DROPOUT)
            hidden = hidden.to(self.dtype).float()
        return hidden

    def _block(self, index: int) -> BlockWeights:
        if index not in self._blocks:
            weights = BlockWeights(*(self.model.weights[name] for name in block_names(index)))
            weights = BlockWeights(*(weight.to(self.device) for weight in weights))
            self._blocks[index] = weights.in_dtype(self.dtype)
        return self._blocks[index]

    def _key(self, split_key: str) -> str:
        # The format is raised when the files change, or what is kept beside them.
        name = f"{HIDDEN_STATES.number}:{self.model.fingerprint}:{split_key}:{_DTYPE_NAMES[self.dtype]}"
        return hashlib.sha256(name.encode()).hexdigest()[:24]

    def _path(self, key: str, depth: int) -> Path:
        assert self.cache is not None
        return self.cache.folder / key / f"depth-{depth:02d}.bin"

    def _rows(self, split: TokenizedSplit, depth: int) -> int:
        """Everything frozen, one vector a text is all that is read."""
        return len(split) if depth == self.model.architecture.n_layer else len(split.tokens)

    def _size(self, split: TokenizedSplit, depth: int) -> int:
        return self._rows(split, depth) * self.model.architecture.width * self.dtype.itemsize

    def _stored(
        self, split: TokenizedSplit, key: str, depth: int, *, alone: bool = False
    ) -> Tensor | None:
        """The file of a depth, whole; alone: the key's lock is held, so that a damaged one can go."""
        if self.cache is None:
            return None
        if (key, depth) in self._open:
            return self._open[key, depth]
        path = self._path(key, depth)
        rows, width = self._rows(split, depth), self.model.architecture.width
        try:
            stored = open_states(path, rows, width, self.dtype)
        except DamagedStates as damage:
            if alone:
                logger.warning("%s is damaged (%s) and is made anew", path, damage)
                discard_states(path)
            return None
        except OSError:
            return None
        if self.device.type == "cuda" and self._fits_on_device(stored):
            stored = stored.to(self.device)
        self._open[key, depth] = stored
        return stored

    def _fits_on_device(self, stored: Tensor) -> bool:
        """Whether a GPU can hold these states too: half of what is free, and of this process's share
        a third for all of them together.
        """
        free, memory = torch.cuda.mem_get_info(self.device)
        share = memory * torch.cuda.get_per_process_memory_fraction()
        held = sum(states.nbytes for states in self._open.values() if states.is_cuda)
        return stored.nbytes <= min(free / 2, share / 3 - held)

    def _build(self, split: TokenizedSplit, key: str, depth: int) -> None:
        """Make the file of a depth, from the deepest there is, with those between if they fit.

        A disk that is full or cannot be written to leaves the prefix to be computed whenever read.
        """
        cache = self.cache
        if cache is None or self._stored(split, key, depth) is not None:
            return
        try:
            with cache.building(key, lambda: self._tell(depth, 0, len(split))):
                self._build_alone(cache, split, key, depth)
        except OSError as error:
            logger.warning("hidden states cannot be kept in %s: %s", cache.folder, error)

    def _build_alone(self, cache: PrefixCache, split: TokenizedSplit, key: str, depth: int) -> None:
        stored = (
            d for d in range(depth, 0, -1) if self._stored(split, key, d, alone=True) is not None
        )
        start = next(stored, 0)
        if start == depth:  # another process was first
            return
        wanted = range(depth, start, -1)
        sizes = [self._size(split, d) for d in wanted]
        count = cache.worth_keeping(sizes)
        if count:
            self._compute(cache, split, key, start, sorted(wanted[:count]))

    def _tell(self, depth: int, done: int, texts: int) -> None:
        if self.on_progress is not None:
            self.on_progress(depth, done, texts)

    @torch.no_grad()
    def _compute(
        self, cache: PrefixCache, split: TokenizedSplit, key: str, start: int, depths: list[int]
    ) -> None:
        width = self.model.architecture.width
        source = HiddenStates(
            self, split, start, start, self._stored(split, key, start) if start else None
        )
        paths = {depth: self._path(key, depth).with_suffix(PARTIAL) for depth in depths}
        try:
            sizes = {path: self._size(split, depth) for depth, path in paths.items()}
            if not cache.reserve(sizes):
                return
            partial = {
                depth: map_states(path, self._rows(split, depth), width, self.dtype, write=True)
                for depth, path in paths.items()
            }
            done = 0
            for texts in _chunks(split, PASS_TOKENS[self.device.type]):
                token_rows, layout = rows_and_layout(split, texts, self.device)
                hidden = source.read(texts, layout, token_rows)
                previous = start
                for depth in depths:
                    hidden = self.run(hidden, layout, previous, depth)
                    index = texts if depth == self.model.architecture.n_layer else token_rows
                    values = hidden.to("cpu", self.dtype)
                    partial[depth].index_copy_(0, torch.from_numpy(index), values)
                    previous = depth
                done += len(texts)
                self._tell(depths[-1], done, len(split))
            for depth, path in paths.items():
                finish_states(path, self._path(key, depth), partial[depth])
        finally:
            remove_partial_files(self._path(key, start).parent)


def rows_and_layout(
    split: TokenizedSplit,
    texts: NDArray[np.int64],
    device: torch.device,
    rounding: Rounding | None = None,
) -> tuple[NDArray[np.int64], Layout]:
    """The rows of some texts' tokens in the split's run, (tokens,), and the layout of their batch.

    Spare tokens, as rounding adds them, are those of the first text's first row.
    """
    starts = split.offsets[texts]
    lengths = split.offsets[texts + 1] - starts
    layout = Layout.of(lengths, device, rounding)
    ends = np.cumsum(lengths)
    rows = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
    spare = len(layout.positions) - len(rows)
    return (np.append(rows, np.full(spare, rows[0])) if spare else rows), layout


def _chunks(split: TokenizedSplit, most_tokens: int) -> Iterator[NDArray[np.int64]]:
    """All texts of a split, like lengths together, in runs of about `most_tokens` tokens."""
    order = np.argsort(split.lengths, kind="stable")
    chunk_of = np.cumsum(split.lengths[order]) // most_tokens
    for chunk in np.split(order, np.flatnonzero(np.diff(chunk_of)) + 1):
        if len(chunk):
            yield chunk
