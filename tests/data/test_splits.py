from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.data.labelled import Split
from hpo.data.splits import split_off, strata_of, stratified_sample


def split_of(counts: list[int]) -> Split:
    """A split of distinct texts with so many rows of each class, the classes mixed."""
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    order = np.random.default_rng(len(labels)).permutation(len(labels))
    texts = tuple(f"text {index}" for index in range(len(labels)))
    return Split(texts, np.array(labels, dtype=np.int64)[order])


counts = st.lists(st.integers(1, 60), min_size=2, max_size=8)
fractions = st.lists(st.floats(0.01, 0.33), min_size=1, max_size=2)
seeds = st.integers(0, 2**32 - 1)


@given(counts, fractions, seeds)
def test_the_parts_split_off_are_disjoint_and_complete(
    counts: list[int], fractions: list[float], seed: int
) -> None:
    split = split_of(counts)
    separated = split_off(split, fractions, seed=seed)
    everything = np.concatenate([separated.remaining, *separated.parts])
    assert sorted(everything.tolist()) == list(range(len(split)))


@given(counts, fractions, seeds)
def test_the_parts_split_off_have_each_class_to_within_one_row(
    counts: list[int], fractions: list[float], seed: int
) -> None:
    split = split_of(counts)
    separated = split_off(split, fractions, seed=seed)
    for fraction, part in zip(fractions, separated.parts, strict=True):
        for label, count in enumerate(counts):
            rows = int((split.labels[part] == label).sum())
            if count < 3:
                assert rows == 0
                assert label in separated.kept_whole
            else:
                assert rows >= 1
                assert abs(rows - fraction * count) <= 1


@given(counts, fractions, seeds)
def test_splitting_twice_gives_the_same(
    counts: list[int], fractions: list[float], seed: int
) -> None:
    one = split_off(split_of(counts), fractions, seed=seed)
    other = split_off(split_of(counts), fractions, seed=seed)
    for left, right in zip(one.parts, other.parts, strict=True):
        assert left.tolist() == right.tolist()


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), min_size=1, max_size=80),
    fractions,
    seeds,
)
def test_no_text_is_split_into_two_parts_and_every_class_stays(
    rows: list[tuple[int, int]], fractions: list[float], seed: int
) -> None:
    split = Split(tuple(f"text {text}" for text, _ in rows), np.array([label for _, label in rows]))
    separated = split_off(split, fractions, seed=seed)
    texts = [{split.texts[i] for i in part} for part in (separated.remaining, *separated.parts)]
    for index, one in enumerate(texts):
        for other in texts[index + 1 :]:
            assert not one & other
    assert set(split.labels[separated.remaining].tolist()) == set(split.labels.tolist())


def test_what_is_split_off_follows_from_the_texts_whatever_their_order() -> None:
    split = split_of([40, 60])
    shuffled = split.take(np.random.default_rng(1).permutation(100))
    parts = [
        {some.texts[index] for index in split_off(some, [0.2], seed=3).parts[0]}
        for some in (split, shuffled)
    ]
    assert parts[0] == parts[1]


def test_another_seed_splits_off_other_rows() -> None:
    split = split_of([100, 100])
    assert (
        split_off(split, [0.1], seed=0).parts[0].tolist()
        != split_off(split, [0.1], seed=1).parts[0].tolist()
    )


def test_splitting_does_not_change_from_release_to_release() -> None:
    split = Split(tuple(f"text {index}" for index in range(20)), np.arange(20) % 2)
    assert split_off(split, [0.2], seed=0).parts[0].tolist() == [0, 11, 12, 13]


def test_repeated_texts_are_split_as_near_to_the_fraction_as_they_allow() -> None:
    texts = tuple(f"text {index // 3}" for index in range(300))
    split = Split(texts, np.arange(300) // 3 % 2)
    part = split_off(split, [0.1], seed=0).parts[0]
    assert 24 <= len(part) <= 30


@pytest.mark.parametrize("fractions", [[0.89], [0.6, 0.39], [0.39, 0.6]])
def test_the_rest_keeps_a_row_of_each_class_whatever_the_fractions(fractions: list[float]) -> None:
    split = split_of([3, 4, 50])
    separated = split_off(split, fractions, seed=0)
    for part in (separated.remaining, *separated.parts):
        assert set(split.labels[part].tolist()) == {0, 1, 2}


@given(counts, st.floats(0, 1), seeds)
def test_a_sample_has_its_size_and_every_class_in_its_share(
    counts: list[int], share: float, seed: int
) -> None:
    split = split_of(counts)
    size = max(len(counts), round(share * len(split)))
    sample = stratified_sample(split, size, seed=seed)
    assert len(set(sample.tolist())) == len(sample) == min(size, len(split))
    got = Counter(split.labels[sample].tolist())
    assert set(got) == set(range(len(counts)))
    if all(count * size >= len(split) for count in counts):  # no class had to be lifted to one row
        for label, count in enumerate(counts):
            assert abs(got[label] - count * size / len(split)) <= 1
    assert sample.tolist() == stratified_sample(split, size, seed=seed).tolist()


def test_a_larger_sample_holds_the_smaller_one() -> None:
    split = split_of([500, 500])
    small = stratified_sample(split, 100, seed=0)
    large = stratified_sample(split, 200, seed=0)
    assert set(small.tolist()) <= set(large.tolist())


numbers = st.lists(st.floats(-50, 50, width=32), min_size=30, max_size=300, unique=True)


@given(numbers, fractions, seeds)
def test_numbers_are_split_off_by_their_quantiles(
    numbers: list[float], fractions: list[float], seed: int
) -> None:
    values = np.array(numbers, dtype=np.float32)
    split = Split(tuple(f"text {index}" for index in range(len(values))), values)
    separated = split_off(split, fractions, seed=seed)
    everything = np.concatenate([separated.remaining, *separated.parts])
    assert sorted(everything.tolist()) == list(range(len(split)))
    ranks = values.argsort().argsort()
    for fraction, part in zip(fractions, separated.parts, strict=True):
        for tenth in range(10):
            inside = (ranks * 10 // len(values)) == tenth
            assert abs(int(inside[part].sum()) - fraction * int(inside.sum())) <= 2


@given(numbers, seeds, st.data())
def test_a_sample_of_numbers_has_its_size(
    numbers: list[float], seed: int, data: st.DataObject
) -> None:
    split = Split(tuple(map(str, numbers)), np.array(numbers, dtype=np.float32))
    size = data.draw(st.integers(2, len(numbers)))
    assert len(stratified_sample(split, size, seed=seed)) == size


def test_a_number_that_most_texts_have_is_a_stratum_of_its_own() -> None:
    values = np.array([5] * 80 + [1, 2, 3, 4] * 5, dtype=np.float32)
    strata = strata_of(values)
    assert len(set(strata[values == 5].tolist())) == 1
    assert len(set(strata.tolist())) <= 10
