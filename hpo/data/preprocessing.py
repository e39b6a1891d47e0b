"""What happens to a text between people and the tokens that are read of it; goes with a model for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hpo.data.cleaning import clean_texts
from hpo.spec.cleaning import CleaningSection, Keep


@dataclass(frozen=True)
class Preprocessing:
    """How texts are read.

    Attributes:
        cleaning: What is done to them first.
        keep: Which tokens of one that is too long are read; None: those that the model's tokenizer
            keeps, the first ones as a rule.
    """

    cleaning: CleaningSection = field(default_factory=CleaningSection)
    keep: Keep | None = None

    @property
    def again(self) -> Preprocessing:
        """How texts are read that are clean already but for what was done to them since.

        What looks like HTML in them is text: `&amp;lt;` is `&lt;` by now, and is to stay that.
        """
        return replace(self, cleaning=self.cleaning.model_copy(update={"html": False}))

    def clean(self, texts: Sequence[str]) -> list[str]:
        """The texts as the tokenizer gets them."""
        return clean_texts(texts, self.cleaning)

    def as_json(self) -> dict[str, Any]:
        """Facts for `from_json`."""
        return {"cleaning": self.cleaning.model_dump(exclude_defaults=True), "keep": self.keep}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Preprocessing:
        """What `as_json` told of; a model of an earlier version has none, and reads texts as they are."""
        cleaning = CleaningSection.model_validate(document.get("cleaning", {}))
        return Preprocessing(cleaning, document.get("keep"))


AS_THEY_ARE: Final = Preprocessing()
"""Nothing is done to the texts."""


def head_tokens(max_length: int) -> int:
    """How many of the first tokens `head+tail` keeps; the rest are the last ones.

    A quarter, as was best for film reviews with Sun et al., 2019 (128 of 512).
    """
    return max_length // 4
