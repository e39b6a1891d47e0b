"""Kernels that add up in the same order every time, where a GPU has others that are faster."""

from __future__ import annotations

import os
from functools import cache

import torch


@cache
def choose_deterministic_kernels(device: torch.device) -> None:
    """Have this process give the same numbers for the same trial. To be called before it computes.

    On CPUs nothing needs to be chosen. On a GPU it takes attention a backward pass whose sums have
    an order. cuDNN's attention is switched off as well, for speed: it plans anew for every shape.
    """
    if device.type != "cuda":
        return
    # PyTorch before 2.13 wants to see it before it promises anything.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.enable_cudnn_sdp(False)
