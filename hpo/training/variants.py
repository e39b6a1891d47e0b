"""Variants of the training texts as tokens, made once for all trials of a process that ask for the same."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hpo.data.augmentation import VERSION, Replacements, variant_of
from hpo.data.preprocessing import AS_THEY_ARE, Preprocessing
from hpo.data.replacement_table import ReplacementTable
from hpo.data.replacements import learnt_replacements
from hpo.data.tokens import TokenizedData, TokenizedSplit
from hpo.spec.augment import AugmentOptions
from hpo.training.trial_data import StoredTexts

logger = logging.getLogger(__name__)

Tokenize = Callable[[Sequence[str]], TokenizedSplit]
Made = TypeVar("Made")

_MOST_TOKENS = 2**25  # that are held: 128 MiB
_TEXTS_AT_ONCE = 2_048
_WORTH_TELLING = 2.0  # seconds


@dataclass(frozen=True, eq=False)
class VariedTexts(StoredTexts):
    """Some texts of the training split, varied; their indices are those of the texts as they are.

    Attributes:
        varied: The whole split, varied.
        name: Tells it from the split varied otherwise; None where no other trial will ask for it.
    """

    varied: TokenizedSplit = field(kw_only=True)
    name: str | None = field(kw_only=True)

    def of(self, data: TokenizedData) -> TokenizedSplit:
        return self.varied

    def key(self, data: TokenizedData) -> str | None:
        return None if self.name is None else f"{super().key(data)}:{self.name}"


class TextVariants:
    """The variants of the texts of one training split.

    They follow from the seed of the study and not from those of its trials, so that trials of equal
    options read the same texts, and the hidden states of these are computed once.
    """

    def __init__(
        self,
        texts: Sequence[str],
        split: TokenizedSplit,
        tokenize: Tokenize,
        *,
        seed: int,
        table: ReplacementTable | None = None,
        preprocessing: Preprocessing = AS_THEY_ARE,
        kept: bool = True,
    ) -> None:
        """Make nothing yet.

        Args:
            texts: Of the training split.
            split: The same as tokens, with their labels.
            tokenize: Makes tokens of texts, as was done for the split.
            seed: Of the study.
            table: What words are replaced by; None: what the texts that a trial is trained on show.
            preprocessing: What `tokenize` does to texts: to these it may be nothing, and to variants not.
            kept: Whether trials enough have the same variants for hidden states to be kept.
        """
        self._texts = texts
        self._split = split
        self._tokenize = tokenize
        self._seed = seed
        self._table = table
        self._preprocessing = preprocessing
        self._kept = kept
        self._made: dict[str, TokenizedSplit] = {}
        self._learnt: tuple[str, Replacements] | None = None

    @property
    def fingerprint(self) -> str:
        """What trials with variants must have in common besides data and options; short."""
        named = f"{VERSION}:{self._seed}:{self._table.fingerprint if self._table else 'learnt'}"
        named += f":{json.dumps(self._preprocessing.as_json(), sort_keys=True)}"
        return hashlib.sha256(named.encode()).hexdigest()[:16]

    def of(self, texts: StoredTexts, options: AugmentOptions, number: int) -> VariedTexts:
        """A trial's training texts, each varied.

        Args:
            texts: Those of the training split that it is trained on; replacements are learnt of them alone.
            options: How much is varied.
            number: Which variants, from 1.
        """
        rates = options.model_dump(exclude={"variants"})
        learns = self._table is None and (options.replace > 0 or options.insert > 0)
        of_texts = _digest(texts.indices) if learns else ""
        key = f"{self.fingerprint}:{sorted(rates.items())}:{of_texts}:{number}"
        split = self._made.pop(key, None)
        if split is None:
            replacements = self._replacements(texts, of_texts) if learns else self._given()
            split = self._varied(options, replacements, number)
        self._made[key] = split  # as the last, for the first are given up
        self._give_up_old_ones()
        return VariedTexts(
            texts.split, texts.indices, varied=split, name=key if self._kept else None
        )

    def _given(self) -> Replacements:
        return Replacements() if self._table is None else self._table.replacements

    def _replacements(self, texts: StoredTexts, of_texts: str) -> Replacements:
        if self._learnt is None or self._learnt[0] != of_texts:
            everything = np.arange(len(self._texts))
            chosen = everything if texts.indices is None else np.unique(texts.indices)
            of_classes = class_shares(self._split.labels[chosen])
            learnt = _told(
                "replacements learnt",
                lambda: learnt_replacements([self._texts[at] for at in chosen], of_classes),
            )
            self._learnt = of_texts, learnt
        return self._learnt[1]

    def _varied(
        self, options: AugmentOptions, replacements: Replacements, number: int
    ) -> TokenizedSplit:
        def made() -> TokenizedSplit:
            return _joined(
                [
                    self._tokenize(
                        [
                            variant_of(text, options, replacements, seed=self._seed, number=number)
                            for text in self._texts[start : start + _TEXTS_AT_ONCE]
                        ]
                    )
                    for start in range(0, len(self._texts), _TEXTS_AT_ONCE)
                ]
            )

        return replace(_told("variants made", made), labels=self._split.labels)

    def _give_up_old_ones(self) -> None:
        held = sum(len(split.tokens) for split in self._made.values())
        while held > _MOST_TOKENS and len(self._made) > 1:
            oldest = next(iter(self._made))
            held -= len(self._made.pop(oldest).tokens)


def class_shares(labels: NDArray[np.generic]) -> NDArray[np.float64]:
    """How much each text is of each class, (texts, classes).

    Args:
        labels: (texts,) numbers of classes, (texts, classes) zeros and ones, or (texts,) real
            numbers, which are taken for two classes, those up to the median and those above.
    """
    if labels.ndim == 2:
        return labels.astype(np.float64)
    numbers = labels
    if labels.dtype.kind == "f":
        numbers = (labels.astype(np.float64) > np.median(labels.astype(np.float64))).astype(int)
    return np.eye(int(numbers.max()) + 1)[numbers.astype(np.int64)]


def _joined(parts: Sequence[TokenizedSplit]) -> TokenizedSplit:
    """Runs of texts as one."""
    lengths = np.concatenate([part.lengths for part in parts])
    return TokenizedSplit(
        np.concatenate([part.tokens for part in parts]),
        np.fromiter(chain([0], np.cumsum(lengths)), np.int64, len(lengths) + 1),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.cut for part in parts]),
    )


def _digest(indices: NDArray[np.int64] | None) -> str:
    return "all" if indices is None else hashlib.sha256(indices.tobytes()).hexdigest()[:16]


def _told(what: str, make: Callable[[], Made]) -> Made:
    """What `make` makes, with a word of it where it took long."""
    started = time.monotonic()
    made = make()
    seconds = time.monotonic() - started
    if seconds > _WORTH_TELLING:
        logger.info("augmentation: %s in %.1f s", what, seconds)
    return made
