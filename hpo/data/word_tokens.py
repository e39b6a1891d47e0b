"""The tokens of texts for a finished model: words are looked up, for most were there before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

from hpo.data.preprocessing import AS_THEY_ARE, Preprocessing, head_tokens
from hpo.data.tokens import TokenizedSplit, tokenize_texts, unlabelled_split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MOST_WORDS: Final = 1 << 17  # kept, of either kind: some 30 MB
_TEXTS_AT_ONCE: Final = 2_048  # whose tokens are held before they are cut

TokenIds = list[int]
_Known = dict[str, tuple[int, ...]]


class WordTokens:
    """`tokenize_texts` of one tokenizer, that remembers words.

    Byte-level BPE (Radford et al., 2019) merges nothing across the beginning of a word, and counts the
    space before a word to it. So the tokens of words with one space between them are those of each word,
    one after another. A text with any other white space goes to the tokenizer whole, and every text does
    where the tokenizer is of another kind.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        preprocessing: Preprocessing = AS_THEY_ARE,
    ) -> None:
        """Nothing is remembered yet.

        Args:
            tokenizer: The model's.
            max_length: Tokens that are read of a text.
            preprocessing: What is done to a text before.
        """
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._preprocessing = preprocessing
        self._by_word = _reads_word_by_word(tokenizer)
        self._at_start: _Known = {}
        self._after_space: _Known = {}

    def split(self, texts: Sequence[str]) -> TokenizedSplit:
        """As `tokenize_texts`, equal in every token; what was cut off is not counted."""
        if not self._by_word:
            return tokenize_texts(
                texts,
                self._tokenizer,
                max_length=self._max_length,
                preprocessing=self._preprocessing,
            )
        clean = self._preprocessing.clean(texts)
        parts = (clean[at : at + _TEXTS_AT_ONCE] for at in range(0, len(clean), _TEXTS_AT_ONCE))
        runs = [self._cut(run) for part in parts for run in self._ids(part)]
        return unlabelled_split(runs, self._tokenizer.pad_token_id)

    def _ids(self, texts: Sequence[str]) -> list[TokenIds]:
        """All token ids of each text."""
        words = [_words(text) for text in texts]
        first = (each[0] for each in words if each)
        _learn(self._at_start, first, "", self._whole)
        later = chain.from_iterable(each[1:] for each in words if each)
        _learn(self._after_space, later, " ", self._whole)
        others = iter(self._whole([text for text, each in zip(texts, words, strict=True) if not each]))
        return [self._of_words(each) if each else next(others) for each in words]

    def _of_words(self, words: Sequence[str]) -> TokenIds:
        ids = list(self._at_start[words[0]])
        for word in words[1:]:
            ids += self._after_space[word]
        return ids

    def _whole(self, texts: Sequence[str]) -> list[TokenIds]:
        if not texts:
            return []
        ids: list[TokenIds] = self._tokenizer(
            list(texts), return_attention_mask=False, return_token_type_ids=False, verbose=False
        )["input_ids"]
        return ids

    def _cut(self, ids: TokenIds) -> TokenIds:
        most, keep = self._max_length, self._preprocessing.keep
        if len(ids) <= most:
            return ids
        if keep == "head+tail":
            head = head_tokens(most)
            return ids[:head] + ids[head - most :]
        from_end = keep == "tail" or (keep is None and self._tokenizer.truncation_side == "left")
        return ids[-most:] if from_end else ids[:most]


def _words(text: str) -> list[str] | None:
    """The words of a text; None where there is other white space than one space between two."""
    words = text.split(" ")
    return words if words == text.split() else None


def _learn(
    known: _Known, words: Iterable[str], before: str, ids_of: Callable[[list[str]], list[TokenIds]]
) -> None:
    """Get to know words as they are after `before`."""
    wanted = set(words)
    if len(known) > _MOST_WORDS:
        known.clear()
    new = list(wanted - known.keys())
    found = ids_of([before + word for word in new])
    # Tuples, for the garbage collector looks through so many lists again and again.
    known.update(zip(new, map(tuple, found), strict=True))


def _reads_word_by_word(tokenizer: PreTrainedTokenizerBase) -> bool:
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.normalizer is not None:
        return False
    splitting, model = backend.pre_tokenizer, backend.model
    if not isinstance(splitting, ByteLevel) or not isinstance(model, BPE):
        return False
    plain = splitting.use_regex and not splitting.add_prefix_space and not model.dropout
    # What is added to the vocabulary is found before words are, and might take their spaces.
    added = tokenizer.added_tokens_decoder.values()
    whole = not any(token.lstrip or token.rstrip or " " in token.content for token in added)
    return plain and whole and tokenizer.num_special_tokens_to_add(pair=False) == 0
