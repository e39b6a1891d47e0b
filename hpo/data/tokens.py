"""The token store: each split tokenised once, kept on disk, shared by all workers."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hpo.atomic import discard_folder, remove_abandoned, whole_folder
from hpo.data.labelled import LabelledData, Labels, Split
from hpo.data.preprocessing import AS_THEY_ARE, Preprocessing, head_tokens
from hpo.data.sealed import Sealed
from hpo.data.table import shortened
from hpo.digests import file_digest
from hpo.documents import parse_json
from hpo.errors import DataError
from hpo.formats import TOKENS
from hpo.spec.cleaning import Keep

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_SPLITS: Final = ("train", "validation", "test")
_ARRAYS: Final = ("tokens", "offsets", "labels", "cut")
_MANIFEST: Final = "manifest.json"

# Bounds the Python lists that the tokenizer returns; more at once is no faster.
_TEXTS_AT_ONCE: Final = 2_048


def _not_counted() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class TokenizedSplit:
    """A split as one run of tokens, without padding.

    The arrays may be mapped from disk and are not to be written to.

    Attributes:
        tokens: (total,) int32.
        offsets: (n + 1,) int64, text i is tokens[offsets[i]:offsets[i + 1]].
        labels: Those of `Split`.
        cut: (n,) int64, how many tokens of each text were beyond max_length and are not there, or
            empty where nobody counted.
    """

    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    labels: Labels
    cut: NDArray[np.int64] = field(default_factory=_not_counted)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens of each text."""
        return np.diff(self.offsets)

    def rows(self, texts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in `tokens` those of some texts are, one text after the other, (tokens,)."""
        starts = self.offsets[texts]
        return token_rows(starts, self.offsets[texts + 1] - starts)


def token_rows(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows start, start + 1, … of each text, one text after the other, (tokens,)."""
    ends = np.cumsum(lengths)
    rows: NDArray[np.int64] = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
    return rows


@dataclass(frozen=True, eq=False)
class TokenizedData:
    """The data of a study as tokens.

    Attributes:
        test: Sealed, for it is looked at once, when all is chosen.
        fingerprint: Of data, tokenizer, length and what is kept of long texts together.
        preprocessing: What was done to the texts.
        task: What the texts are asked: a name of `hpo.tasks`.
    """

    train: TokenizedSplit
    validation: TokenizedSplit
    test: Sealed[TokenizedSplit]
    label_names: tuple[str, ...]
    fingerprint: str
    max_length: int
    preprocessing: Preprocessing = AS_THEY_ARE
    task: str = "single_label"


def tokenize(
    data: LabelledData,
    tokenizer: PreTrainedTokenizerBase,
    *,
    tokenizer_fingerprint: str,
    max_length: int,
    cache_dir: Path | None,
    preprocessing: Preprocessing = AS_THEY_ARE,
) -> TokenizedData:
    """Tokenise all splits, or read them from the store under `cache_dir`, where there is one.

    A damaged entry of the store is made anew; a store that cannot be written to is gone without,
    with a logged warning. Safe among several processes.

    Args:
        tokenizer_fingerprint: What tells this tokenizer from every other.
        max_length: Tokens kept of each text.
        preprocessing: What was done to the texts, and which tokens of a long one are kept.

    Raises:
        DataError: A text gives no tokens, or where max_length leaves no room for any.
    """
    keep = preprocessing.keep
    _check_length(tokenizer, max_length, keep)
    # Raised when the layout of an entry changes, or what tokens are kept.
    key = f"{TOKENS.number}\n{data.fingerprint}\n{tokenizer_fingerprint}\n{max_length}"
    key += "" if keep is None else f"\n{keep}"
    fingerprint = hashlib.sha256(key.encode()).hexdigest()
    entry = None if cache_dir is None else cache_dir / "tokens" / fingerprint
    splits = None if entry is None else _read_entry(entry)
    if splits is None:
        splits = {
            name: _tokenized(name, split, tokenizer, max_length, keep)
            for name, split in zip(_SPLITS, (data.train, data.validation, data.test), strict=True)
        }
        if entry is not None:
            try:
                _write_entry(entry, splits)
                splits = _mapped(entry)
            except OSError as error:
                logger.warning("the tokens cannot be kept in %s: %s", entry.parent, error)
    return TokenizedData(
        train=splits["train"],
        validation=splits["validation"],
        test=Sealed(splits["test"]),
        label_names=data.label_names,
        fingerprint=fingerprint,
        max_length=max_length,
        preprocessing=preprocessing,
        task=data.task,
    )


def tokenize_texts(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    preprocessing: Preprocessing = AS_THEY_ARE,
) -> TokenizedSplit:
    """Texts without labels, cleaned, as one run of tokens; one that gives none gets the padding token."""
    clean = preprocessing.clean(texts)
    ids, cut = _token_ids(clean, tokenizer, max_length, preprocessing.keep)
    return replace(unlabelled_split(ids, tokenizer.pad_token_id), cut=cut)


def unlabelled_split(ids: Sequence[list[int]], padding: int) -> TokenizedSplit:
    """Texts without labels from the ids of each; of padding at their ends, a first token alone is read.

    Args:
        ids: Of each text, cut to its length; changed by the call.
        padding: The padding token.
    """
    for run in ids:
        _drop_padding(run, padding)
    runs = [run or [padding] for run in ids]
    offsets = np.cumsum([0, *map(len, runs)], dtype=np.int64)
    tokens = np.fromiter(chain.from_iterable(runs), dtype=np.int32, count=int(offsets[-1]))
    return TokenizedSplit(tokens, offsets, np.zeros(len(runs), dtype=np.int64))


def _token_ids(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int, keep: Keep | None
) -> tuple[list[list[int]], NDArray[np.int64]]:
    """The token ids of each text, without the padding tokens that it ends in, but for a first one.

    With them (n,) how many tokens of each were cut off, being beyond max_length.

    A text may end in a padding token when padding and end of text are the same. GPT-2 as
    transformers has it reads a text's last token that is no padding, and the first where all are.
    """
    if keep == "head+tail":
        return _both_ends(texts, tokenizer, max_length)
    with _truncating_at(tokenizer, keep):
        encoded = tokenizer(
            list(texts), truncation=True, max_length=max_length, return_attention_mask=False
        )
    ids: list[list[int]] = encoded["input_ids"]
    full = [index for index, run in enumerate(ids) if len(run) == max_length]
    cut = np.zeros(len(ids), dtype=np.int64)
    if encoded.encodings is not None:
        # The tokenizers library has counted them already: it hands back what it cut off.
        cut[full] = [_beyond(encoded.encodings[index]) for index in full]
    elif full:
        whole = tokenizer([texts[index] for index in full], verbose=False)["input_ids"]
        cut[full] = [len(run) - max_length for run in whole]
    for run in ids:
        _drop_padding(run, tokenizer.pad_token_id)
    return ids, cut


def _both_ends(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[list[list[int]], NDArray[np.int64]]:
    ids: list[list[int]] = tokenizer(list(texts), return_attention_mask=False, verbose=False)[
        "input_ids"
    ]
    cut = np.array([max(0, len(run) - max_length) for run in ids], dtype=np.int64)
    head = head_tokens(max_length)
    for run in ids:
        if len(run) > max_length:
            del run[head : head + len(run) - max_length]
        _drop_padding(run, tokenizer.pad_token_id)
    return ids, cut


def _drop_padding(run: list[int], padding: int) -> None:
    while len(run) > 1 and run[-1] == padding:
        run.pop()


@contextmanager
def _truncating_at(tokenizer: PreTrainedTokenizerBase, keep: Keep | None) -> Iterator[None]:
    usual = tokenizer.truncation_side
    if keep is not None:
        tokenizer.truncation_side = "left" if keep == "tail" else "right"
    try:
        yield
    finally:
        tokenizer.truncation_side = usual


def _beyond(encoding: Encoding) -> int:
    """The tokens of a text that were cut off, without those that the tokenizer adds to each piece."""
    return sum(len(piece) - sum(piece.special_tokens_mask) for piece in encoding.overflowing)


def _check_length(tokenizer: PreTrainedTokenizerBase, max_length: int, keep: Keep | None) -> None:
    # With less, the tokenizers library does not truncate at all.
    added = tokenizer.num_special_tokens_to_add(pair=False)
    if max_length <= added:
        raise DataError(
            "data.max_length",
            found=str(max_length),
            expected=f"more than {added}, for the tokenizer adds {added} to the tokens of a text",
            hint="Raise it, or leave it out.",
        )
    if keep == "head+tail" and added:
        raise DataError(
            "data.keep",
            found=f"head+tail with a tokenizer that adds {added} tokens to each text",
            expected="head or tail",
            hint="Write one of them.",
        )


def _tokenized(
    name: str,
    split: Split,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    keep: Keep | None,
) -> TokenizedSplit:
    runs: list[NDArray[np.int32]] = []
    cuts: list[NDArray[np.int64]] = []
    offsets = np.zeros(len(split) + 1, dtype=np.int64)
    for start in range(0, len(split), _TEXTS_AT_ONCE):
        texts = split.texts[start : start + _TEXTS_AT_ONCE]
        ids, cut = _token_ids(texts, tokenizer, max_length, keep)
        lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
        empty = np.flatnonzero(lengths == 0)
        if len(empty):
            index = start + int(empty[0])
            raise DataError(
                split.where(index),
                found=f"a {name} text that gives no tokens ({shortened(split.texts[index])})",
                expected="text that the model's tokenizer knows",
                hint="Remove that row.",
            )
        offsets[start + 1 : start + 1 + len(ids)] = lengths
        total = int(lengths.sum())
        runs.append(np.fromiter(chain.from_iterable(ids), dtype=np.int32, count=total))
        cuts.append(cut)
    np.cumsum(offsets, out=offsets)
    return TokenizedSplit(
        tokens=np.concatenate(runs) if runs else np.empty(0, dtype=np.int32),
        offsets=offsets,
        labels=np.asarray(split.labels),
        cut=np.concatenate(cuts) if cuts else _not_counted(),
    )


def _write_entry(entry: Path, splits: Mapping[str, TokenizedSplit]) -> None:
    """Write an entry whole or not at all. Raises OSError, with nothing left behind."""
    # Where another process is first, its entry stays: it holds the same.
    with whole_folder(entry, durable=False, replace=False) as folder:
        # The time by the clock that stamps the others' files too: a file server has its own.
        remove_abandoned(entry.parent, folder.stat().st_mtime)
        digests: dict[str, str] = {}
        for name, split in splits.items():
            for array in _ARRAYS:
                path = folder / f"{name}.{array}.npy"
                np.save(path, getattr(split, array), allow_pickle=False)
                digests[path.name] = file_digest(path)
        (folder / _MANIFEST).write_text(json.dumps(digests, indent=1), encoding="utf-8")


def _read_entry(entry: Path) -> dict[str, TokenizedSplit] | None:
    """The entry, mapped, if it is there and whole; a damaged one is removed."""
    try:
        digests = parse_json((entry / _MANIFEST).read_text(encoding="utf-8"))
        files = {f"{name}.{array}.npy" for name in _SPLITS for array in _ARRAYS}
        whole = isinstance(digests, dict) and set(digests) == files
        if whole and all(file_digest(entry / name) == digest for name, digest in digests.items()):
            return _mapped(entry)
    except (OSError, ValueError, TypeError) as error:
        if not entry.exists():
            return None
        logger.debug("reading %s: %s", entry, error)
    logger.warning("the tokens in %s are damaged and are made anew", entry)
    try:
        discard_folder(entry)
    except OSError as error:
        logger.debug("%s stays: %s", entry, error)
    return None


def _mapped(entry: Path) -> dict[str, TokenizedSplit]:
    return {
        name: TokenizedSplit(
            *(np.load(entry / f"{name}.{array}.npy", mmap_mode="r") for array in _ARRAYS)
        )
        for name in _SPLITS
    }
