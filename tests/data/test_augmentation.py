"""What augmentation promises of every text: never empty, as much changed as asked, nothing by chance."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.data.augmentation import Replacements, variant_of
from hpo.data.words import words_of
from hpo.spec.augment import RATES, AugmentOptions

TABLE = Replacements({"good": ("fine", "nice"), "film": ("movie",), "the": ("a",), "很": ("非常",)})
WORDS = st.lists(
    st.sampled_from(["good", "The", "film", "plain", "10", "is", "FILM", "x"]),
    min_size=1,
    max_size=40,
)
SENTENCES = WORDS.map(" ".join)
CHINESE = st.text(alphabet="酒店很好服务员态度不错干净房间", min_size=1, max_size=40)
RATE = st.floats(0, 1)
SEED, NUMBER = st.integers(0, 2**32 - 1), st.integers(1, 1000)


def varied(
    text: str, *, table: Replacements = TABLE, seed: int = 0, number: int = 1, **rates: float
) -> str:
    return variant_of(text, AugmentOptions(**rates), table, seed=seed, number=number)


@st.composite
def any_rates(draw: st.DrawFn) -> dict[str, Any]:
    return {rate: draw(RATE) for rate in RATES}


@given(st.text() | SENTENCES | CHINESE, any_rates(), SEED, NUMBER)
def test_a_variant_is_never_empty(
    text: str, rates: dict[str, float], seed: int, number: int
) -> None:
    new = varied(text, seed=seed, number=number, **rates)
    if words_of(text).words:
        assert words_of(new).words
    else:
        assert new == text


@given(st.text() | SENTENCES | CHINESE, SEED, NUMBER)
def test_at_rates_of_0_a_variant_is_the_text_itself(text: str, seed: int, number: int) -> None:
    assert varied(text, seed=seed, number=number) == text


@given(st.text() | SENTENCES, any_rates(), SEED, NUMBER)
def test_a_variant_follows_from_text_options_seed_and_number(
    text: str, rates: dict[str, float], seed: int, number: int
) -> None:
    once, again = (varied(text, seed=seed, number=number, **rates) for _ in range(2))
    assert once == again


@given(SENTENCES | CHINESE, RATE, SEED)
def test_as_many_words_are_left_out_as_asked(text: str, rate: float, seed: int) -> None:
    before, after = words_of(text).words, words_of(varied(text, delete=rate, seed=seed)).words
    left_out = len(before) - len(after)
    assert min(int(rate * len(before)), len(before) - 1) <= left_out <= rate * len(before) + 1
    assert _is_in_order_within(after, before)


@given(SENTENCES | CHINESE, RATE, SEED)
def test_words_change_places_in_pairs_and_none_is_lost(text: str, rate: float, seed: int) -> None:
    before, after = words_of(text), words_of(varied(text, swap=rate, seed=seed))
    assert Counter(before.words) == Counter(after.words)
    assert before.gaps == after.gaps
    moved = sum(one != other for one, other in zip(before.words, after.words, strict=True))
    assert moved <= rate * len(before.words) + 2


@given(st.integers(2, 60), RATE, SEED)
def test_as_many_different_words_change_places_as_asked(count: int, rate: float, seed: int) -> None:
    words = [f"w{at}" for at in range(count)]
    after = varied(" ".join(words), swap=rate, seed=seed).split()
    moved = sum(one != other for one, other in zip(words, after, strict=True))
    assert moved % 2 == 0
    assert min(2 * int(rate * count / 2), count - 1) <= moved <= rate * count + 2


@given(SENTENCES, RATE, SEED)
def test_words_are_replaced_by_those_of_the_table_alone(text: str, rate: float, seed: int) -> None:
    before, after = text.split(), varied(text, replace=rate, seed=seed).split()
    changed = 0
    for old, new in zip(before, after, strict=True):
        if old != new:
            changed += 1
            assert new.lower() in TABLE[old.lower()]
            assert new[0].isupper() == old[0].isupper()
    assert changed <= rate * len(before) + 1
    having = sum(word.lower() in TABLE for word in before)
    assert changed >= min(int(rate * len(before)), having)


@given(SENTENCES, RATE, SEED)
def test_words_are_inserted_that_could_stand_for_one_of_the_text(
    text: str, rate: float, seed: int
) -> None:
    before, after = text.split(), varied(text, insert=rate, seed=seed).split()
    assert _is_in_order_within(before, after)
    possible = {new for word in before for new in TABLE.get(word.lower(), ())}
    assert set(Counter(after) - Counter(before)) <= possible
    assert len(after) - len(before) <= rate * len(before) + 1


@given(SENTENCES, any_rates(), SEED)
def test_only_words_of_text_and_table_appear(text: str, rates: dict[str, float], seed: int) -> None:
    new = varied(text, seed=seed, **{**rates, "characters": 0.0})
    allowed = set(text.lower().split()) | {word for words in TABLE.values() for word in words}
    assert set(new.lower().split()) <= allowed


@given(SENTENCES, RATE, SEED)
def test_a_slip_makes_a_word_one_letter_longer_or_shorter_or_swaps_two(
    text: str, rate: float, seed: int
) -> None:
    before, after = text.split(), varied(text, characters=rate, seed=seed).split()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) <= rate * len(before) + 1
    for old, new in changed:
        assert old.isalpha()
        assert abs(len(old) - len(new)) <= 1
        assert set(new) <= set(old)
        if len(old) >= 4:
            assert (old[0], old[-1]) == (new[0], new[-1])


@given(CHINESE, SEED)
def test_a_script_without_spaces_is_varied_by_characters(text: str, seed: int) -> None:
    for rates in ({"delete": 0.5}, {"swap": 1.0}, {"characters": 0.5}):
        new = varied(text, seed=seed, **rates)
        assert " " not in new
        assert set(new) <= set(text)
    assert len(varied(text, delete=0.5, seed=seed)) < max(len(text), 2)


def test_a_word_of_several_characters_is_replaced_as_a_whole() -> None:
    table = Replacements({"酒店": ("宾馆",)})
    assert varied("这家酒店很好", table=table, replace=1.0) == "这家宾馆很好"


@pytest.mark.parametrize("rate", RATES)
def test_each_rate_by_itself_makes_variants_that_differ(rate: str) -> None:
    text = "the good film is a good film and the other film is plain"
    variants = {varied(text, number=number, **{rate: 0.3}) for number in range(1, 11)}
    assert len(variants) > 4
    assert text not in variants


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.33])
def test_short_texts_are_changed_as_much_in_the_mean_as_long_ones(rate: float) -> None:
    text = "one two three four five six seven"
    left_out = [7 - len(varied(text, delete=rate, seed=seed).split()) for seed in range(2000)]
    assert sum(left_out) / len(left_out) / 7 == pytest.approx(rate, abs=0.01)


def _is_in_order_within(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(word in rest for word in part)
