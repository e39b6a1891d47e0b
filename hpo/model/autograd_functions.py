"""Operations whose gradient is written by hand, since PyTorch's own way back is slower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def cast_together(tensors: Sequence[Tensor], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Tensors of one dtype and device in another dtype; on a GPU by one kernel, there and back.

    Args:
        tensors: Of any shapes.
        dtype: What they become.

    Returns:
        As many, of the same shapes.
    """
    if not tensors[0].is_cuda:
        return tuple(tensor.to(dtype) for tensor in tensors)
    cast: tuple[Tensor, ...] = _CastTogether.apply(dtype, *tensors)  # type: ignore[no-untyped-call]
    return cast


def rearrange(rows: Tensor, gather: Tensor, scatter: Tensor, unread: Tensor | None) -> Tensor:
    """Rows in another order, whose gradients go back by selection too, which index_select's do not.

    Args:
        rows: (rows in, width).
        gather: The row that each row of the output is, (rows out,).
        scatter: A row of the output that shows each row, the one that gradients come from,
            (rows in,).
        unread: The rows that none shows, whose gradient is zero; None: there are none.

    Returns:
        (rows out, width).
    """
    out: Tensor = _Rearrange.apply(rows, gather, scatter, unread)  # type: ignore[no-untyped-call]
    return out


class _CastTogether(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.dtype = tensors[0].dtype
        return _cast(tensors, dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, *_cast(gradients, ctx.dtype)


def _cast(tensors: tuple[Tensor, ...], dtype: torch.dtype) -> tuple[Tensor, ...]:
    out = tuple(torch.empty_like(tensor, dtype=dtype) for tensor in tensors)
    torch._foreach_copy_(out, tensors)
    return out


class _Rearrange(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, gather: Tensor, scatter: Tensor, unread: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(scatter, unread)
        return rows.index_select(0, gather)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        scatter, unread = ctx.saved_tensors
        back = gradient.index_select(0, scatter)
        if unread is not None and len(unread):
            back.index_fill_(0, unread, 0)
        return back, None, None, None
