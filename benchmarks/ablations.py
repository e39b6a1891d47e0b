"""The engine with one of its ideas taken out, to see what each is worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from hpo.data.tokens import TokenizedSplit


def _without_last_token() -> None:
    from hpo.model import packed

    whole = packed.block

    def last_block(hidden: Any, weights: Any, layout: Any, *rest: Any) -> torch.Tensor:
        return whole(hidden, weights, layout, *rest)[layout.last]

    packed.last_block = last_block


def _without_packing() -> None:
    """Every text padded to the longest of its batch, (texts, max_seqlen)."""
    from hpo.model import inputs
    from hpo.model.layout import Layout

    def padded(
        split: TokenizedSplit, texts: np.ndarray, device: torch.device, rounding: object
    ) -> tuple[np.ndarray, Layout]:
        starts = split.offsets[texts]
        lengths = split.offsets[texts + 1] - starts
        max_seqlen = int(lengths.max())
        column = np.minimum(np.arange(max_seqlen), lengths[:, None] - 1)
        layout = Layout.of(np.full(len(texts), max_seqlen), device)
        layout.lengths.copy_(torch.from_numpy(lengths))
        layout.last.copy_(torch.from_numpy(np.arange(len(texts)) * max_seqlen + lengths - 1))
        return (starts[:, None] + column).ravel(), dataclasses.replace(layout, ragged=True)

    inputs.rows_and_layout = padded


def _without_like_lengths() -> None:
    from hpo.training import loop

    def shuffled(lengths: np.ndarray, size: int, *, seed: int, epoch: int) -> list[np.ndarray]:
        order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
        return [order[at : at + size] for at in range(0, len(order), size)]

    loop.epoch_batches = shuffled


def _without_compact_embeddings() -> None:
    from hpo.model.embedding_rows import EmbeddingRows
    from hpo.training import loop

    class Whole:
        @staticmethod
        def of(*_: np.ndarray, max_seqlen: int) -> EmbeddingRows:
            del max_seqlen
            return EmbeddingRows.whole(*TABLE_ROWS)

    loop.EmbeddingRows = Whole


def _without_own_dropout() -> None:
    from hpo.model.dropout import Dropout

    def drop(self: Dropout, x: torch.Tensor, probability: float) -> torch.Tensor:
        return torch.nn.functional.dropout(x, probability) if probability else x

    Dropout._drop = drop


ABLATIONS: dict[str, Callable[[], None]] = {
    "cache": lambda: None,
    "bf16": lambda: None,
    "last-token": _without_last_token,
    "packing": _without_packing,
    "like-lengths": _without_like_lengths,
    "compact-embeddings": _without_compact_embeddings,
    "own-dropout": _without_own_dropout,
}


TABLE_ROWS = [0, 0]
