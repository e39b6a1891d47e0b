"""Somebody's input where a line shows it: nothing in it moves a cursor, begins a line or turns text round."""

from __future__ import annotations

import io
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from hpo.errors import HpoError
from hpo.printable import printable, replace_unencodable
from hpo.wrapping import wrapped
from tests.test_terminal import printed, summary

NASTY = st.sampled_from("\n\r\t\x00\x07\x1b\x7f\x85\x9b\u2028\u2029\u202e\u2066\udc80")
TEXTS = st.text(NASTY | st.characters(exclude_categories=["Cs"]), max_size=30)


def is_one_line(text: str) -> bool:
    """Whether a text is one line that a terminal shows as it stands."""
    return len(text.splitlines()) <= 1 and not any(
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI")
        for character in text
    )


@given(TEXTS)
@example("\u202e\x1b[31m")
def test_any_text_becomes_one_line(text: str) -> None:
    shown = printable(text)
    assert is_one_line(shown)
    assert printable(shown) == shown


@given(TEXTS)
def test_nothing_that_shows_nothing_stays_unseen(text: str) -> None:
    for hidden in "\ufeff\u200b\u2060\u00ad\u3164\U000e0041":
        assert printable(hidden + text) == hidden.encode("unicode_escape").decode() + printable(
            text
        )


def test_what_a_line_may_show_stays_as_it_is() -> None:
    for text in ("Größe 3 µm", "感想", "שלום", "a\u00a0b", "👩\u200d🔬", r"a\nb"):
        assert printable(text) == text


@given(TEXTS, TEXTS)
def test_an_error_is_one_line_whatever_it_tells_of(place: str, found: str) -> None:
    error = HpoError(place, found=found, expected=f"not {found}", hint=f"Leave {place} out.")
    assert is_one_line(str(error))


@given(TEXTS)
@example("a\n\x1b[31mb")
def test_a_study_of_any_name_has_a_summary_of_as_many_lines(name: str) -> None:
    said = printed(summary(name=name)).splitlines()
    assert len(said) == len(printed(summary()).splitlines())
    assert all(is_one_line(line) for line in said)
    assert is_one_line(wrapped(name, io.StringIO()))


@given(TEXTS, st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8"]))
def test_any_text_can_be_written_in_any_encoding(text: str, encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    replace_unencodable(stream)
    stream.write(printable(text))
    stream.flush()
