"""What a finished model of texts is asked, whether it is one classifier or an ensemble of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

from hpo.data.preprocessing import Preprocessing
from hpo.data.tokens import TokenizedSplit
from hpo.model.prediction import OnBatch
from hpo.model.pretrained import PretrainedModel
from hpo.tasks.task import Probabilities, Task


class Predictor(Protocol):
    """Texts in, labels and probabilities out."""

    @property
    def model(self) -> PretrainedModel:
        """The pretrained model that it was trained from."""

    @property
    def task(self) -> Task:
        """What the texts are asked."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """In the order of the classes."""

    @property
    def max_length(self) -> int:
        """Tokens that are read of a text."""

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to a text before."""

    def tempered(self, temperature: float) -> Self:
        """The same, its logits divided by a temperature; its answers are the same."""

    def classify(self, texts: Sequence[str]) -> tuple[list[Any], Probabilities]:
        """The answer to each text, and its probabilities, (texts, classes) fp32."""

    def probabilities(
        self, split: TokenizedSplit, split_key: str, on_batch: OnBatch | None = None
    ) -> Probabilities:
        """Probabilities of a split's texts, (texts, classes) fp32.

        Args:
            split: The texts.
            split_key: Names its tokens in the cache of hidden states, if there is one.
            on_batch: Told after each batch how many tokens it had.
        """
