"""Which tokens of a long text are read, and that what is done to texts is remembered."""

from __future__ import annotations

import json

import pytest

from hpo.data.preprocessing import AS_THEY_ARE, Preprocessing
from hpo.data.tokens import tokenize_texts
from hpo.spec.cleaning import CleaningSection, Keep
from tests.data.test_tokens import WORDS, word_tokenizer


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (None, "a b c d"),
        ("head", "a b c d"),
        ("tail", "g h i j"),
        ("head+tail", "a h i j"),
    ],
)
def test_a_study_says_which_tokens_of_a_long_text_are_read(
    keep: Keep | None, expected: str
) -> None:
    how = Preprocessing(keep=keep)
    for side in ("right", "left") if keep else ("right",):
        tokenizer = word_tokenizer()
        tokenizer.truncation_side = side
        found = tokenize_texts(
            ["a b c d e f g h i j", "a b c d"], tokenizer, max_length=4, preprocessing=how
        )
        ids = [WORDS[word] for word in expected.split()]
        assert found.tokens.tolist() == [*ids, *(WORDS[word] for word in ["a", "b", "c", "d"])]
        assert found.cut.tolist() == [6, 0]
        assert tokenizer.truncation_side == side


@pytest.mark.parametrize(
    "how", [AS_THEY_ARE, Preprocessing(CleaningSection(html=True, urls="mask"), "tail")]
)
def test_it_is_remembered(how: Preprocessing) -> None:
    assert Preprocessing.from_json(json.loads(json.dumps(how.as_json()))) == how


def test_a_model_of_an_earlier_version_reads_texts_as_they_are() -> None:
    assert Preprocessing.from_json({}) == AS_THEY_ARE
