"""The activation functions that GPT-2 configurations name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

TANH_GELUS: Final = frozenset({"gelu_new", "gelu_fast", "gelu_pytorch_tanh"})

_gelu_tanh = partial(functional.gelu, approximate="tanh")

ACTIVATIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    **dict.fromkeys(sorted(TANH_GELUS), _gelu_tanh),
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": torch.tanh,
}
