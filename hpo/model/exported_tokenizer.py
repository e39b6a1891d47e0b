"""The tokenizer of an exported classifier: it cleans, truncates and pads as was done in training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.data.cleaning import normalizer_of
from hpo.data.preprocessing import Preprocessing, head_tokens
from hpo.documents import parse_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# The class that takes all of tokenizer.json; those of single models make their own rules anew.
_TAKES_ALL = "PreTrainedTokenizerFast"


def save_tokenizer(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    preprocessing: Preprocessing,
) -> None:
    """Write a tokenizer that gives transformers the tokens that were trained on, of any text.

    What it cannot do is keep both ends of a long text: whoever calls it has to cut the middle out.

    Args:
        folder: Of the model.
        tokenizer: The pretrained model's.
        max_length: Tokens that are read of a text.
        preprocessing: What is done to a text before.

    Raises:
        OSError: Where it cannot be written.
    """
    usual_length, tokenizer.model_max_length = tokenizer.model_max_length, max_length
    tokenizer.save_pretrained(folder)
    tokenizer.model_max_length = usual_length
    side = tokenizer.truncation_side
    if preprocessing.keep is not None:
        side = "left" if preprocessing.keep == "tail" else "right"
    # GPT-2 would add the embeddings of tokens 0 and 1 for BERT's token_type_ids, and count the
    # positions of padding on the left.
    settings: dict[str, Any] = {
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "right",
    }
    rules: dict[str, Any] = {
        "truncation": {
            "direction": side.capitalize(),
            "max_length": max_length,
            "strategy": "LongestFirst",
            "stride": 0,
        },
        "padding": None,
    }
    if preprocessing.keep is not None:
        settings["truncation_side"] = side
    if preprocessing.keep == "head+tail":
        settings["head_tokens"] = head_tokens(max_length)
    normalizer = normalizer_of(preprocessing.cleaning)
    path = folder / "tokenizer.json"
    if normalizer is not None:
        settings["tokenizer_class"] = _TAKES_ALL
        ours = parse_json(normalizer.__getstate__())
        rules["normalizer"] = _one_after_the_other(ours, _document(path).get("normalizer"))
    _lay_over(folder / "tokenizer_config.json", settings)
    if path.exists():
        _lay_over(path, rules)


def _one_after_the_other(ours: dict[str, Any], its_own: dict[str, Any] | None) -> dict[str, Any]:
    chain = [ours] if its_own is None else [ours, its_own]
    return {"type": "Sequence", "normalizers": chain}


def _document(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    return document


def _lay_over(path: Path, values: dict[str, Any]) -> None:
    document = _document(path) | values
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
