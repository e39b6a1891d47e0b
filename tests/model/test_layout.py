"""Packing: a run of tokens, the grid of its texts, and heads apart."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpo.model.layout import Layout

CPU = torch.device("cpu")
HEAD_WIDTH = 2
lengths = st.lists(st.integers(1, 40), min_size=1, max_size=12).map(np.array)
heads = st.integers(1, 3)


def run_of(layout: Layout, width: int = 3) -> torch.Tensor:
    tokens = len(layout.positions)
    return torch.arange(1, width * tokens + 1, dtype=torch.float32).view(tokens, width)


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
def test_an_empty_cell_shows_a_token_of_its_own_text(lengths: np.ndarray, rounded: bool) -> None:
    """Whatever is wrong with a text stays its own."""
    layout = Layout.of(lengths, CPU, rounded=rounded)
    grid = layout.to_grid(run_of(layout))
    for text, length in enumerate(lengths):
        assert torch.equal(grid[text, length:], grid[text, :1].expand(layout.longest - length, -1))
    assert layout.ragged == (len(set(lengths.tolist())) > 1)
    assert len(layout.empty) == len(lengths) * layout.longest - lengths.sum()


@given(lengths, heads, st.booleans())
def test_heads_apart_lie_where_the_grid_has_them(
    lengths: np.ndarray, heads: int, rounded: bool
) -> None:
    layout = Layout.of(lengths, CPU, rounded=rounded)
    qkv = run_of(layout, 3 * heads * HEAD_WIDTH)
    grid = layout.to_grid(qkv).view(len(lengths), layout.longest, 3, heads, HEAD_WIDTH)
    assert torch.equal(layout.split_heads(qkv, heads), grid.permute(2, 0, 3, 1, 4))


@given(lengths, heads, st.booleans())
def test_heads_apart_and_together_again_are_what_they_were(
    lengths: np.ndarray, heads: int, rounded: bool
) -> None:
    layout = Layout.of(lengths, CPU, rounded=rounded)
    qkv = run_of(layout, 3 * heads * HEAD_WIDTH).requires_grad_()
    real, width = int(lengths.sum()), heads * HEAD_WIDTH
    for part, one in enumerate(layout.split_heads(qkv, heads)):
        joined = layout.join_heads(one)
        columns = slice(part * width, (part + 1) * width)
        assert joined.shape == (len(qkv), width)
        assert torch.equal(joined[:real], qkv[:real, columns])
        weights = torch.randn(real, width)
        [gradient] = torch.autograd.grad((joined[:real] * weights).sum(), qkv, retain_graph=True)
        assert torch.equal(gradient[:real, columns], weights)
        assert gradient.count_nonzero() == weights.count_nonzero()


@given(lengths, st.booleans())
def test_gradients_of_the_grid_come_back_to_every_real_token(
    lengths: np.ndarray, rounded: bool
) -> None:
    layout = Layout.of(lengths, CPU, rounded=rounded)
    packed = run_of(layout).requires_grad_()
    real = int(lengths.sum())
    weights = torch.randn(real, 3)
    cells = layout.to_grid(packed).flatten(0, 1)[layout.cells[:real]]
    (cells * weights).sum().backward()
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
