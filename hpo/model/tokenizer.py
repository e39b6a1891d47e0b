"""A model's tokenizer: found among its files, with something to pad with, and its fingerprint."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hpo.documents import parse_json
from hpo.errors import ModelError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_JSON_FILES: Final = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
)
_PANIC: Final = "PanicException"  # of pyo3, which gives no name to import


def load_tokenizer(folder: Path, name: str, most_entries: int) -> PreTrainedTokenizerBase:
    """The tokenizer among a model's files, with a padding token.

    Args:
        folder: Of the model.
        name: The model's, for messages.
        most_entries: The model's token embeddings.

    Raises:
        ModelError: Where there is none that works, or it gives ids without an embedding.
    """
    from transformers import AutoTokenizer, BertTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        probe = tokenizer("a b")["input_ids"]
        if not probe and _has_bert_vocabulary(folder):
            tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
            probe = tokenizer("a b")["input_ids"]
    except (
        BaseException
    ) as error:  # many kinds, each meaning the same, and Rust's panics are no Exception
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        logger.debug("loading the tokenizer of %s", folder, exc_info=True)
        raise _no_tokenizer(name, f"that can be loaded ({_reason(folder, error)})") from error
    # Where there are no files, transformers may make up a tokenizer that knows no word.
    if not probe:
        raise _no_tokenizer(name, "that knows any text")
    if len(tokenizer) > most_entries:
        raise ModelError(
            f"model {name}",
            found=f"{len(tokenizer)} tokenizer entries for {most_entries} embeddings",
            expected="the tokenizer that the model was trained with",
            hint="Save the right tokenizer into the model's directory.",
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = _padding_token(tokenizer)
    _check_ids(tokenizer, probe, name, most_entries)
    return tokenizer


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """What tells this tokenizer from every other: its vocabulary, its rules, its padding token."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = backend.to_str() if backend is not None else repr(sorted(tokenizer.get_vocab().items()))
    return hashlib.sha256(f"{tokenizer.pad_token_id}\n{text}".encode()).hexdigest()[:32]


def _check_ids(
    tokenizer: PreTrainedTokenizerBase, probe: list[int], name: str, embeddings: int
) -> None:
    """Raise ModelError where a text could get an id that has no embedding: few entries may have large ids."""
    ids: dict[str, int] = tokenizer.get_vocab()
    token, largest = max(ids.items(), key=lambda item: item[1])
    # What is put around each text has an id of its own in tokenizer.json, whatever the vocabulary says.
    padding = tokenizer.pad_token_id
    for beyond in (largest, padding, *probe):
        if beyond is None or not 0 <= beyond < embeddings:
            known = {largest: token, padding: tokenizer.pad_token}
            shown = known[beyond] if beyond in known else tokenizer.convert_ids_to_tokens(beyond)
            raise ModelError(
                f"model {name}, tokenizer",
                found=f"the token {shown!r} with the id {beyond}",
                expected=f"ids below {embeddings}, the rows of the token embeddings",
                hint="Save the tokenizer that the model was trained with into its directory.",
            )


def _padding_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """What to pad with where the tokenizer does not say.

    Padding tokens that a text ends in are not read, so it is a token that stands for no text, or
    else a rare one: vocabularies are mostly in the order of frequency.
    """
    for token in (tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token):
        if token is not None:
            return str(token)
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return max(vocabulary, key=vocabulary.__getitem__)


def _has_bert_vocabulary(folder: Path) -> bool:
    """Whether the tokenizer is BERT's, as Chinese GPT-2 models have it, but no file says so."""
    path = folder / "vocab.txt"
    others = [folder / name for name in ("tokenizer.json", "vocab.json")]
    if not path.is_file() or any(other.exists() for other in others):
        return False
    return "[UNK]" in path.read_text(encoding="utf-8").splitlines()


def _reason(folder: Path, error: BaseException) -> str:
    """Why a tokenizer cannot be loaded, by its files; the libraries' own words are mostly about themselves."""
    there = [file for file in _JSON_FILES if (folder / file).is_file()]
    for file in there:
        try:
            if not isinstance(parse_json((folder / file).read_bytes()), dict):
                return f"{file}: not an object"
        except (OSError, ValueError) as broken:
            return f"{file}: {first_line(broken)}"
    if type(error) is Exception:  # of the library that reads tokenizer.json
        return f"tokenizer.json: {first_line(error)}"
    return f"what transformers refuses in {' or '.join(there)}" if there else "no file of one"


def _no_tokenizer(name: str, kind: str) -> ModelError:
    return ModelError(
        f"model {name}",
        found=f"no tokenizer {kind}",
        expected="tokenizer.json, vocab.json and merges.txt, or BERT's vocab.txt, beside the weights",
        hint="Save the model's tokenizer into the same directory.",
    )
