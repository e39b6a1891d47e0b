"""An ensemble in memory: several classifiers of one pretrained model, whose frozen part runs once for all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo.data.batches import evaluation_batches
from hpo.data.preprocessing import Preprocessing
from hpo.data.tokens import TokenizedSplit, tokenize_texts
from hpo.model.combination import Combination
from hpo.model.dropout import NO_DROPOUT
from hpo.model.frozen_features import FrozenFeatures, HiddenStates
from hpo.model.layout import PASS_TOKENS, Layout, rows_and_layout
from hpo.model.prediction import OnBatch
from hpo.model.pretrained import PretrainedModel
from hpo.model.saved import TextClassifier
from hpo.model.transfer import to_device
from hpo.tasks.task import Probabilities, Task
from hpo.tasks.temperature import tempered

_ONE_CLASS = "single_label_classification"


@dataclass(frozen=True)
class EnsembleClassifier:
    """Several finished classifiers that answer as one.

    Attributes:
        members: Of one pretrained model, one kind of task and the same labels, with whole embedding tables.
        combination: What becomes of their probabilities.
        temperature: What divides the logits of what they say together; their own are as they were when
            the combination was chosen.
    """

    members: tuple[TextClassifier, ...]
    combination: Combination
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if len(self.members) != self.combination.members:
            raise ValueError(
                f"{len(self.members)} members for a combination of {self.combination.members}"
            )
        asked = [_asked(member) for member in self.members]
        if any(other != asked[0] for other in asked):
            raise ValueError(f"members of different models, labels or ways to read a text: {asked}")
        if self.combination.kind != "mean" and self.task.problem_type != _ONE_CLASS:
            raise ValueError(f"{self.combination.kind} of the task {self.task.name}")

    @property
    def model(self) -> PretrainedModel:
        """The pretrained model that all members were trained from."""
        return self.members[0].classifier.model

    @property
    def features(self) -> FrozenFeatures:
        """The frozen part that the members share."""
        return self.members[0].features

    @property
    def task(self) -> Task:
        """What the texts are asked, as all members together answer it."""
        task = self.members[0].task
        together = task.with_facts({**task.facts, **self.combination.task_facts})
        return together.tempered(self.temperature)

    @property
    def label_names(self) -> tuple[str, ...]:
        """In the order of the classes."""
        return self.members[0].label_names

    @property
    def max_length(self) -> int:
        """Tokens that are read of a text."""
        return self.members[0].max_length

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to a text before."""
        return self.members[0].preprocessing

    def tempered(self, temperature: float) -> Self:
        """As `Predictor.tempered`, of all members together."""
        return replace(self, temperature=self.task.tempered(temperature).temperature)

    def classify(self, texts: Sequence[str]) -> tuple[list[Any], Probabilities]:
        """As `TextClassifier.classify`."""
        if not texts:
            return [], np.empty((0, len(self.label_names)), np.float32)
        split = tokenize_texts(
            texts,
            self.model.tokenizer,
            max_length=self.max_length,
            preprocessing=self.preprocessing,
        )
        probabilities = self.probabilities(split, "")
        return self.task.answers(probabilities, self.label_names), probabilities

    def probabilities(
        self, split: TokenizedSplit, split_key: str, on_batch: OnBatch | None = None
    ) -> Probabilities:
        """As `TextClassifier.probabilities`, of all members together."""
        together = self.combination.of(self.member_probabilities(split, split_key, on_batch))
        one_class = self.task.problem_type == _ONE_CLASS
        return tempered(together, self.temperature, one_class=one_class)

    def member_probabilities(
        self, split: TokenizedSplit, split_key: str, on_batch: OnBatch | None = None
    ) -> tuple[Probabilities, ...]:
        """What each member alone says of a split's texts.

        A batch passes every frozen block once at most, whatever the number of members: those that
        freeze more go on from where those that freeze less begin to differ.

        Args:
            split: The texts.
            split_key: Names its tokens in the cache of hidden states, if `features` has one.
            on_batch: Told after each batch how many tokens it had.

        Returns:
            One table a member, (texts, classes) fp32.
        """
        batches = evaluation_batches(split.lengths, PASS_TOKENS[self.features.device.type])
        frozen = _FrozenPart.of(self, split, split_key)
        found: list[list[Tensor]] = [[] for _ in self.members]
        with ExitStack() as held:
            for member in self.members:
                held.enter_context(member.classifier.held_weights())
            for texts in batches:
                for logits, member, tables in zip(
                    frozen.logits(texts), self.members, found, strict=True
                ):
                    tables.append(member.task.probabilities(logits))
                if on_batch is not None:
                    on_batch(int(split.lengths[texts].sum()))
        order = np.concatenate(batches) if batches else np.empty(0, np.int64)
        return tuple(
            _in_order(order, tables, member)
            for tables, member in zip(found, self.members, strict=True)
        )


@dataclass(frozen=True)
class _FrozenPart:
    """What the members of an ensemble read of one split.

    Attributes:
        states: By depth, in ascending order, for the members that freeze something.
    """

    ensemble: EnsembleClassifier
    split: TokenizedSplit
    states: dict[int, HiddenStates]

    @staticmethod
    def of(ensemble: EnsembleClassifier, split: TokenizedSplit, split_key: str) -> _FrozenPart:
        trained = [member.classifier.trained for member in ensemble.members]
        depths = sorted({part.first_block for part in trained if not part.embeddings})
        features = ensemble.features
        states = {depth: features.states(split, split_key, depth) for depth in depths}
        return _FrozenPart(ensemble, split, states)

    def logits(self, texts: NDArray[np.int64]) -> list[Tensor]:
        """The logits of some texts by each member, (texts, outputs) fp32."""
        features = self.ensemble.features
        rows, layout = rows_and_layout(self.split, texts, features.device, features.blocks.rounding)
        hidden = self._hidden(texts, layout, rows)
        found = []
        for member in self.ensemble.members:
            classifier, embedding_rows = member.classifier, member.classifier.embedding_rows
            if not classifier.trained.embeddings:
                inputs = hidden[classifier.trained.first_block]
            else:
                assert embedding_rows is not None
                tokens = embedding_rows.rows(self.split.tokens[rows])
                inputs = to_device(torch.from_numpy(tokens), features.device)
            found.append(classifier.logits(inputs, layout, NO_DROPOUT))
        return found

    def _hidden(
        self, texts: NDArray[np.int64], layout: Layout, rows: NDArray[np.int64]
    ) -> dict[int, Tensor]:
        """The hidden states at each depth that a member begins at."""
        found: dict[int, Tensor] = {}
        for depth, states in self.states.items():
            before = next(reversed(found), None)
            if before is None or states.stored_depth > before:
                found[depth] = states.read(texts, layout, rows)
            else:
                found[depth] = states.blocks.run(found[before], layout, before, depth)
        return found


def _in_order(
    order: NDArray[np.int64], tables: Sequence[Tensor], member: TextClassifier
) -> Probabilities:
    """The batches of one member's probabilities, each text's at its own place."""
    if not tables:
        return np.asarray(member.task.probabilities(torch.empty(0, member.classifier.classes)))
    in_batches = torch.cat(list(tables)).cpu().numpy()
    probabilities = np.empty_like(in_batches)
    probabilities[order] = in_batches
    return probabilities


def _asked(member: TextClassifier) -> tuple[object, ...]:
    """What the members of an ensemble must have in common."""
    fingerprint, problem = member.classifier.model.fingerprint, member.task.problem_type
    read = member.max_length, member.preprocessing
    return fingerprint, problem, member.label_names, *read
