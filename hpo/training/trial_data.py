"""The texts that a trial reads: indices into the stored splits, so that folds need no copies of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpo.data.tokens import TokenizedData, TokenizedSplit

SplitName = Literal["train", "validation"]


@dataclass(frozen=True, eq=False)
class StoredTexts:
    """Some texts of a stored split.

    Attributes:
        split: the split whose tokens and frozen features are read.
        indices: (texts,) int64 into that split, in the order in which they count as its texts; None
            for all of them.
    """

    split: SplitName
    indices: NDArray[np.int64] | None = None

    def of(self, data: TokenizedData) -> TokenizedSplit:
        """The stored split, with all its texts."""
        split: TokenizedSplit = getattr(data, self.split)
        return split

    def key(self, data: TokenizedData) -> str | None:
        """Names the stored split for the cache of frozen features; None where nothing is to be kept there."""
        return f"{data.fingerprint}:{self.split}"

    def positions(self, data: TokenizedData) -> NDArray[np.int64]:
        """Where these texts are in the stored split, (texts,)."""
        return np.arange(len(self.of(data))) if self.indices is None else self.indices

    def labels(self, data: TokenizedData) -> NDArray[Any]:
        """The labels of these texts, one row a text."""
        labels = self.of(data).labels
        return labels if self.indices is None else labels[self.indices]

    def count(self, data: TokenizedData) -> int:
        """How many texts these are."""
        return len(self.of(data) if self.indices is None else self.indices)

    def tokens(self, data: TokenizedData) -> NDArray[np.int32]:
        """The tokens of these texts, one after the other, (tokens,)."""
        split = self.of(data)
        return split.tokens if self.indices is None else split.tokens[split.rows(self.indices)]

    def max_seqlen(self, data: TokenizedData) -> int:
        """The length of the longest of these texts in tokens."""
        lengths = self.of(data).lengths
        return int((lengths if self.indices is None else lengths[self.indices]).max())


@dataclass(frozen=True, eq=False)
class TrialData:
    """What one trial is trained and evaluated on: by default the whole splits of these names.

    A fold is two selections of the same split.

    Attributes:
        weights: What each training text counts for in the loss, (texts,) float32, as boosting has
            it; class weights are factors on these. None: 1 each.
    """

    train: StoredTexts = field(default_factory=lambda: StoredTexts("train"))
    validation: StoredTexts = field(default_factory=lambda: StoredTexts("validation"))
    weights: NDArray[np.float32] | None = None

    def fingerprint(self, of_store: str) -> str:
        """The same for the same texts of the same store; that of the store where all are read.

        Args:
            of_store: `TokenizedData.fingerprint`.
        """
        parts = (self.train, self.validation)
        names = tuple(part.split for part in parts)
        all_texts = all(part.indices is None for part in parts)
        if names == ("train", "validation") and all_texts and self.weights is None:
            return of_store
        digest = hashlib.sha256(of_store.encode())
        for part in parts:
            digest.update(part.split.encode())
            digest.update(b"all" if part.indices is None else part.indices.tobytes())
        if self.weights is not None:
            digest.update(b"weights")
            digest.update(self.weights.tobytes())
        return digest.hexdigest()
