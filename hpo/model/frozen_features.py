"""Frozen features: the hidden states that the frozen blocks give for every text, computed once and shared.

Frozen blocks run without dropout, so that their output is a pure function of the text. A trial that
freezes the first k blocks reads the hidden states after block k and trains from there:

    tokens ─► embeddings ─► block 0 ─► … ─► block k-1 ─► hidden states at depth k ─► trained blocks

`FrozenFeatures.states` keeps them in files (feature_cache.py), one a split and depth, under a key made
of the weights, the texts, their length and the dtype. Where a depth is not kept, reading starts from
the deepest that is, or from the tokens, and runs the blocks between at every batch.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.atomic import PARTIAL
from hpo.data.tokens import TokenizedSplit
from hpo.formats import HIDDEN_STATES
from hpo.model.block_pace import seconds_a_pass
from hpo.model.feature_cache import (
    DamagedStates,
    FeatureCache,
    discard_states,
    finish_states,
    map_states,
    open_states,
    remove_partial_files,
)
from hpo.model.frozen_blocks import FrozenBlocks
from hpo.model.layout import PASS_TOKENS, Layout, rows_and_layout
from hpo.model.pretrained import PretrainedModel
from hpo.model.transfer import to_device

logger = logging.getLogger(__name__)

_DTYPE_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}

BuildProgress = Callable[[int, int, int], None]
"""Called while a file is built, or waited for, with (depth, texts done, texts in all); may raise."""


class FrozenFeatures:
    """The frozen blocks of one model, in one dtype on one device, and the hidden states that they give."""

    def __init__(
        self,
        model: PretrainedModel,
        *,
        cache: FeatureCache | None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
        on_progress: BuildProgress | None = None,
    ) -> None:
        """Make them ready; nothing is computed yet.

        Args:
            model: Whose blocks they are.
            cache: Where hidden states are kept; None computes them anew whenever they are read.
            dtype: Of matmuls and of what is kept; fp32 or bf16.
            device: Where the blocks run; None: the CPU.
            on_progress: Told how far the building of a file is.
        """
        self.model = model
        self.cache = cache
        self.dtype = dtype
        self.device = device or torch.device("cpu")
        self.on_progress = on_progress
        self.blocks = FrozenBlocks(model, self.dtype, self.device)
        self._open: dict[Path, Tensor] = {}
        self._pace: float | None = None

    def states(self, split: TokenizedSplit, split_key: str | None, depth: int) -> HiddenStates:
        """The hidden states of a split at a depth; what can be kept of them is built first.

        Args:
            split: The texts.
            split_key: Names the split's tokens, the same wherever they are the same; None: nothing is kept.
            depth: Frozen blocks that the states have passed, 0 to n_layer; 0: the frozen embeddings.

        Raises:
            Exception: Whatever `on_progress` raises, to stop the building.
        """
        if self.cache is None or split_key is None or depth == 0:
            return HiddenStates(self.blocks, split, depth, 0, None)
        files = _SplitFiles(self, self.cache, split, self._key(split_key))
        files.build(depth)
        stored_depth, stored = files.deepest(depth)
        return HiddenStates(self.blocks, split, depth, stored_depth, stored)

    def rows(self, split: TokenizedSplit, depth: int) -> int:
        """Vectors that a depth has: one a token, or one a text where everything is frozen."""
        return len(split) if depth == self.model.architecture.n_layer else len(split.tokens)

    def opened(self, path: Path, rows: int) -> Tensor:
        """A file of hidden states, (rows, width), opened once; on a GPU that has room for it, a copy there.

        Raises:
            OSError: Where it cannot be opened.
            DamagedStates: Where it is not as it was written.
        """
        if path not in self._open:
            stored = open_states(path, rows, self.model.architecture.width, self.dtype)
            if self.device.type == "cuda" and self._fits_on_device(stored):
                stored = stored.to(self.device)
            self._open[path] = stored
        return self._open[path]

    def seconds_a_pass(self, split: TokenizedSplit) -> float:
        """Seconds that a block takes for a token, timed on texts of a split when first asked for."""
        if self._pace is None:
            # Blocks of their own, which go again: a GPU's memory is for what is trained.
            self._pace = seconds_a_pass(FrozenBlocks(self.model, self.dtype, self.device), split)
        return self._pace

    def tell(self, depth: int, done: int, texts: int) -> None:
        """Say how far the building of a depth's file is."""
        if self.on_progress is not None:
            self.on_progress(depth, done, texts)

    def _key(self, split_key: str) -> str:
        # The format is raised when the files change, or what is kept beside them.
        parts = HIDDEN_STATES.number, self.model.fingerprint, split_key, _DTYPE_NAMES[self.dtype]
        name = ":".join(map(str, parts))
        return hashlib.sha256(name.encode()).hexdigest()[:24]

    def _fits_on_device(self, stored: Tensor) -> bool:
        """Whether a GPU can hold these states too: half of what is free, and of this process's share
        a third for all of them together.
        """
        free, memory = torch.cuda.mem_get_info(self.device)
        share = memory * torch.cuda.get_per_process_memory_fraction()
        held = sum(states.nbytes for states in self._open.values() if states.is_cuda)
        return stored.nbytes <= min(free / 2, share / 3 - held)


@dataclass(frozen=True)
class HiddenStates:
    """Where the hidden states of a split at one depth come from.

    The blocks from `stored_depth` up to `depth` are run whenever states are read.

    Attributes:
        blocks: The frozen blocks.
        split: The texts.
        depth: Of the states that are read.
        stored_depth: Of those that are stored; 0 where none are.
        stored: (tokens, width), or (texts, width) if `stored_depth` is n_layer; None: nothing is.
    """

    blocks: FrozenBlocks
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
        return self._read_rows(texts)

    def read(
        self, texts: NDArray[np.int64], layout: Layout, token_rows: NDArray[np.int64]
    ) -> Tensor:
        """The hidden states of a batch at `depth`.

        Args:
            texts: Indices into the split, (texts,).
            layout: Of the batch.
            token_rows: Rows of the batch's tokens among those of the split, (tokens,).

        Returns:
            (tokens, width) fp32, or (texts, width) with everything frozen.
        """
        if self.is_per_text:
            return self.read_per_text(texts)
        if self.stored is None:
            hidden = self.blocks.embed(self.split, layout, token_rows)
        else:
            hidden = self._read_rows(token_rows)
        return self.blocks.run(hidden, layout, self.stored_depth, self.depth)

    @property
    def _n_layer(self) -> int:
        return self.blocks.model.architecture.n_layer

    def _read_rows(self, rows: NDArray[np.int64]) -> Tensor:
        assert self.stored is not None
        index = to_device(torch.from_numpy(rows), self.stored.device)
        read = self.stored.index_select(0, index)
        return (read if read.is_cuda else to_device(read, self.blocks.device)).float()


@dataclass(frozen=True)
class _SplitFiles:
    """The files of one split's hidden states, one a depth, in the cache's folder of their key."""

    features: FrozenFeatures
    cache: FeatureCache
    split: TokenizedSplit
    key: str

    def path(self, depth: int) -> Path:
        return self.cache.folder / self.key / f"depth-{depth:02d}.bin"

    def deepest(self, depth: int) -> tuple[int, Tensor | None]:
        """The deepest stored depth up to this one, and what is stored there; 0 and None: none is."""
        for stored_depth in range(depth, 0, -1):
            stored = self.stored(stored_depth)
            if stored is not None:
                return stored_depth, stored
        return 0, None

    def stored(self, depth: int, *, locked: bool = False) -> Tensor | None:
        """The file of a depth, if it is whole.

        Args:
            locked: The key's lock is held, so a damaged one can go.
        """
        path = self.path(depth)
        try:
            return self.features.opened(path, self.features.rows(self.split, depth))
        except DamagedStates as damage:
            if locked:
                logger.warning("%s is damaged (%s) and is made anew", path, damage)
                discard_states(path)
            return None
        except OSError:
            return None

    def build(self, depth: int) -> None:
        """Make the file of a depth, from the deepest there is, with those between if they fit.

        Where the disk is full or cannot be written to, states are computed whenever they are read.
        """
        if self.stored(depth) is not None:
            return
        try:
            with self.cache.building(
                self.key, lambda: self.features.tell(depth, 0, len(self.split))
            ):
                self._build_locked(depth)
        except OSError as error:
            logger.warning("hidden states cannot be kept in %s: %s", self.cache.folder, error)

    def _build_locked(self, depth: int) -> None:
        stored = (d for d in range(depth, 0, -1) if self.stored(d, locked=True) is not None)
        start = next(stored, 0)
        if start == depth:  # another process was first
            return
        wanted = range(depth, start, -1)
        count = self.cache.worth_keeping([self._bytes(d) for d in wanted])
        if count:
            self._compute(start, sorted(wanted[:count]))

    def _bytes(self, depth: int) -> int:
        numbers = self.features.rows(self.split, depth) * self.features.model.architecture.width
        return numbers * self.features.dtype.itemsize

    def _compute(self, start: int, depths: Sequence[int]) -> None:
        """Fill the files of these depths, ascending, from the states stored at `start`."""
        paths = {depth: self.path(depth).with_suffix(PARTIAL) for depth in depths}
        try:
            if not self.cache.reserve({path: self._bytes(d) for d, path in paths.items()}):
                return
            partial = {depth: self._mapped(path, depth) for depth, path in paths.items()}
            self._fill(partial, start)
            for depth, path in paths.items():
                finish_states(path, self.path(depth), partial[depth])
        finally:
            remove_partial_files(self.path(start).parent)

    def _mapped(self, path: Path, depth: int) -> Tensor:
        rows, width = self.features.rows(self.split, depth), self.features.model.architecture.width
        return map_states(path, rows, width, self.features.dtype, write=True)

    @torch.no_grad()
    def _fill(self, partial: Mapping[int, Tensor], start: int) -> None:
        """One pass over the split; partial: depth, ascending -> the file to be filled, mapped."""
        features, split = self.features, self.split
        source = HiddenStates(
            features.blocks, split, start, start, self.stored(start) if start else None
        )
        done = 0
        for texts in _chunks(split, PASS_TOKENS[features.device.type]):
            token_rows, layout = rows_and_layout(split, texts, features.device)
            hidden = source.read(texts, layout, token_rows)
            previous = start
            for depth, file in partial.items():
                hidden = features.blocks.run(hidden, layout, previous, depth)
                rows = texts if depth == features.model.architecture.n_layer else token_rows
                file.index_copy_(0, torch.from_numpy(rows), hidden.to("cpu", features.dtype))
                previous = depth
            done += len(texts)
            features.tell(previous, done, len(split))


def _chunks(split: TokenizedSplit, most_tokens: int) -> Iterator[NDArray[np.int64]]:
    """All texts of a split, like lengths together, in runs of about `most_tokens` tokens."""
    order = np.argsort(split.lengths, kind="stable")
    chunk_of = np.cumsum(split.lengths[order]) // most_tokens
    for chunk in np.split(order, np.flatnonzero(np.diff(chunk_of)) + 1):
        if len(chunk):
            yield chunk
