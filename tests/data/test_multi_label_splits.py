from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpo.data.labelled import Split
from hpo.data.splits import split_off, stratified_sample


@st.composite
def splits(draw: st.DrawFn) -> Split:
    """Texts with labels at random, each label on one text at least, some texts twice or thrice."""
    texts, labels = draw(st.integers(20, 400)), draw(st.integers(2, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rates = random.random(labels) * draw(st.floats(0.02, 0.9))
    bits = (random.random((texts, labels)) < rates).astype(np.float32)
    bits[random.integers(0, texts, labels), np.arange(labels)] = 1
    copies = random.integers(1, draw(st.sampled_from([2, 4])), texts)
    rows = random.permutation(np.repeat(np.arange(texts), copies))
    return Split(tuple(f"text {row}" for row in rows), bits[rows])


fractions = st.lists(st.floats(0.05, 0.33), min_size=1, max_size=2)
seeds = st.integers(0, 2**32 - 1)


def texts_of(split: Split, rows: NDArray[np.int64]) -> set[str]:
    return set(split.take(rows).texts)


@given(splits(), fractions, seeds)
def test_the_parts_are_disjoint_complete_and_share_no_text(
    split: Split, fractions: list[float], seed: int
) -> None:
    separated = split_off(split, fractions, seed=seed)
    pieces = [separated.remaining, *separated.parts]
    assert sorted(np.concatenate(pieces).tolist()) == list(range(len(split)))
    texts = [texts_of(split, piece) for piece in pieces]
    assert sum(map(len, texts)) == len(set(split.texts))


@given(splits(), fractions, seeds)
def test_the_rest_has_each_label(split: Split, fractions: list[float], seed: int) -> None:
    separated = split_off(split, fractions, seed=seed)
    assert split.labels[separated.remaining].any(0).all()


def off(texts: int, labels: int, fractions: list[float], seed: int) -> list[NDArray[np.float32]]:
    """By how many rows each label is off its share in each part."""
    random = np.random.default_rng(seed)
    bits = (random.random((texts, labels)) < random.uniform(0.05, 0.5, labels)).astype(np.float32)
    split = Split(tuple(map(str, range(texts))), bits)
    parts = split_off(split, fractions, seed=seed).parts
    for fraction, part in zip(fractions, parts, strict=True):
        assert abs(len(part) - fraction * texts) <= 1
    return [
        np.abs(bits[part].sum(0) - fraction * bits.sum(0))
        for fraction, part in zip(fractions, parts, strict=True)
    ]


@given(st.integers(100, 400), st.integers(2, 12), fractions, seeds)
def test_each_label_keeps_its_share_to_within_a_few_texts(
    texts: int, labels: int, fractions: list[float], seed: int
) -> None:
    assert max(float(each.max()) for each in off(texts, labels, fractions, seed)) <= 15


def test_labels_are_off_by_half_a_text_as_a_rule() -> None:
    every = [each for seed in range(40) for each in off(200, 6, [0.1, 0.2], seed)]
    assert np.median(np.concatenate(every)) <= 0.5
    assert np.mean(np.concatenate(every)) <= 0.75


def test_a_rare_label_is_in_every_part_where_it_has_a_text_for_each() -> None:
    bits = np.zeros((100, 3), dtype=np.float32)
    bits[:50, 0], bits[40:90, 1], bits[[3, 60, 95], 2] = 1, 1, 1
    separated = split_off(Split(tuple(map(str, range(100))), bits), [0.1, 0.1], seed=1)
    for part in (separated.remaining, *separated.parts):
        assert bits[part, 2].sum() == 1


@given(splits(), fractions, seeds)
def test_the_order_of_the_rows_does_not_matter(
    split: Split, fractions: list[float], seed: int
) -> None:
    other = split.take(np.random.default_rng(seed).permutation(len(split)))
    one, two = (split_off(each, fractions, seed=seed) for each in (split, other))
    for left, right in zip(one.parts, two.parts, strict=True):
        assert texts_of(split, left) == texts_of(other, right)


@given(splits(), seeds, st.data())
def test_a_sample_has_its_size_and_each_label(split: Split, seed: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(split.labels.shape[1], len(split)))
    sample = stratified_sample(split, size, seed=seed)
    assert len(set(sample.tolist())) == size
    assert split.labels[sample].any(0).all()


def test_texts_with_clashing_labels_stay_in_the_rest() -> None:
    bits = np.tile(np.eye(2, dtype=np.float32), (30, 1))
    texts = [f"text {i}" for i in range(60)]
    texts[1] = texts[0]
    separated = split_off(Split(tuple(texts), bits), [0.3, 0.3], seed=0)
    assert {0, 1} <= set(separated.remaining.tolist())
