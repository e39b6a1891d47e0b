"""A study's context with more texts to train on than its training split has."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from hpo.data.filters import of_wanted_length
from hpo.data.labelled import Split
from hpo.data.tokens import TokenizedSplit
from hpo.runtime.preparation import Prepared, variants_of
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import StoredTexts


def wider(prepared: Prepared, on: str) -> TrialContext:
    """The study's context with more texts to train on, those of the lengths that are wanted.

    Args:
        prepared: Its data and model.
        on: "train+validation" or "all", which is the test split, too: to be called after the test.
    """
    context, data = prepared.context, prepared.data
    tokens, with_test = context.data, on == "all"
    splits = [tokens.train, tokens.validation]
    train = joined([*splits, tokens.test.unsealed()] if with_test else splits)
    texts = (*data.train.texts, *data.validation.texts, *(data.test.texts if with_test else ()))
    spec, of_all = prepared.spec, Split(texts, np.array(train.labels))
    wanted, _ = of_wanted_length(of_all, spec.cleaning, data.label_names)
    fingerprint = hashlib.sha256(f"{tokens.fingerprint}\n{on}".encode()).hexdigest()
    wide = replace(tokens, train=train, fingerprint=fingerprint)
    variants = variants_of(spec, texts, wide, context.model, prepared.table)
    trained_on = StoredTexts("train", wanted)
    return replace(context, data=wide, variants=variants, trained_on=trained_on)


def joined(splits: list[TokenizedSplit]) -> TokenizedSplit:
    """Splits as one, in their order."""
    ends = np.cumsum([len(split.tokens) for split in splits])
    starts = [0, *ends[:-1]]
    offsets = [split.offsets[:-1] + start for split, start in zip(splits, starts, strict=True)]
    return TokenizedSplit(
        tokens=np.concatenate([split.tokens for split in splits]),
        offsets=np.append(np.concatenate(offsets), ends[-1]),
        labels=np.concatenate([split.labels for split in splits]),
    )
