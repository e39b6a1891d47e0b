"""How long a frozen block takes for a token, on this machine and now."""

from __future__ import annotations

import time

import numpy as np
import torch

from hpo.data.tokens import TokenizedSplit
from hpo.model.frozen_blocks import FrozenBlocks
from hpo.model.layout import PASS_TOKENS, rows_and_layout

_SHARE = 4  # of the tokens that keep a device busy: enough to tell its pace
_PASSES = 3  # the fastest counts: a first one has more to do, and any may be disturbed


def seconds_a_pass(blocks: FrozenBlocks, split: TokenizedSplit) -> float:
    """Seconds that the first block takes for a token, found by passes over texts of all lengths.

    Args:
        blocks: Of the model; all but the last cost the same.
        split: Of whose texts some are passed.
    """
    wanted = PASS_TOKENS[blocks.device.type] / _SHARE / max(float(split.lengths.mean()), 1.0)
    count = min(max(round(wanted), 1), len(split))
    by_length = np.argsort(split.lengths, kind="stable")
    texts = by_length[np.linspace(0, len(split) - 1, count).round().astype(np.int64)]
    token_rows, layout = rows_and_layout(split, texts, blocks.device, blocks.rounding)
    hidden = blocks.embed(split, layout, token_rows)
    seconds = []
    for _ in range(_PASSES):
        _wait_for(blocks.device)
        began = time.perf_counter()
        blocks.run(hidden, layout, 0, 1)
        _wait_for(blocks.device)
        seconds.append(time.perf_counter() - began)
    return min(seconds) / len(token_rows)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
