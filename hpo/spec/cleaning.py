"""`[cleaning]`: what is done to every text before it is tokenised, in training and wherever the model is used."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hpo.spec.numbers import LARGEST_WHOLE

Urls = Literal["keep", "mask", "remove"]
NormalForm = Literal["none", "NFC", "NFKC"]
Keep = Literal["head", "tail", "head+tail"]
"""Which tokens of a text that is too long are read."""


class CleaningSection(BaseModel):
    """`[cleaning]`: all of it off unless asked for. Model and cleaning go together from then on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    html: bool = Field(
        False,
        description="tags become spaces, and entities (`&amp;`) the characters they stand for",
    )
    urls: Urls = Field("keep", description="URLs as they are, as the word `http`, or as a space")
    unicode: NormalForm = Field("none", description="Unicode normal form of every text")
    lowercase: bool = Field(False, description="capitals become small letters")
    whitespace: bool = Field(
        False, description="runs of white space become one space, none at either end"
    )
    min_words: int = Field(
        0,
        ge=0,
        le=LARGEST_WHOLE,
        description="training texts of fewer words (in Chinese and the like: characters) are left out",
    )
    max_words: int | None = Field(
        None, ge=1, le=LARGEST_WHOLE, description="training texts of more words are left out"
    )
    near_duplicates: float | None = Field(
        None,
        ge=0.5,
        le=1,
        description="training texts are left out that are this similar (Jaccard index of their "
        "character 5-grams, estimated) to one before them, or to a validation or test text",
    )

    @property
    def bounds_lengths(self) -> bool:
        """Whether training texts of some lengths are left out."""
        return self.min_words > 0 or self.max_words is not None
