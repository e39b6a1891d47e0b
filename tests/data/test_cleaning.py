"""Cleaning: what each rule does to a text, what is counted, and which training texts are left out."""

from __future__ import annotations

import csv
import html
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.data.cleaning import clean_texts
from hpo.data.dataset import load_data
from hpo.data.filters import jaccard, of_wanted_length, shingles, without_near_duplicates
from hpo.data.labelled import Split
from hpo.data.words import words_of
from hpo.errors import DataError, StudyFileError
from hpo.spec.cleaning import CleaningSection
from hpo.spec.study import DataSection, ValidationSection

EVERYTHING: Mapping[str, Any] = {
    "html": True,
    "urls": "mask",
    "unicode": "NFKC",
    "lowercase": True,
    "whitespace": True,
}


def cleaned(text: str, **keys: Any) -> str:
    [found] = clean_texts([text], CleaningSection(**keys))
    return found


@pytest.mark.parametrize(
    ("text", "keys", "expected"),
    [
        ("Good.<br /><br />Bad", {"html": True}, "Good.  Bad"),
        ("1 <3 2, a<b, <|endoftext|>", {"html": True}, "1 <3 2, a<b, <|endoftext|>"),
        ("a<!-- not\nread -->b", {"html": True}, "a b"),
        ("it&#39;s &amp;lt; caf&eacute;&hellip;", {"html": True}, "it's &lt; café…"),
        ("&lt;b&gt; is text", {"html": True}, "<b> is text"),
        ("see https://a.b/c?d=1 or www.x.org now", {"urls": "mask"}, "see http or http now"),
        ("see https://a.b/c?d=1 now", {"urls": "remove"}, "see   now"),
        ("e\u0301 \ufb01ne", {"unicode": "NFC"}, "é \ufb01ne"),
        ("e\u0301 \ufb01ne", {"unicode": "NFKC"}, "é fine"),
        ("A GOOD Film", {"lowercase": True}, "a good film"),
        ("  a\t b\n\nc\u00a0d ", {"whitespace": True}, "a b c d"),
        (" A &amp; <i>B</i>\n", EVERYTHING, "a & b"),
        (" A &amp; <i>B</i>\n", {}, " A &amp; <i>B</i>\n"),
    ],
)
def test_each_rule(text: str, keys: dict[str, Any], expected: str) -> None:
    assert cleaned(text, **keys) == expected


@given(st.text(st.characters(exclude_categories=["Cs", "Cn"])))
def test_rules_agree_with_the_standard_library(text: str) -> None:
    assert cleaned(text, unicode="NFC") == unicodedata.normalize("NFC", text)
    once = cleaned(text, whitespace=True)
    assert once == once.strip(" ") == cleaned(once, whitespace=True)
    assert not re.search(r"[ \t\r\n]{2}", once)


@given(st.sampled_from(sorted(html.entities.name2codepoint)), st.booleans())
def test_every_named_entity_is_written_as_python_does(name: str, hexadecimal: bool) -> None:
    code = ord(html.entities.html5[f"{name};"])
    number = f"&#x{code:X};" if hexadecimal else f"&#{code};"
    assert cleaned(f"a&{name};b{number}", html=True) == html.unescape(f"a&{name};b{number}")


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_off_changes_nothing(text: str) -> None:
    assert clean_texts([text], CleaningSection()) == [text]


def load(path: Path, folds: int = 0, **keys: Any) -> Any:
    return load_data(
        DataSection(source=str(path)),
        seed=0,
        cleaning=CleaningSection.model_validate(keys),
        validation=ValidationSection(folds=folds),
    )


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows(*texts: str) -> list[dict[str, object]]:
    others = [f"{label} number {n}" for n in range(20) for label in ("bad", "good")]
    return [
        {"text": text, "label": "good" if number % 2 else "bad"}
        for number, text in enumerate([*others, *texts])
    ]


def test_texts_that_cleaning_makes_equal_do_not_stand_in_two_splits(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", rows("A fine  film<br />", "so it goes &amp; goes"))
    write(tmp_path / "test.csv", rows("a fine film", "never seen")[-2:])
    keys = {"html": True, "whitespace": True, "lowercase": True}
    data = load(tmp_path, **keys)
    assert "a fine film" in data.test.texts
    assert "a fine film" not in (*data.train.texts, *data.validation.texts)
    told = " ".join(data.warnings)
    assert "HTML tags taken out in 1 of" in told
    assert "HTML entities written as characters in 1 of" in told
    assert "also in the test split" in told


def test_a_text_of_which_nothing_is_left_is_left_out_and_counted(tmp_path: Path) -> None:
    data = load(write(tmp_path / "all.csv", rows("<br />", "<p></p>")), html=True)
    assert any("2 of 42 rows have no text" in warning for warning in data.warnings)


SHORT, LONG = (
    [f"tiny{n}" for n in range(20)],
    [f"one two three four five six {n}" for n in range(20)],
)


def test_lengths_filter_the_training_texts_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "all.csv", rows(*SHORT, *LONG))
    whole, data = load(path), load(path, min_words=2, max_words=6)
    # The same texts are measured on, whatever is trained on.
    assert data.test.texts == whole.test.texts
    assert data.validation.texts == whole.validation.texts
    assert set(SHORT) & {*data.test.texts, *data.validation.texts}
    wanted = [text for text in whole.train.texts if len(text.split()) == 3]
    assert list(data.train.texts) == wanted
    said = [warning for warning in data.warnings if "training texts are of" in warning]
    out = len(whole.train) - len(wanted)
    assert sum(int(re.findall(r"(\d+) of 6", each)[0]) for each in said) == out


def test_lengths_filter_what_is_trained_on_in_folds(tmp_path: Path) -> None:
    path = write(tmp_path / "all.csv", rows(*SHORT, *LONG))
    whole, data = load(path, 3), load(path, 3, min_words=2, max_words=6)
    assert data.train.texts == whole.train.texts
    for fold, of_whole in zip(data.folds, whole.folds, strict=True):
        assert fold.validation.tolist() == of_whole.validation.tolist()
        wanted = [at for at in of_whole.train if len(data.train.texts[at].split()) == 3]
        assert fold.train.tolist() == wanted
    lengths = [len(data.train.texts[at].split()) for at in data.trained_on]
    assert set(lengths) == {3}
    assert whole.trained_on is None


@pytest.mark.parametrize(
    ("text", "words"),
    [("一部很好的电影", 7), ("とてもよい", 5), ("a very good film", 4), ("很好 OK", 3)],
)
def test_a_word_is_what_augmentation_takes_for_one(text: str, words: int) -> None:
    train = Split((text, "one two three four five six seven eight"), np.array([0, 0]))
    for least, kept in ((words, [0, 1]), (words + 1, [1])):
        section = CleaningSection(min_words=least)
        positions, _ = of_wanted_length(train, section, ["a"])
        assert positions is not None
        assert positions.tolist() == kept
    assert len(words_of(text).words) == words


def test_a_class_of_which_nothing_is_left_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "all.csv", [*rows(), *({"text": t, "label": "odd"} for t in SHORT)])
    with pytest.raises(DataError, match=r"no training text of 'odd' that \[cleaning\] leaves"):
        load(path, min_words=2)


def test_bounds_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "all.csv", rows())
    with pytest.raises(DataError, match="no training text that"):
        load(path, min_words=50)
    with pytest.raises(StudyFileError, match="below min_words"):
        load(path, min_words=5, max_words=2)


_WORDS = st.lists(
    st.sampled_from(["the", "film", "was", "a", "slow", "sad", "fine", "new", "old", "bore"]),
    max_size=9,
)


@settings(deadline=None, max_examples=50)
@given(st.lists(_WORDS, min_size=1, max_size=12), st.sampled_from([0.5, 0.8, 1.0]))
def test_no_text_is_left_out_that_has_no_like(texts: list[list[str]], threshold: float) -> None:
    written = tuple(" ".join(words) or "nothing" for words in texts)
    train = Split(written, np.zeros(len(written), dtype=np.int64))
    left, warnings = without_near_duplicates(train, {}, threshold)
    out = list(written)
    for text in left.texts:
        out.remove(text)
    assert bool(out) == bool(warnings)
    for text in out:
        assert any(jaccard(shingles(text), shingles(one)) >= threshold for one in left.texts)
    assert len(set(left.texts)) == len(left.texts)  # equal texts are always found


def test_a_training_text_that_is_nearly_a_test_text_is_a_leak() -> None:
    review = "a long and patient film about a farmer who never leaves the valley where he was born"
    train = Split((f"{review}!", "something else entirely", f"{review}?"), np.array([0, 1, 0]))
    test = Split((review,), np.array([0]))
    left, [warning] = without_near_duplicates(train, {"test": test}, 0.9)
    assert left.texts == ("something else entirely",)
    assert "2 of 3 training texts are nearly a validation or test text" in warning
