"""What the benchmarks train: a GPT-2 of any size with random weights, and data in tokens."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from hpo.data.dataset import load_data
from hpo.data.tokens import TokenizedData, TokenizedSplit, tokenize
from hpo.demo import DEMO_MODEL_DIR
from hpo.model.pretrained import load_pretrained
from hpo.spec.study import DataSection


def save_random_gpt2(
    folder: Path, *, layers: int, width: int, heads: int, tokenizer: Path | None, seed: int = 0
) -> Path:
    """Write a random GPT-2 with dropout as GPT-2 has it; speed does not depend on what it knows.

    tokenizer: a directory with tokenizer files, whose vocabulary the model gets; None: the demo's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = tokenizer or DEMO_MODEL_DIR
    for path in source.iterdir():
        if path.name in ("vocab.json", "merges.txt") or path.name.startswith("tokenizer"):
            shutil.copy(path, folder / path.name)
    config = GPT2Config(n_layer=layers, n_embd=width, n_head=heads)
    config.save_pretrained(folder)
    loaded = AutoTokenizer.from_pretrained(folder)
    config.vocab_size = len(loaded)
    config.bos_token_id = config.eos_token_id = config.pad_token_id = loaded.eos_token_id
    torch.manual_seed(seed)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def tokens_of(
    source: str,
    model: Path,
    *,
    train_examples: int | None,
    validation_examples: int | None = None,
    max_length: int,
) -> TokenizedData:
    """The splits of a file, folder or "demo" in the tokens of a model, at most so many of each."""
    section = DataSection(source=source, max_train_examples=train_examples, max_length=max_length)
    loaded = load_pretrained(str(model))
    data = tokenize(
        load_data(section, seed=0),
        loaded.tokenizer,
        tokenizer_fingerprint=loaded.tokenizer_fingerprint,
        max_length=max_length,
        cache_dir=None,
    )
    if validation_examples is None:
        return data
    whole = data.validation
    offsets = whole.offsets[: validation_examples + 1]
    labels = whole.labels[:validation_examples]
    return replace(data, validation=TokenizedSplit(whole.tokens[: offsets[-1]], offsets, labels))
