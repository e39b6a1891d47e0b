"""A trial context over a tiny model whose training texts can be varied: a word is the number of its token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from hpo.data.augmentation import Replacements
from hpo.data.replacement_table import ReplacementTable
from hpo.data.tokens import TokenizedSplit
from hpo.training.trial_context import TrialContext
from hpo.training.variants import TextVariants
from tests.training.tiny_trial import tiny_context

TABLE = ReplacementTable(Replacements({f"w{at}": (f"w{at + 1}",) for at in range(199)}))


class WordTokens:
    """Tokenises texts word by word, and counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, texts: Sequence[str]) -> TokenizedSplit:
        self.calls += 1
        runs = [[_token(word) for word in text.split()] for text in texts]
        offsets = np.cumsum([0, *map(len, runs)], dtype=np.int64)
        tokens = np.fromiter(chain.from_iterable(runs), dtype=np.int32)
        no_labels = np.zeros(len(runs), dtype=np.int64)
        return TokenizedSplit(tokens, offsets, no_labels, np.zeros(len(runs), dtype=np.int64))


def texts_of(split: TokenizedSplit) -> list[str]:
    runs = np.split(split.tokens, split.offsets[1:-1])
    return [" ".join(f"w{token}" for token in run) for run in runs]


def varied_context(
    folder: Path,
    *,
    tokens: WordTokens | None = None,
    table: ReplacementTable | None = None,
    kept: bool = True,
    **options: Any,
) -> TrialContext:
    context = tiny_context(folder, **options)
    train = context.data.train
    variants = TextVariants(
        texts_of(train), train, tokens or WordTokens(), seed=7, table=table, kept=kept
    )
    return replace(context, variants=variants)


def _token(word: str) -> int:
    """Of a word with a slip of the pen, some token or other."""
    number = word.removeprefix("w")
    return int(number) if number.isdecimal() else sum(word.encode()) % 200
