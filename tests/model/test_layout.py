"""Packing: packed sequences, the same padded, and heads apart."""

from __future__ import annotations

import doctest

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpo.model import layout as layout_module
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
def test_each_text_lies_in_its_padded_row(lengths: np.ndarray, rounding: Rounding | None) -> None:
    layout = Layout.of(lengths, CPU, rounding)
    packed = run_of(layout)
    padded = layout.to_padded(packed)
    assert padded.shape == (len(lengths), layout.max_seqlen, 3)
    for text, (length, end) in enumerate(zip(lengths, np.cumsum(lengths), strict=True)):
        assert torch.equal(padded[text, :length], packed[end - length : end])
        assert torch.equal(packed[layout.last[text]], padded[text, length - 1])
        assert layout.positions[end - length : end].tolist() == list(range(length))


@given(lengths, roundings)
def test_padding_shows_a_token_of_its_own_text(
    lengths: np.ndarray, rounding: Rounding | None
) -> None:
    """Whatever is wrong with a text stays its own."""
    layout = Layout.of(lengths, CPU, rounding)
    padded = layout.to_padded(run_of(layout))
    for text, length in enumerate(lengths):
        assert torch.equal(
            padded[text, length:], padded[text, :1].expand(layout.max_seqlen - length, -1)
        )
    empty = len(lengths) * layout.max_seqlen - lengths.sum()
    assert layout.ragged == (empty > 0)
    assert len(set(layout.padding.tolist())) == empty
    if rounding is not COARSE:
        assert layout.ragged == (len(set(lengths.tolist())) > 1)
    if rounding is None:
        assert len(layout.padding) == empty


@given(lengths, heads, roundings)
def test_heads_apart_lie_where_the_padded_form_has_them(
    lengths: np.ndarray, heads: int, rounding: Rounding | None
) -> None:
    layout = Layout.of(lengths, CPU, rounding)
    qkv = run_of(layout, 3 * heads * HEAD_WIDTH)
    padded = layout.to_padded(qkv).view(len(lengths), layout.max_seqlen, 3, heads, HEAD_WIDTH)
    assert torch.equal(layout.split_heads(qkv, heads), padded.permute(2, 0, 3, 1, 4))


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
def test_gradients_of_the_padded_form_come_back_to_every_real_token(
    lengths: np.ndarray, rounding: Rounding | None
) -> None:
    layout = Layout.of(lengths, CPU, rounding)
    packed = run_of(layout).requires_grad_()
    real = int(lengths.sum())
    weights = torch.randn(real, 3)
    slots = layout.to_padded(packed).flatten(0, 1)[layout.scatter[:real]]
    (slots * weights).sum().backward()
    assert torch.equal(packed.grad[:real], weights)
    assert not packed.grad[real:].any()


@given(lengths, st.sampled_from([FINE, COARSE]))
def test_rounding_wastes_little(lengths: np.ndarray, rounding: Rounding) -> None:
    exact, rounded = Layout.of(lengths, CPU), Layout.of(lengths, CPU, rounding)
    assert len(exact.positions) == lengths.sum()
    assert len(rounded.positions) <= len(exact.positions) * (1 + 1 / 2**rounding.step_bits)
    assert rounded.max_seqlen < exact.max_seqlen + rounding.max_seqlen_step


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
    before = layout.gather.clone()
    for name in ("lengths", "positions", "last", "scatter", "gather", "padding"):
        assert torch.equal(getattr(copy, name), getattr(layout, name))
        getattr(copy, name).zero_()
    assert not copy.indices.any()
    assert torch.equal(layout.gather, before)


def test_the_worked_example_is_true() -> None:
    failed, tried = doctest.testmod(layout_module)
    assert tried > 5
    assert not failed
