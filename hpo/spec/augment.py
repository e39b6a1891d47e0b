"""What can be said of text augmentation: its rates, its variants and its table."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from hpo.spec.options import OptionTable

RATES: Final = ("delete", "swap", "replace", "insert", "characters")


class AugmentOptions(OptionTable):
    """How the texts of the training split are varied; off while all rates are 0."""

    delete: float = Field(0.0, ge=0, le=1, description="share of the words left out")
    swap: float = Field(0.0, ge=0, le=1, description="share of the words that change places")
    replace: float = Field(
        0.0, ge=0, le=1, description="share of the words replaced by ones of like use"
    )
    insert: float = Field(
        0.0, ge=0, le=1, description="words of like use inserted, as a share of the words"
    )
    characters: float = Field(
        0.0, ge=0, le=1, description="share of the words that get a slip of the pen"
    )
    variants: int = Field(
        4, ge=1, le=1000, description="variants of each text, read in turn with the text itself"
    )

    @property
    def is_on(self) -> bool:
        """Whether any text is varied."""
        return any(getattr(self, rate) > 0 for rate in RATES)


class AugmentSection(AugmentOptions):
    """`[training.augment]`: the same, and what holds for every trial."""

    table: str | None = Field(
        None,
        min_length=1,
        description="file of replacements, `word<TAB>replacement<TAB>…` a line; "
        "left out, learnt from the training split",
    )
