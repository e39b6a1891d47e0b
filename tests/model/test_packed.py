"""Packing: a run of tokens and the grid of its texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpo.model import packed
from hpo.model.packed import BlockWeights, Layout

CPU = torch.device("cpu")
lengths = st.lists(st.integers(1, 40), min_size=1, max_size=12).map(np.array)


def run_of(layout: Layout) -> torch.Tensor:
    tokens = len(layout.positions)
    return torch.arange(1, 3 * tokens + 1, dtype=torch.float32).view(tokens, 3)


@given(lengths, st.booleans())
def test_to_the_grid_and_back_is_where_it_was(lengths: np.ndarray, rounded: bool) -> None:
    layout = Layout.of(lengths, CPU, rounded=rounded)
    packed = run_of(layout)
    real = int(lengths.sum())
    back = layout.to_run(layout.to_grid(packed))
    assert torch.equal(back[:real], packed[:real])
    assert back.shape == packed.shape


@given(lengths, st.booleans())
def test_each_text_lies_in_its_row_of_the_grid(lengths: np.ndarray, rounded: bool) -> None:
    layout = Layout.of(lengths, CPU, rounded=rounded)
    packed = run_of(layout)
    grid = layout.to_grid(packed)
    assert grid.shape == (len(lengths), layout.longest, 3)
    for text, (length, end) in enumerate(zip(lengths, np.cumsum(lengths), strict=True)):
        assert torch.equal(grid[text, :length], packed[end - length : end])
        assert torch.equal(packed[layout.last[text]], grid[text, length - 1])
        assert layout.positions[end - length : end].tolist() == list(range(length))


@given(lengths, st.booleans())
def test_gradients_come_back_to_every_real_token(lengths: np.ndarray, rounded: bool) -> None:
    layout = Layout.of(lengths, CPU, rounded=rounded)
    packed = run_of(layout).requires_grad_()
    real = int(lengths.sum())
    weights = torch.randn(real, 3)
    (layout.to_run(layout.to_grid(packed))[:real] * weights).sum().backward()
    assert torch.equal(packed.grad[:real], weights)
    assert not packed.grad[real:].any()


@given(lengths)
def test_rounding_wastes_little_and_leaves_few_shapes(lengths: np.ndarray) -> None:
    exact, rounded = Layout.of(lengths, CPU), Layout.of(lengths, CPU, rounded=True)
    assert len(exact.positions) == lengths.sum()
    assert len(rounded.positions) <= len(exact.positions) * (1 + 1 / 16)
    assert rounded.longest < exact.longest + 4


def test_few_run_lengths_occur_when_rounded() -> None:
    random = np.random.default_rng(0)
    runs = [random.integers(3, 50, 16) for _ in range(1000)]
    exact = {len(Layout.of(run, CPU).positions) for run in runs}
    rounded = {len(Layout.of(run, CPU, rounded=True).positions) for run in runs}
    assert len(exact) > 150
    assert len(rounded) < 30


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
