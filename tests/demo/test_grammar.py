from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter

import pytest

from hpo.demo.grammar import (
    LABEL_NOISE,
    LABELS,
    MAX_WORDS,
    SPLIT_SIZES,
    demo_splits,
    labelled_reviews,
    unlabelled_texts,
)


def test_the_same_seed_gives_the_same_reviews_and_another_seed_others() -> None:
    assert labelled_reviews(50, 7) == labelled_reviews(50, 7)
    assert labelled_reviews(50, 7) != labelled_reviews(50, 8)
    assert list(unlabelled_texts(50, 7)) == list(unlabelled_texts(50, 7))
    assert list(unlabelled_texts(50, 7)) != list(unlabelled_texts(50, 8))


def test_the_reviews_do_not_depend_on_the_hash_seed() -> None:
    program = (
        "import hashlib; from hpo.demo.grammar import labelled_reviews;"
        "print(hashlib.sha256(repr(labelled_reviews(200, 0)).encode()).hexdigest())"
    )
    expected = hashlib.sha256(repr(labelled_reviews(200, 0)).encode()).hexdigest()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        printed = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert printed.stdout.strip() == expected


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    assert labelled_reviews(200, 3)[:50] == labelled_reviews(50, 3)


def test_no_text_is_in_the_splits_twice() -> None:
    splits = demo_splits()
    assert {name: len(reviews) for name, reviews in splits.items()} == SPLIT_SIZES
    texts = [review.text for reviews in splits.values() for review in reviews]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("split", SPLIT_SIZES)
def test_both_classes_are_about_equally_frequent(split: str) -> None:
    reviews = demo_splits()[split]
    frequencies = Counter(review.label for review in reviews)
    assert set(frequencies) == set(LABELS)
    assert 0.45 < frequencies["positive"] / len(reviews) < 0.55


def test_about_three_labels_in_a_hundred_are_wrong() -> None:
    given = labelled_reviews(4_000, 0)
    meant = labelled_reviews(4_000, 0, label_noise=0.0)
    assert [review.text for review in given] == [review.text for review in meant]
    flipped = sum(a.label != b.label for a, b in zip(given, meant, strict=True))
    assert LABEL_NOISE - 0.01 < flipped / len(given) < LABEL_NOISE + 0.01


def test_reviews_are_short_and_of_many_lengths() -> None:
    lengths = [len(review.text.split()) for review in labelled_reviews(2_000, 0)]
    assert min(lengths) >= 2
    assert max(lengths) <= MAX_WORDS
    assert 14 < sum(lengths) / len(lengths) < 22
    assert len(set(lengths)) > 25


def test_sentences_begin_with_a_capital_and_end_with_a_mark() -> None:
    for text in unlabelled_texts(500, 0):
        assert text[0].isupper()
        assert text[-1] in ".!"
        assert "  " not in text


def test_plain_texts_contradict_nothing() -> None:
    words = {
        word.strip(".,!").lower()
        for t in unlabelled_texts(500, 0, plain=True)
        for word in t.split()
    }
    assert not words & {"although", "but", "despite", "hardly", "granted", "overall"}


@pytest.mark.parametrize(("count", "label_noise"), [(-1, 0.0), (1, -0.1), (1, 1.1)])
def test_impossible_requests_are_refused(count: int, label_noise: float) -> None:
    with pytest.raises(ValueError, match="found"):
        labelled_reviews(count, 0, label_noise=label_noise)
