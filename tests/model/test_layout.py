"""Packing: a run of tokens, the grid of its texts, and heads apart."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpo.model.layout import COARSE, FINE, Layout, Rounding

CPU = torch.device("cpu")
HEAD_WIDTH = 2
lengths = st.lists(st.integers(1, 40), min_size=1, max_size=12).map(np.array)
heads = st.integers(1, 3)
roundings = st.sampled_from([None, FINE, COARSE])


def run_of(layout: Layout, width: int = 3) -> torch.Tensor:
    tokens = len(layout.positions)
    return torch.arange(1, width * tokens + 1, dtype=torch.float32).view(tokens, width)


@given(lengths, roundings)
def test_each_text_lies_in_its_row_of_the_grid(
    lengths: np.ndarray, rounding: Rounding | None
) -> None:
    layout = Layout.of(lengths, CPU, rounding)
    packed = run_of(layout)
    grid = layout.to_grid(packed)
    assert grid.shape == (len(lengths), layout.longest, 3)
    for text, (length, end) in enumerate(zip(lengths, np.cumsum(lengths), strict=True)):
        assert torch.equal(grid[text, :length], packed[end - length : end])
        assert torch.equal(packed[layout.last[text]], grid[text, length - 1])
        assert layout.positions[end - length : end].tolist() == list(range(length))


@given(lengths, roundings)
def test_an_empty_cell_shows_a_token_of_its_own_text(
    lengths: np.ndarray, rounding: Rounding | None
) -> None:
    """Whatever is wrong with a text stays its own."""
    layout = Layout.of(lengths, CPU, rounding)
    grid = layout.to_grid(run_of(layout))
    for text, length in enumerate(lengths):
        assert torch.equal(grid[text, length:], grid[text, :1].expand(layout.longest - length, -1))
    empty = len(lengths) * layout.longest - lengths.sum()
    assert layout.ragged == (empty > 0)
    assert len(set(layout.empty.tolist())) == empty
    if rounding is not COARSE:
        assert layout.ragged == (len(set(lengths.tolist())) > 1)
    if rounding is None:
        assert len(layout.empty) == empty


@given(lengths, heads, roundings)
def test_heads_apart_lie_where_the_grid_has_them(
    lengths: np.ndarray, heads: int, rounding: Rounding | None
) -> None:
    layout = Layout.of(lengths, CPU, rounding)
    qkv = run_of(layout, 3 * heads * HEAD_WIDTH)
    grid = layout.to_grid(qkv).view(len(lengths), layout.longest, 3, heads, HEAD_WIDTH)
    assert torch.equal(layout.split_heads(qkv, heads), grid.permute(2, 0, 3, 1, 4))


@given(lengths, heads, roundings)
def test_heads_apart_and_together_again_are_what_they_were(
    lengths: np.ndarray, heads: int, rounding: Rounding | None
) -> None:
    layout = Layout.of(lengths, CPU, rounding)
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


@given(lengths, roundings)
def test_gradients_of_the_grid_come_back_to_every_real_token(
    lengths: np.ndarray, rounding: Rounding | None
) -> None:
    layout = Layout.of(lengths, CPU, rounding)
    packed = run_of(layout).requires_grad_()
    real = int(lengths.sum())
    weights = torch.randn(real, 3)
    cells = layout.to_grid(packed).flatten(0, 1)[layout.cells[:real]]
    (cells * weights).sum().backward()
    assert torch.equal(packed.grad[:real], weights)
    assert not packed.grad[real:].any()


@given(lengths, st.sampled_from([FINE, COARSE]))
def test_rounding_wastes_little(lengths: np.ndarray, rounding: Rounding) -> None:
    exact, rounded = Layout.of(lengths, CPU), Layout.of(lengths, CPU, rounding)
    assert len(exact.positions) == lengths.sum()
    assert len(rounded.positions) <= len(exact.positions) * (1 + 1 / 2**rounding.step_bits)
    assert rounded.longest < exact.longest + rounding.cell_step


def test_few_run_lengths_occur_when_rounded() -> None:
    random = np.random.default_rng(0)
    runs = [random.integers(3, 50, 16) for _ in range(1000)]
    exact, fine = (
        {len(Layout.of(run, CPU, rounding).positions) for run in runs} for rounding in (None, FINE)
    )
    assert len(exact) > 150
    assert len(fine) < 30


def test_few_shapes_occur_when_rounded() -> None:
    random = np.random.default_rng(0)
    runs = [random.integers(3, 50, 16) for _ in range(900)]
    runs += [np.array([length]) for length in range(3, 50)]
    exact, fine, coarse = (
        {Layout.of(run, CPU, rounding).shape for run in runs} for rounding in (None, FINE, COARSE)
    )
    assert len(exact) > 400
    assert len(fine) < 150
    assert len(coarse) < 40


@given(lengths, roundings)
def test_a_copy_is_equal_and_shares_no_memory(
    lengths: np.ndarray, rounding: Rounding | None
) -> None:
    layout = Layout.of(lengths, CPU, rounding)
    copy = layout.copy()
    assert copy.shape == layout.shape
    before = layout.sources.clone()
    for name in ("lengths", "positions", "last", "cells", "sources", "empty"):
        assert torch.equal(getattr(copy, name), getattr(layout, name))
        getattr(copy, name).zero_()
    assert not copy.indices.any()
    assert torch.equal(layout.sources, before)
