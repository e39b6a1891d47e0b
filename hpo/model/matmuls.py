"""Linear layers: which library multiplies, and what it does in the same pass over memory.

A training step and every evaluation of a trial multiply as they always have, for what a study stored
is to be had again to the last bit. A finished model that labels texts does so in PyTorch's inference
mode, and there fp32 goes to oneDNN on CPUs: PyTorch's usual library, MKL, uses half of what the vector
units of some makers' CPUs can do, and cannot apply the activation while the product is in the cache.
The two differ in rounding.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from hpo.model.activations import ACTIVATIONS, TANH_GELUS

_HAS_ONEDNN: Final = torch.backends.mkldnn.is_available() and hasattr(
    torch.ops.mkldnn, "_linear_pointwise"
)
# Without instructions for it oneDNN has no fused bf16 kernels, though PyTorch emulates the format.
_FUSES_BF16: Final = _HAS_ONEDNN and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear layer in its weight's dtype, (tokens, in) by (in, out) -> (tokens, out)."""
    if _infers_fp32(weight):
        return _onednn(x, weight, bias, "none", "")
    return torch.addmm(bias, x.to(weight.dtype), weight)


def activated_linear(x: Tensor, weight: Tensor, bias: Tensor, activation: str) -> Tensor:
    """A linear layer and a configuration's activation of what it gives, as `linear`."""
    if activation in TANH_GELUS and (_infers_fp32(weight) or _fuses_bf16(weight)):
        # At widths of a few hundred, PyTorch's bf16 GELU takes as long as the matmul before it.
        return _onednn(x, weight, bias, "gelu", "tanh")
    return ACTIVATIONS[activation](linear(x, weight, bias))


def _infers_fp32(weight: Tensor) -> bool:
    if not (_HAS_ONEDNN and torch.is_inference_mode_enabled()):
        return False
    return weight.dtype == torch.float32 and weight.device.type == "cpu"


def _fuses_bf16(weight: Tensor) -> bool:
    is_bf16 = weight.dtype == torch.bfloat16 and weight.device.type == "cpu"
    return _FUSES_BF16 and is_bf16 and not torch.is_grad_enabled()


def _onednn(x: Tensor, weight: Tensor, bias: Tensor, activation: str, form: str) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(
        x.to(weight.dtype), weight.t(), bias, activation, [], form
    )
    return out
