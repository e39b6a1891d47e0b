"""What trials trained, loaded as members of an ensemble, and soups of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.model.classifier import Classifier
from hpo.model.embedding_rows import EmbeddingRows
from hpo.model.family import Trained
from hpo.model.predictor import Predictor
from hpo.model.saved import TextClassifier, load_trained
from hpo.results.ensembles.soup import mean_weights
from hpo.results.leaderboard import Entry
from hpo.runtime.session import Session
from hpo.runtime.trained_part import trained_part
from hpo.training.trial_data import StoredTexts


@dataclass
class MemberModels:
    """The models of a study's trials, each got where it is first asked for.

    Attributes:
        session: Of the study.
        entries: The trials, by number.
        folder: For what MLflow has of them.
    """

    session: Session
    entries: Mapping[int, Entry]
    folder: Path
    _loaded: dict[int, TextClassifier] = field(default_factory=dict)

    def model(self, number: int) -> TextClassifier:
        """What a trial trained; trained again where no copy is left.

        Raises:
            ModelError: It cannot be had, or does not come out as it did.
            TrackingError: MLflow is needed and away.
            KeyboardInterrupt: Somebody stopped that.
        """
        if number not in self._loaded:
            into = self.folder / str(number)
            into.mkdir()
            part = trained_part(self.session, self.entries[number], into)
            base = self.session.prepared.context.model
            self._loaded[number] = load_trained(part, load_base=lambda _name, _revision: base)
        return self._loaded[number]

    def soup(self, numbers: Sequence[int]) -> TextClassifier:
        """One model whose weights are the mean of these trials'; a trial named once and alone is itself."""
        return soup([self.model(number) for number in numbers])


def soup(parts: Sequence[TextClassifier]) -> TextClassifier:
    """One classifier with the mean of the weights of several, which all began at one pretrained model.

    What some of them froze counts with its pretrained weights.

    Args:
        parts: With whole embedding tables.
    """
    first = parts[0]
    model, depth = first.model, min(part.classifier.trained.first_block for part in parts)
    every = EmbeddingRows.whole(model.architecture.vocab_size, model.architecture.n_positions)
    mixed = Classifier(
        model,
        trained=Trained.of(depth),
        classes=first.classifier.classes,
        embedding_rows=every if depth == 0 else None,
        seed=0,
        dtype=first.classifier.dtype,
        device=first.classifier.device,
    )
    weights = [
        {name: value for name, value in part.classifier.full_weights() if name in mixed.parameters}
        for part in parts
    ]
    mixed.restore(mean_weights(weights), 1.0)
    return replace(first, classifier=mixed)


def validation_answers(session: Session, model: Predictor) -> NDArray[np.float32]:
    """The probabilities that a model gives the validation texts, (texts, scores)."""
    context = session.prepared.context
    texts = StoredTexts("validation")
    return model.probabilities(texts.of(context.data), f"{context.data.fingerprint}:{texts.split}")
