"""Texts taken apart and put together again."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.data import words
from hpo.data.words import is_unspaced, letters_of, words_of


def test_the_examples_are_true() -> None:
    failed, tried = doctest.testmod(words)
    assert tried
    assert not failed


@given(st.text())
def test_put_together_again_it_is_the_same_text(text: str) -> None:
    parts = words_of(text)
    assert str(parts) == text
    assert len(parts.gaps) == len(parts.words) + 1
    assert all(parts.words)
    assert all("".join(letters_of(word)) == word for word in parts.words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "It's a well-made film , rated 10/10.",
            ["It's", "a", "well-made", "film", "rated", "10", "10"],
        ),
        ("这家酒店很好,OK!", ["这", "家", "酒", "店", "很", "好", "OK"]),
        ("とてもカッコいい", list("とてもカッコいい")),
        ("ที่นี่", ["ที่", "นี่"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("déjà vu cafe\u0301", ["déjà", "vu", "cafe\u0301"]),
        ("--- !!! 🙂", []),
    ],
)
def test_words_are_told_from_what_stands_between_them(text: str, expected: list[str]) -> None:
    assert words_of(text).words == expected


@pytest.mark.parametrize(
    ("text", "places", "expected"),
    [
        ("a good film", [1], "a film"),
        ("a good film", [0], "good film"),
        (" a good film", [0], " good film"),
        ("a good film", [2], "a good"),
        ("a good , old film .", [1, 3], "a , old ."),
        ("not bad, really", [1], "not, really"),
        ("(very good) indeed", [0], "(good) indeed"),
        ("酒店很好。", [2], "酒店好。"),
    ],
)
def test_a_word_is_left_out_with_the_space_that_would_be_too_much(
    text: str, places: list[int], expected: str
) -> None:
    parts = words_of(text)
    parts.delete(places)
    assert str(parts) == expected


def test_a_word_is_put_in_with_a_space_where_the_script_has_them() -> None:
    spaced, unspaced = words_of("a film."), words_of("酒店")
    spaced.insert(1, "good")
    unspaced.insert(1, "好")
    assert (str(spaced), str(unspaced)) == ("a good film.", "酒好店")


def test_known_words_of_several_characters_are_joined_the_longest_first() -> None:
    parts = words_of("大酒店很好, a酒 店")
    parts.join({"酒店", "大酒店", "很", "a"}, longest=3)
    assert parts.words == ["大酒店", "很", "好", "a", "酒", "店"]
    assert str(parts) == "大酒店很好, a酒 店"


def test_scripts_without_spaces_are_known() -> None:
    assert all(map(is_unspaced, ["好", "の", "カ", "ก", "ລ", "က", "ខ"]))
    assert not any(map(is_unspaced, ["a", "é", "я", "한", "ह", "1", ""]))
