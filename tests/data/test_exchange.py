"""New validation texts are training texts that nothing was chosen by; sizes and labels stay as they are."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpo.data.exchange import exchanged
from hpo.data.labelled import Fold, Split
from hpo.data.splits import strata_of

SEEDS = st.integers(0, 2**32 - 1)
# Of the fifths of these that validation has, the last four, training has one each.
APART = np.array(
    [0.3, -0.7, -0.6, 1.04, 0.94, -1.1, 0.93, 0.84, 0.89, 0.98, -0.3, 0.75, 3, 0.99, 2, 1]
)


def split_of(name: str, labels: NDArray[Any], copies: int = 1) -> Split:
    """Texts that are repeated so often, each with one label."""
    return Split(tuple(f"{name} {row // copies}" for row in range(len(labels))), labels)


@st.composite
def splits(draw: st.DrawFn) -> tuple[Split, Split]:
    """Classes, numbers or several labels a text, with at least twice the training texts."""
    random = np.random.default_rng(draw(SEEDS))
    validation = draw(st.integers(4, 30))
    train = validation * draw(st.integers(3, 6))
    kind = draw(st.sampled_from(["classes", "numbers", "several"]))

    def labels(texts: int) -> NDArray[Any]:
        if kind == "classes":
            return np.arange(texts) % 3
        if kind == "numbers":
            return random.normal(size=texts).astype(np.float32)
        return (random.random((texts, 3)) < 0.4).astype(np.float32)

    return split_of("train", labels(train)), split_of("validation", labels(validation))


def sides(train: Split, validation: Split, fold: Fold) -> tuple[set[str], set[str]]:
    both = (*train.texts, *validation.texts)
    return {both[row] for row in fold.train}, {both[row] for row in fold.validation}


@given(splits(), SEEDS)
def test_nothing_of_the_old_validation_texts_is_scored_on(
    splits: tuple[Split, Split], seed: int
) -> None:
    train, validation = splits
    fold = exchanged(train, validation, seed=seed, repetition=0)
    assert len(set(fold.validation)) == len(fold.validation) > 0
    assert len(set(fold.train)) == len(fold.train)
    assert fold.validation.max() < len(train)
    trained, scored = sides(train, validation, fold)
    assert not trained & scored
    assert not set(validation.texts) & scored


@given(splits(), SEEDS)
@example((split_of("train", APART[:12]), split_of("validation", APART[12:])), 0)
def test_both_sides_keep_their_sizes_and_labels(splits: tuple[Split, Split], seed: int) -> None:
    train, validation = splits
    fold = exchanged(train, validation, seed=seed, repetition=0)
    assert len(fold.train) == len(train)
    labels = np.concatenate([train.labels, validation.labels])
    if labels.ndim == 2:
        assert len(fold.validation) == len(validation)
        wanted = train.labels.mean(0) * len(validation)
        assert np.abs(labels[fold.validation].sum(0) - wanted).max() <= 3
        return
    strata = strata_of(labels)
    have, wanted_too = Counter(strata[: len(train)].tolist()), strata[len(train) :].tolist()
    if not any(have[label] >= 2 for label in wanted_too):
        return
    assert sorted(strata[fold.train]) == sorted(strata[: len(train)])
    if labels.dtype.kind != "f":
        assert sorted(strata[fold.validation]) == sorted(strata[len(train) :])


@given(splits(), SEEDS)
def test_each_repetition_draws_others_and_always_the_same(
    splits: tuple[Split, Split], seed: int
) -> None:
    folds = [exchanged(*splits, seed=seed, repetition=each) for each in (0, 1, 0)]
    assert np.array_equal(folds[0].validation, folds[2].validation)
    assert np.array_equal(folds[0].train, folds[2].train)
    drawn = {tuple(exchanged(*splits, seed=seed, repetition=each).validation) for each in range(8)}
    assert len(drawn) > 1


@given(st.integers(1, 4), SEEDS)
def test_equal_texts_stay_together_and_those_with_clashing_labels_in_training(
    copies: int, seed: int
) -> None:
    labels = np.repeat(np.arange(24) % 2, copies)
    clashing = ("train 0", "train 1")
    train = Split((*split_of("train", labels, copies).texts, *clashing), np.append(labels, [1, 0]))
    validation = split_of("validation", np.arange(12) % 2)
    trained, scored = sides(
        train, validation, exchanged(train, validation, seed=seed, repetition=0)
    )
    assert not trained & scored
    assert not set(clashing) & scored
    assert scored


def test_at_most_half_of_a_label_leaves_and_something_always_does() -> None:
    validation = split_of("validation", np.arange(40) % 2)
    fold = exchanged(split_of("train", np.arange(20) % 2), validation, seed=0, repetition=0)
    assert (len(fold.train), len(fold.validation)) == (20, 10)
    tiny = exchanged(split_of("train", np.array([0, 1])), validation, seed=0, repetition=0)
    assert (len(tiny.train), len(tiny.validation)) == (2, 1)
