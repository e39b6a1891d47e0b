from __future__ import annotations

import json

import pytest

from hpo.data.reading import Reading, reading_of, unbalanced
from hpo.data.tokens import tokenize
from tests.data.test_tokens import data_of, word_tokenizer


def reading(**changes: object) -> Reading:
    values: dict[str, object] = {
        "source": "reviews.csv",
        "text_column": "text",
        "label_column": "label",
        "classes": ("bad", "good"),
        "class_counts": {"train": (30, 50), "validation": (4, 6), "test": (5, 5)},
        "split_off": (),
        "max_length": 256,
        "texts_cut": 0,
        "tokens": 1_000,
        "tokens_cut": 0,
        "cut_from": "end",
    }
    return Reading(**{**values, **changes})  # type: ignore[arg-type]


def test_one_line_says_what_was_read() -> None:
    assert reading().in_words() == (
        "Read reviews.csv: columns text and label; 80 training, 10 validation and 10"
        " test texts; 2 classes: good 62.5%, bad 37.5%; no text is longer than 256 tokens."
    )


def test_it_says_what_was_split_off_cut_and_not_named() -> None:
    counts = (1_000, 500, 100, 50, 50, 20, 10)
    found = reading(
        classes=("earn", "acq", "crude oil", "trade", "grain", "ship", "interest"),
        class_counts={"train": counts, "validation": (100,) * 7, "test": (100,) * 7},
        split_off=("validation", "test"),
        text_column="What, they said",
        texts_cut=312,
        tokens=100_000,
        tokens_cut=18_000,
        cut_from="beginning",
    )
    assert found.in_words() == (
        "Read reviews.csv: columns 'What, they said' and label; 1,730 training, 700"
        " validation and 700 test texts (validation and test split off the training texts);"
        " 7 classes: earn 57.8%, acq 28.9%, 'crude oil' 5.8% and 4 more; 312 of 3,130 texts (10.0%)"
        " are longer than 256 tokens, so that 18.0% of all tokens are cut, at the end.".replace(
            "at the end", "at the beginning"
        )
    )


def test_it_comes_back_from_json() -> None:
    found = reading(split_off=("test",))
    document = json.loads(json.dumps(found.as_json()))
    assert document["rows"] == {"train": 80, "validation": 10, "test": 10}
    assert Reading.from_json(document) == found


def test_lengths_are_counted_over_all_splits() -> None:
    data = data_of(train=["a b c", "a b c d e f"])  # and 2, 1, 1 and 6 in the others
    tokens = tokenize(
        data, word_tokenizer(), tokenizer_fingerprint="t", max_length=4, cache_dir=None
    )
    found = reading_of(data, tokens, truncation_side="right")
    assert (found.texts_cut, found.tokens, found.tokens_cut) == (2, 19, 4)
    assert found.class_counts == {"train": (1, 1), "validation": (1, 0), "test": (2, 1)}
    assert found.cut_from == "end"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((50, 50), False),
        ((70, 30), False),
        ((71, 29), True),
        ((60, 20, 20), False),
        ((50, 10, 10, 10, 10, 10), False),
        ((51, 10, 10, 10, 10, 9), True),
        ((50, 20, 10, 5, 5, 5, 3, 2), True),
        ((30, *[10] * 7), False),
        ((100, 0), False),
        ((), False),
    ],
)
def test_a_class_is_large_beyond_seven_tenths_or_three_even_shares(
    counts: tuple[int, ...], expected: bool
) -> None:
    assert unbalanced(counts) is expected


def test_a_large_class_is_named_with_the_way_out() -> None:
    assert reading().large_class() is None
    found = reading(class_counts={"train": (10, 90), "validation": (5, 5), "test": (5, 5)})
    assert found.large_class() == (
        "reviews.csv: 90% of the training texts are 'good', one of 2 classes: a high accuracy may"
        " only mean that it is always answered; --set study.metric=f1_macro (or balanced_accuracy)"
        " gives every class the same weight"
    )


def test_several_labels_and_numbers_are_told_in_words_of_their_own() -> None:
    several = reading(
        task="multi_label",
        texts={"train": 60, "validation": 8, "test": 9},
        without_label=6,
    )
    assert "60 training, 8 validation and 9 test texts" in several.in_words()
    assert (
        "2 labels: good 83.3%, bad 50.0%; 1.33 labels a text, none for 10.0% of the texts"
        in several.in_words()
    )
    numbers = reading(task="regression", numbers={"min": 1.0, "mean": 3.25, "max": 5.0, "std": 1.1})
    assert "numbers from 1 to 5, mean 3.25, standard deviation 1.1" in numbers.in_words()
    for each in (several, numbers):
        assert Reading.from_json(json.loads(json.dumps(each.as_json()))) == each
