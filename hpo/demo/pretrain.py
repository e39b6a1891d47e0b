"""Make the demo model: a byte-level tokenizer and a small GPT-2, trained on unlabelled reviews.

    python -m hpo.demo.pretrain --output hpo/demo/model

Everything is drawn from the seed. The weights agree to the last bit between runs with the same
machine, thread count and PyTorch; elsewhere rounding leads them apart, to a model as good.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from hpo.demo import DEMO_MODEL_DIR
from hpo.demo.grammar import unlabelled_texts

END_OF_TEXT: Final = "<|endoftext|>"
# First in the vocabulary, so that its id is known: it begins, ends and pads.
END_OF_TEXT_ID: Final = 0

VOCABULARY_SIZE: Final = 1_280
TOKENIZER_TEXTS: Final = 30_000
TEXTS_PER_STREAM: Final = 2_000
# A stream of texts has its own seed; those of one `--seed` lie apart from those of the next.
STREAMS_PER_SEED: Final = 1_000_000

ROW_TOKENS: Final = 128
ROWS_PER_STEP: Final = 16
DEFAULT_STEPS: Final = 2_000
# The first part of the steps reads plain texts, which teach which words mean alike.
PLAIN_SHARE: Final = 0.15
PEAK_LEARNING_RATE: Final = 3e-3
WARMUP_STEPS: Final = 100
FINAL_LEARNING_RATE_SHARE: Final = 0.02
WEIGHT_DECAY: Final = 0.05
GRADIENT_NORM: Final = 1.0
# For whoever fine-tunes. Pretraining itself never sees a text twice and has nothing to overfit.
SAVED_DROPOUT: Final = 0.1

logger = logging.getLogger(__name__)


def train_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the grammar's words. Encodes any text, adds no token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    stream_seed = seed * STREAMS_PER_SEED
    tokenizer.train_from_iterator(unlabelled_texts(TOKENIZER_TEXTS, stream_seed), trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=ROW_TOKENS,
    )


def packed_rows(
    tokenizer: PreTrainedTokenizerBase, seed: int, plain_rows: int
) -> Iterator[list[int]]:
    """Endless rows of `ROW_TOKENS` ids: texts, each followed by the end of text, the last one cut.

    Every row begins with the beginning of a text, at position 0, as every text does in
    classification; the texts that follow it teach the positions that no single review reaches.
    About the first `plain_rows` rows are plain texts.
    """
    row: list[int] = []
    rows = 0
    for stream in count(1):
        plain = rows < plain_rows
        stream_seed = seed * STREAMS_PER_SEED + stream
        texts = list(unlabelled_texts(TEXTS_PER_STREAM, stream_seed, plain=plain))
        for ids in tokenizer(texts)["input_ids"]:
            row += [*ids, END_OF_TEXT_ID]
            if len(row) >= ROW_TOKENS:
                yield row[:ROW_TOKENS]
                row = []
                rows += 1


def learning_rate_share(step: int, steps: int) -> float:
    """The share of the peak learning rate at a step: linear warm-up, then half a cosine."""
    if step < WARMUP_STEPS:
        return (step + 1) / WARMUP_STEPS
    done = (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)
    cosine = (1 + math.cos(math.pi * done)) / 2
    return FINAL_LEARNING_RATE_SHARE + (1 - FINAL_LEARNING_RATE_SHARE) * cosine


def pretrain(
    tokenizer: PreTrainedTokenizerBase, steps: int, seed: int
) -> tuple[GPT2LMHeadModel, float]:
    """Train the language model.

    Returns:
        It with its mean loss over the last 5 % of the steps.
    """
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=ROW_TOKENS,
        n_embd=128,
        n_layer=4,
        n_head=4,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        bos_token_id=END_OF_TEXT_ID,
        eos_token_id=END_OF_TEXT_ID,
    )
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=PEAK_LEARNING_RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_share(step, steps)
    )
    rows = packed_rows(tokenizer, seed, int(steps * PLAIN_SHARE) * ROWS_PER_STEP)
    losses: list[float] = []
    started = time.monotonic()
    for step in range(1, steps + 1):
        ids = torch.tensor([next(rows) for _ in range(ROWS_PER_STEP)])  # (rows, ROW_TOKENS)
        logits = model(input_ids=ids).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 50 == 0 or step == steps:
            elapsed = time.monotonic() - started
            left = elapsed / step * (steps - step)
            logger.info("step %d/%d  loss %.3f  %.0f s left", step, steps, losses[-1], left)
    final = losses[-max(1, steps // 20) :]
    for name in ("embd_pdrop", "attn_pdrop", "resid_pdrop"):
        setattr(config, name, SAVED_DROPOUT)
    config.pad_token_id = END_OF_TEXT_ID
    model.eval()  # type: ignore[no-untyped-call]
    return model, sum(final) / len(final)


def save(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerBase, output: Path) -> None:
    """Write model and tokenizer beside `output`, then put them in its place."""
    output = output.resolve()
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as temporary:
        written = Path(temporary) / "new"
        model.save_pretrained(written)
        tokenizer.save_pretrained(written)
        for file in written.iterdir():
            # safetensors writes for its owner alone, and these files are to be packaged.
            file.chmod(0o644)
        if output.exists():
            output.rename(Path(temporary) / "old")
        written.rename(output)


def main(arguments: list[str] | None = None) -> None:
    """Make the model that the arguments ask for and print its figures as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m hpo.demo.pretrain", description="Make the demo model."
    )
    parser.add_argument("--output", type=Path, default=DEMO_MODEL_DIR, metavar="DIR")
    parser.add_argument("--steps", type=int, default=DEFAULT_STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--threads", type=int, default=1, help="1 gives the same weights every time"
    )
    chosen = parser.parse_args(arguments)
    if chosen.steps < 1:
        parser.error(f"argument --steps: must be 1 or more, found {chosen.steps}")
    if chosen.output.exists() and not (chosen.output / "config.json").is_file():
        parser.error(
            f"argument --output: {chosen.output} is there and is not a model; name a new one"
        )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(chosen.threads)
    started = time.monotonic()
    tokenizer = train_tokenizer(chosen.seed)
    model, loss = pretrain(tokenizer, chosen.steps, chosen.seed)
    save(model, tokenizer, chosen.output)
    size = sum(file.stat().st_size for file in chosen.output.iterdir())
    figures = {
        "language_model_loss": round(loss, 3),
        "parameters": model.num_parameters(),
        "megabytes": round(size / 1e6, 2),
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
