"""Folds never leak a text, an equal text or a group; they respect time, and spread the classes evenly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hpo.data.folds import fingerprint_of, make_folds, validated_texts
from hpo.data.labelled import Fold, Split
from hpo.errors import DataError
from hpo.spec.study import ValidationSection

NAMES = [f"class {number}" for number in range(4)]


def split_of(texts: Sequence[str], labels: Sequence[int], keys: Sequence[object] = ()) -> Split:
    fold_keys = np.array(keys) if len(keys) else None
    return Split(tuple(texts), np.array(labels, dtype=np.int64), fold_keys=fold_keys)


def folds_of(split: Split, seed: int = 0, **section: object) -> tuple[Fold, ...]:
    """The folds, of those examples that can be divided so."""
    try:
        return make_folds(split, ValidationSection.model_validate(section), NAMES, seed=seed)
    except DataError:
        assume(False)
        raise


def texts_of(split: Split, positions: np.ndarray) -> set[str]:
    return {split.texts[position] for position in positions}


texts = st.lists(st.text(min_size=1, max_size=2, alphabet="abcdef"), min_size=4, max_size=40)
counts = st.integers(2, 6)


@given(texts=texts, folds=counts, seed=st.integers(0, 9), data=st.data())
def test_each_text_is_validated_once_and_never_beside_an_equal_one(
    texts: list[str], folds: int, seed: int, data: st.DataObject
) -> None:
    labels = data.draw(st.lists(st.integers(0, 1), min_size=len(texts), max_size=len(texts)))
    split = split_of(texts, labels)
    found = folds_of(split, seed, folds=folds)
    assert len(found) == folds
    assert validated_texts(found).tolist() == list(range(len(texts)))
    for fold in found:
        assert sorted([*fold.train, *fold.validation]) == list(range(len(texts)))
        assert len(fold.validation)
        assert not texts_of(split, fold.train) & texts_of(split, fold.validation)


@given(texts=texts, folds=counts, data=st.data())
def test_no_group_is_on_both_sides(texts: list[str], folds: int, data: st.DataObject) -> None:
    groups = data.draw(
        st.lists(st.sampled_from("ABCDEFGH"), min_size=len(texts), max_size=len(texts))
    )
    split = split_of(texts, [0] * len(texts), groups)
    for fold in folds_of(split, folds=folds, group="author"):
        assert not {groups[i] for i in fold.train} & {groups[i] for i in fold.validation}
        assert not texts_of(split, fold.train) & texts_of(split, fold.validation)


@given(texts=texts, folds=counts, data=st.data())
def test_by_time_all_that_is_validated_comes_later(
    texts: list[str], folds: int, data: st.DataObject
) -> None:
    times = data.draw(st.lists(st.integers(0, 30), min_size=len(texts), max_size=len(texts)))
    split = split_of(texts, [0] * len(texts), [float(time) for time in times])
    found = folds_of(split, folds=folds, order="date")
    assert len(found) == folds
    validated = np.concatenate([fold.validation for fold in found])
    assert len(set(validated.tolist())) == len(validated)
    for fold, following in zip(found, [*found[1:], None], strict=True):
        assert max(times[i] for i in fold.train) < min(times[i] for i in fold.validation)
        assert not texts_of(split, fold.train) & texts_of(split, fold.validation)
        if following is not None:
            assert {*fold.train.tolist(), *fold.validation.tolist()} <= {*following.train.tolist()}


@given(
    labels=st.lists(st.integers(0, 3), min_size=12, max_size=80),
    folds=counts,
    seed=st.integers(0, 9),
)
def test_each_class_is_spread_evenly(labels: list[int], folds: int, seed: int) -> None:
    split = split_of([f"text {i}" for i in range(len(labels))], labels)
    found = folds_of(split, seed, folds=folds)
    of_each = [Counter(labels[i] for i in fold.validation) for fold in found]
    for label in set(labels):
        sizes = [count[label] for count in of_each]
        assert max(sizes) - min(sizes) <= 1


@given(folds=counts, seed=st.integers(0, 9))
def test_labels_of_several_a_text_are_spread_too(folds: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = (random.random((200, 5)) < [0.5, 0.3, 0.2, 0.1, 0.0]).astype(np.float32)
    split = Split(tuple(f"text {i}" for i in range(200)), labels)  # type: ignore[arg-type]
    found = make_folds(split, ValidationSection(folds=folds), NAMES, seed=seed)
    per_fold = np.array([labels[fold.validation].sum(0) for fold in found])
    assert (np.ptp(per_fold, axis=0) <= 3 + 0.35 * labels.sum(0) / folds).all()


def test_numbers_are_spread_by_their_size() -> None:
    labels = np.linspace(0, 1, 100).astype(np.float32)
    split = Split(tuple(f"text {i}" for i in range(100)), labels)  # type: ignore[arg-type]
    for fold in make_folds(split, ValidationSection(folds=5), NAMES, seed=0):
        assert len(fold.validation) == 20
        assert labels[fold.validation].mean() == pytest.approx(0.5, abs=0.02)


@given(st.permutations(range(30)))
def test_the_order_of_the_rows_makes_no_difference(order: list[int]) -> None:
    texts, labels = [f"text {i}" for i in range(30)], [i % 2 for i in range(30)]
    split = split_of(texts, labels)
    other = split.take(np.array(order))
    for fold, again in zip(folds_of(split, folds=3), folds_of(other, folds=3), strict=True):
        assert texts_of(split, fold.validation) == texts_of(other, again.validation)


def test_the_fingerprint_tells_divisions_apart_and_is_the_datas_without_folds() -> None:
    split = split_of([f"text {i}" for i in range(30)], [i % 2 for i in range(30)])
    assert fingerprint_of(folds_of(split), "data") == "data"
    kinds = [folds_of(split, seed, folds=folds) for seed in (0, 1) for folds in (2, 3)]
    found = [fingerprint_of(folds, "data") for folds in kinds]
    assert len({*found, "data"}) == 5


@pytest.mark.parametrize(
    ("split", "section", "found"),
    [
        (split_of("ab", [0, 1]), {"folds": 3}, "different texts: 2, for 3 folds"),
        (
            split_of("abcdef", [0, 1, 0, 1, 0, 1], "AAAAAA"),
            {"folds": 2, "group": "author"},
            "groups in column 'author': 1, for 2 folds",
        ),
        (split_of("abcdef", [0, 0, 0, 0, 0, 1]), {"folds": 3}, "no text of 'class 1' to train on"),
        (
            split_of("abcdef", [0, 1, 0, 1, 0, 1], [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]),
            {"folds": 2, "order": "date"},
            "2 different times in date",
        ),
        (
            split_of("abcdef", [0, 0, 0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            {"folds": 2, "order": "date"},
            "no text of 'class 1' to train on in fold 1 of 2",
        ),
    ],
)
def test_what_cannot_be_divided_is_refused(
    split: Split, section: dict[str, object], found: str
) -> None:
    with pytest.raises(DataError) as raised:
        make_folds(split, ValidationSection.model_validate(section), NAMES, seed=0)
    assert found in raised.value.found
