"""The true reason why a validation or a test split cannot be split off."""

from __future__ import annotations

import re

import pytest

from hpo.errors import DataError

COMMON = [(f"a text {number}", "common") for number in range(30)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([*COMMON, ("x", "rare")], "class 'rare' with 1 row, too few to split off a test and a"),
        ([*COMMON, ("x", "rare"), ("y", "rare")], "class 'rare' with 2 rows, too few"),
        ([*COMMON, *[("x", "rare")] * 9], "class 'rare' with 9 rows of 1 text, too few"),
        (
            [*COMMON, *((text, "rare") for text, _ in COMMON[:5])],
            "class 'rare' with 5 rows whose texts have other classes too, too few",
        ),
        (
            [*COMMON, ("x", "b"), ("y", "c"), ("z", "c")],
            "class 'b' with 1 row, class 'c' with 2 rows, too few",
        ),
        (
            [(str(number), f"class {number // 2}") for number in range(16)],
            "class 'class 4' with 2 rows and 3 more, too few",
        ),
    ],
)
def test_the_classes_that_are_too_small_are_named(
    write, load, rows: list[tuple[str, str]], words: str
) -> None:
    path = write("reviews.csv", [{"text": text, "label": label} for text, label in rows])
    with pytest.raises(DataError, match=re.escape(words)):
        load(path)


@pytest.mark.parametrize("rows", [3, 4])
def test_three_rows_of_a_class_are_enough(write, load, rows: int) -> None:
    rare = [(f"one of few {number}", "rare") for number in range(rows)]
    path = write(
        "reviews.csv", [{"text": text, "label": label} for text, label in [*COMMON, *rare]]
    )
    data = load(path)
    assert data.test.counts(2).all()
    assert data.validation.counts(2).all()


def test_what_has_no_classes_has_its_texts_counted(write, load) -> None:
    rows = [{"text": text, "label": number} for number, text in enumerate("aabb")]
    with pytest.raises(DataError, match=r"too few different texts \(2 in 4 rows\) to split off"):
        load(write("reviews.csv", rows), task="regression")


def test_only_what_is_to_be_split_off_is_asked_for(tmp_path, write, load, reviews) -> None:
    write("train.csv", reviews(bad=2, good=30))
    write("test.csv", reviews("play"))
    with pytest.raises(
        DataError, match="'bad' with 2 rows, too few to split off a validation split"
    ):
        load(tmp_path)
