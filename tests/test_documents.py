"""Documents of any depth and form are read or refused, soon, and by no other error than ValueError."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hpo.documents import DEEPEST, TooDeep, parse_json, parse_toml

PLAIN = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
DOCUMENTS = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30
)
DEPTHS = st.integers(1, 3 * DEEPEST) | st.sampled_from([5_000, 200_000])


def nested(opening: str, inner: str, closing: str, depth: int) -> str:
    return opening * depth + inner + closing * depth


@given(DOCUMENTS)
def test_what_json_writes_is_read_as_json_reads_it(document: object) -> None:
    text = json.dumps(document)
    assert parse_json(text) == parse_json(text.encode()) == document


@given(DEPTHS, st.sampled_from([("[", "1", "]"), ('{"a":', "1", "}"), ('[{"a":', "[]", "}]")]))
@example(DEEPEST, ("[", "1", "]"))
@example(DEEPEST + 1, ("[", "1", "]"))
def test_json_is_read_down_to_a_depth_and_refused_below(
    depth: int, form: tuple[str, str, str]
) -> None:
    levels = sum(part.count(bracket) for part in form[:1] for bracket in "[{") * depth
    levels += form[1] == "[]"
    text = nested(*form, depth)
    if levels <= DEEPEST:
        assert parse_json(text) == json.loads(text)
    else:
        with pytest.raises(TooDeep):
            parse_json(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[[" * 5_000 + "]" * 9_999])
def test_json_that_never_ends_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"nested|Expecting"):
        parse_json(text)


def test_brackets_in_texts_are_no_depth() -> None:
    assert parse_json(json.dumps(["[{" * 10_000])) == ["[{" * 10_000]
    assert parse_json("[" + ",".join(["[]"] * 10_000) + "]") == [[]] * 10_000


def test_a_number_of_any_length_is_told_without_advice_on_python() -> None:
    with pytest.raises(ValueError, match="a whole number of thousands of digits"):
        parse_json("9" * 5_000)


@given(st.binary() | st.text(alphabet='[]{}",:1\\ '))
def test_any_bytes_are_json_or_refused(text: str | bytes) -> None:
    try:
        parse_json(text)
    except ValueError:
        return


DEEP_TOML = [
    ("a = ", "[", "", "]"),
    ("a = ", "{a = ", "1", "}"),
    ("", "a.", "a = 1", ""),
    ("", '"a".', "a = 1", ""),
    ("", "'a'. ", "a = 1", ""),
    ("[", "a . ", "a]", ""),
    ("a = {", "a.", "a = 1}", ""),
]


@given(DEPTHS, st.sampled_from(DEEP_TOML))
def test_toml_too_deep_is_refused_at_once_whatever_makes_it_deep(
    depth: int, form: tuple[str, str, str, str]
) -> None:
    text = form[0] + nested(*form[1:], depth)
    if depth < DEEPEST - 1:
        assert parse_toml(text) == tomllib.loads(text)
    elif depth > DEEPEST:
        with pytest.raises(TooDeep):
            parse_toml(text)


def test_toml_with_long_texts_and_lists_is_read() -> None:
    points = "a. b. " * (DEEPEST // 2 - 1)
    text = f'a = "{points}"\nb = [{"0.1, " * 5_000}]\nc = """{points}"""\n{"d" * 9_999} = 1'
    assert parse_toml(text) == tomllib.loads(text)
