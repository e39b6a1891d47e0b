"""Tokens by remembered words are those of the tokenizer."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hpo.data import word_tokens
from hpo.data.preprocessing import Preprocessing
from hpo.data.tokens import tokenize_texts
from hpo.data.word_tokens import WordTokens
from hpo.demo import DEMO_MODEL_DIR
from hpo.spec.cleaning import CleaningSection
from tests.data.test_tokens import word_tokenizer


@cache
def byte_level_tokenizer() -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(DEMO_MODEL_DIR)
    return tokenizer


def check(tokens: WordTokens, tokenizer: PreTrainedTokenizerBase, texts: list[str], most: int, how: Preprocessing) -> None:
    expected = tokenize_texts(texts, tokenizer, max_length=most, preprocessing=how)
    found = tokens.split(texts)
    assert found.offsets.tolist() == expected.offsets.tolist()
    assert found.tokens.tolist() == expected.tokens.tolist()


WORDS = st.sampled_from(
    ["it's", "a", "don't", "'t", "É", "é", "42", "…!?", "<|endoftext|>", "x<|endoftext|>", "日本", "\u00a0", "", "\t", "the"]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@given(
    texts=st.lists(st.lists(WORDS, max_size=8).map(" ".join), min_size=1, max_size=6),
    most=st.integers(4, 12),
    keep=st.sampled_from([None, "head", "tail", "head+tail"]),
    lower=st.booleans(),
)
def test_any_text_gives_the_tokens_that_the_tokenizer_gives(
    texts: list[str], most: int, keep: str | None, lower: bool
) -> None:
    how = Preprocessing(CleaningSection(lowercase=lower), keep)
    tokens = WordTokens(byte_level_tokenizer(), most, how)
    for again in (texts, texts[::-1]):
        check(tokens, byte_level_tokenizer(), again, most, how)


def test_words_are_forgotten_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_tokens, "_MOST_WORDS", 3)
    tokens = WordTokens(byte_level_tokenizer(), 8)
    for number in range(4):
        texts = [f"{number} word{number}", "the same"]
        check(tokens, byte_level_tokenizer(), texts, 8, Preprocessing())
