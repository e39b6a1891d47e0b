"""What all trials of a study share in one process: model, data, frozen features, task and settings."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.data.tokens import TokenizedData
from hpo.model.embedding_rows import EmbeddingRows
from hpo.model.family import Trained
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.inputs import SplitInputs
from hpo.model.pretrained import PretrainedModel
from hpo.spec.study import Metric
from hpo.spec.training import TrainingSection, TrialParams
from hpo.tasks.task import Task
from hpo.training.trial_data import StoredTexts
from hpo.training.variants import TextVariants


@dataclass(frozen=True)
class TrialContext:
    """What all trials of a study share in one process."""

    model: PretrainedModel
    data: TokenizedData
    features: FrozenFeatures
    task: Task
    metric: Metric
    settings: TrainingSection
    variants: TextVariants | None = None

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
        self, texts: StoredTexts, trained: Trained, rows: EmbeddingRows | None
    ) -> SplitInputs:
        """The batches of some texts for a classifier that trains so much.

        Args:
            texts: Which texts of which stored split.
            trained: What the classifier trains, and so what it reads.
            rows: The rows of the embedding tables that the texts use, where those are trained.
        """
        return SplitInputs(
            texts.of(self.data),
            texts.key(self.data),
            indices=texts.indices,
            trained=trained,
            features=self.features,
            embedding_rows=rows,
        )
