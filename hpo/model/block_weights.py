"""The weights of one transformer block, as the forward pass takes them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hpo.model.autograd_functions import cast_together


class BlockWeights(NamedTuple):
    """A block's weights; matrices are (in, out). Norms are fp32, the rest is in the compute dtype."""

    norm_1_weight: Tensor
    norm_1_bias: Tensor
    qkv_weight: Tensor
    qkv_bias: Tensor
    out_weight: Tensor
    out_bias: Tensor
    norm_2_weight: Tensor
    norm_2_bias: Tensor
    up_weight: Tensor
    up_bias: Tensor
    down_weight: Tensor
    down_bias: Tensor

    def in_dtype(self, dtype: torch.dtype) -> BlockWeights:
        """The weights in the dtype of matmuls, the norms left as they are; gradients flow through the cast."""
        if dtype == torch.float32:
            return self
        names = [name for name in self._fields if not name.startswith("norm")]
        weights = [getattr(self, name) for name in names]
        return self._replace(**dict(zip(names, cast_together(weights, dtype), strict=True)))
