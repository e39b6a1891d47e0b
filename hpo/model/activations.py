"""The activation functions that GPT-2 configurations name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

TANH_GELUS: Final = frozenset(
    {"gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh"}
)

# 2 √(2/π), and the same times the cubic term's coefficient.
_LINEAR: Final = 1.5957691216057308
_CUBIC: Final = _LINEAR * 0.044715


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU in its tanh form (Hendrycks and Gimpel, 2016), elementwise.

    In fp32 on a CPU it is computed as x · sigmoid(a x + b x³), the same function: PyTorch's own
    kernel spends twice as long on its tanh going forward, and as long again going back.

    Args:
        x: Of any shape and floating-point dtype.

    Returns:
        Of the same shape and dtype.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return functional.gelu(x, approximate="tanh")
    if torch.is_grad_enabled() and x.requires_grad:
        y: Tensor = _TanhGelu.apply(x)  # type: ignore[no-untyped-call]
        return y
    return _gate(x, x * x).mul_(x)


class _TanhGelu(torch.autograd.Function):
    """Keeps the slope instead of the input, so that going back is a single product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        square = x * x
        gate = _gate(x, square)
        y = x * gate
        # y' = gate + y (1 - gate) (a + 3 b x²)
        slope = square.mul_(3 * _CUBIC).add_(_LINEAR).mul_(y)
        slope.addcmul_(slope, gate, value=-1).add_(gate)
        ctx.save_for_backward(slope)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        slope: Tensor = ctx.saved_tensors[0]
        return gradient * slope


def _gate(x: Tensor, square: Tensor) -> Tensor:
    """sigmoid(a x + b x³)."""
    return torch.mul(square, _CUBIC).add_(_LINEAR).mul_(x).sigmoid_()


def quick_gelu(x: Tensor) -> Tensor:
    """GELU as a sigmoid (Hendrycks and Gimpel, 2016), elementwise, in any dtype."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    **dict.fromkeys(sorted(TANH_GELUS), gelu_tanh),
    "gelu": functional.gelu,
    "gelu_python": functional.gelu,
    "quick_gelu": quick_gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": torch.tanh,
}
