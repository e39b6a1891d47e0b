"""Parts of the forward pass by themselves."""

from __future__ import annotations

import pytest
import torch

from hpo.model import packed
from hpo.model.block_weights import BlockWeights


@pytest.mark.parametrize("activation", ["gelu_new", "gelu", "relu"])
def test_without_gradients_the_mlp_gives_the_same(activation: str) -> None:
    """In bf16 it may then run as one fused kernel."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(32, 128, generator=generator).to(torch.bfloat16)
    some = torch.zeros(0)
    weights = BlockWeights(*[some] * 8, matrix, torch.ones(128, dtype=torch.bfloat16), some, some)
    normed = torch.randn(50, 32, generator=generator)
    with_gradients = packed._up(normed, weights, activation)
    with torch.no_grad():
        without = packed._up(normed, weights, activation)
    torch.testing.assert_close(with_gradients, without, rtol=0.02, atol=0.02)
