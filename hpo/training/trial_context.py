"""What all trials of a study share in one process, and the parts of a trial that are made of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hpo.data.tokens import TokenizedData
from hpo.model.classifier import Classifier
from hpo.model.dropout import Dropout
from hpo.model.embedding_rows import EmbeddingRows
from hpo.model.family import Trained
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.inputs import SplitInputs
from hpo.model.pretrained import PretrainedModel
from hpo.spec.study import Metric
from hpo.spec.training import TrainingSection, TrialParams
from hpo.tasks.task import Task
from hpo.training.optimizer import TrialOptimizer
from hpo.training.trial_data import StoredTexts, TrialData
from hpo.training.variants import TextVariants


@dataclass(frozen=True)
class TrialContext:
    """What all trials of a study share in one process.

    Attributes:
        folds: What each fold of a trial reads; empty where trials have a validation split.
        trained_on: All that a trial over folds is trained on in the end.
    """

    model: PretrainedModel
    data: TokenizedData
    features: FrozenFeatures
    task: Task
    metric: Metric
    settings: TrainingSection
    variants: TextVariants | None = None
    folds: tuple[TrialData, ...] = ()
    trained_on: StoredTexts = field(default_factory=lambda: StoredTexts("train"))

    def read_in_turn(self, texts: StoredTexts, params: TrialParams) -> tuple[StoredTexts, ...]:
        """The training texts as the epochs of a trial read them, one version after the other, and again.

        As they are first; with augmentation each text is varied whenever it is read once more.
        """
        augment = params.augment
        if not augment.is_on:
            return (texts,)
        assert self.variants is not None, "a study that augments has variants"
        wanted = min(augment.variants, params.epochs - 1)
        variants = (self.variants.of(texts, augment, at) for at in range(1, wanted + 1))
        return (texts, *variants)

    def inputs(
        self,
        texts: StoredTexts,
        trained: Trained,
        rows: EmbeddingRows | None,
        weights: NDArray[np.float32] | None = None,
    ) -> SplitInputs:
        """The batches of some texts for a classifier that trains so much.

        Args:
            texts: Which texts of which stored split.
            trained: What the classifier trains, and so what it reads.
            rows: The rows of the embedding tables that the texts use, where those are trained.
            weights: What each of the texts counts for in the loss, (texts,) or (texts, outputs);
                None: 1.
        """
        return SplitInputs(
            texts.of(self.data),
            texts.key(self.data),
            indices=texts.indices,
            trained=trained,
            features=self.features,
            embedding_rows=rows,
            weights=weights,
        )

    def classifier(
        self, task: Task, trained: Trained, rows: EmbeddingRows | None, seed: int
    ) -> Classifier:
        """A classifier that trains so much, from the pretrained weights and a head of that seed."""
        return Classifier(
            self.model,
            trained=trained,
            classes=task.outputs(self.data.label_names),
            embedding_rows=rows,
            seed=seed,
            dtype=self.features.dtype,
            device=self.features.device,
        )

    def optimizer(self, classifier: Classifier, params: TrialParams) -> TrialOptimizer:
        """A trial's update rule over what a classifier trains."""
        n_layer = self.model.architecture.n_layer
        return TrialOptimizer(classifier.parameters, params, self.model.family, n_layer)

    def dropout(self, params: TrialParams, seed: int) -> Dropout:
        """A trial's dropout, the model's own where the trial has none."""
        architecture, chosen = self.model.architecture, params.dropout
        return Dropout(
            embedding=architecture.embedding_dropout if chosen is None else chosen,
            attention=architecture.attention_dropout if chosen is None else chosen,
            residual=architecture.residual_dropout if chosen is None else chosen,
            head=params.head_dropout,
            seed=seed,
            device=self.features.device,
        )
