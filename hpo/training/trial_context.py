"""What all trials of a study share in one process: model, data, frozen features, task and settings."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.data.tokens import TokenizedData
from hpo.model.classifier import Vocabulary
from hpo.model.gpt2 import PretrainedModel
from hpo.model.inputs import SplitInputs
from hpo.model.prefix import Prefix
from hpo.spec.study import Metric
from hpo.spec.training import TrainingSection
from hpo.tasks.task import Task
from hpo.training.trial_data import StoredTexts


@dataclass(frozen=True)
class TrialContext:
    """What all trials of a study share in one process."""

    model: PretrainedModel
    data: TokenizedData
    prefix: Prefix
    task: Task
    metric: Metric
    settings: TrainingSection

    def inputs(
        self, texts: StoredTexts, freeze_depth: int, vocabulary: Vocabulary | None
    ) -> SplitInputs:
        """The batches of some texts at a freeze depth."""
        return SplitInputs(
            texts.of(self.data),
            f"{self.data.fingerprint}:{texts.split}",
            indices=texts.indices,
            freeze_depth=freeze_depth,
            prefix=self.prefix,
            vocabulary=vocabulary,
        )
