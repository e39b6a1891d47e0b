"""What a classifier trains is a value, can grow during a trial, and its blocks' weights have one source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from hpo.model.block_weights import BlockWeights
from hpo.model.classifier import Classifier
from hpo.model.dropout import NO_DROPOUT
from hpo.model.embedding_rows import EmbeddingRows
from hpo.model.family import Trained
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.inputs import SplitInputs
from hpo.model.prediction import predict
from hpo.model.saved import load_trained, save_trained
from hpo.tasks.single_label import SINGLE_LABEL
from tests.model.tiny_gpt2 import classifier_over, random_split, tiny

SPLIT = random_split([5, 9, 1, 3])
ROWS = EmbeddingRows.of(SPLIT.tokens, max_seqlen=9)
N_LAYER = 3


def inputs_of(classifier: Classifier) -> SplitInputs:
    return SplitInputs(
        SPLIT,
        "split",
        trained=classifier.trained,
        features=FrozenFeatures(classifier.model, cache=None),
        embedding_rows=classifier.embedding_rows,
    )


def scores_of(classifier: Classifier, inputs: SplitInputs) -> NDArray[np.float32]:
    return predict(classifier, inputs, SINGLE_LABEL)


def train_a_little(classifier: Classifier) -> None:
    batch = inputs_of(classifier).batch(np.arange(len(SPLIT)))
    logits = classifier.logits(batch.inputs, batch.layout, NO_DROPOUT)
    functional.cross_entropy(logits, batch.labels).backward()
    with torch.no_grad():
        for weight in classifier.parameters.values():
            weight -= 0.5 * weight.grad


@pytest.mark.parametrize(
    "more", [Trained.of(1), Trained(embeddings=False, first_block=0), Trained.of(0)]
)
def test_unfreezing_keeps_what_was_trained_and_gives_the_same_logits(
    tmp_path: Path, more: Trained
) -> None:
    classifier, _ = classifier_over(tiny(tmp_path, n_layer=N_LAYER), SPLIT, freeze_depth=2)
    train_a_little(classifier)
    grown = classifier.unfrozen(more, ROWS if more.embeddings else None)
    assert classifier.parameters.keys() < grown.parameters.keys()
    for name, weight in classifier.parameters.items():
        assert torch.equal(grown.parameters[name], weight)
    np.testing.assert_allclose(
        scores_of(grown, inputs_of(grown)), scores_of(classifier, inputs_of(classifier)), rtol=1e-5
    )
    train_a_little(grown)  # all of it can be


def test_embedding_rows_that_no_text_uses_decay_only_once_they_are_unfrozen(tmp_path: Path) -> None:
    classifier, _ = classifier_over(tiny(tmp_path), SPLIT, freeze_depth=1)
    classifier.decay = 0.5
    grown = classifier.unfrozen(Trained.of(0), ROWS)
    for name, weight in grown.full_weights():
        if name != classifier.model.family.head:
            assert torch.equal(weight, classifier.model.weights[name])
    grown.decay = 0.5
    assert grown.unfrozen(Trained.of(0)).decay == 0.5


def test_what_is_trained_is_not_frozen_again(tmp_path: Path) -> None:
    classifier, _ = classifier_over(tiny(tmp_path), SPLIT, freeze_depth=1)
    with pytest.raises(ValueError, match="freezes"):
        classifier.unfrozen(Trained.of(2))


def test_embeddings_can_be_frozen_below_blocks_that_are_all_trained(tmp_path: Path) -> None:
    model = tiny(tmp_path)
    whole, inputs = classifier_over(model, SPLIT, freeze_depth=0)
    blocks = Classifier(
        model,
        trained=Trained(embeddings=False, first_block=0),
        classes=2,
        embedding_rows=None,
        seed=0,
    )
    assert whole.parameters.keys() - blocks.parameters.keys() == {
        model.family.token_embedding,
        model.family.position_embedding,
    }
    np.testing.assert_allclose(scores_of(blocks, inputs_of(blocks)), scores_of(whole, inputs))


def test_frozen_embeddings_below_trained_blocks_are_saved_and_loaded_as_such(
    tmp_path: Path,
) -> None:
    model = tiny(tmp_path / "base")
    trained = Trained(embeddings=False, first_block=0)
    blocks = Classifier(model, trained=trained, classes=2, embedding_rows=None, seed=0)
    train_a_little(blocks)
    save_trained(tmp_path / "trained", blocks, SINGLE_LABEL, ("no", "yes"), 9, {})
    loaded = load_trained(tmp_path / "trained", lambda name, revision: model).classifier
    assert loaded.trained == trained
    np.testing.assert_array_equal(
        scores_of(loaded, inputs_of(loaded)), scores_of(blocks, inputs_of(blocks))
    )


class LowRank(Classifier):
    """A base that stays as it is, and to each block's matrix of queries, keys and values a part A B."""

    parts: dict[int, tuple[torch.Tensor, torch.Tensor]]

    def block_weights(self, index: int) -> BlockWeights:
        base = super().block_weights(index)
        first, second = self.parts[index]
        return base._replace(qkv_weight=base.qkv_weight + first @ second)


def test_a_blocks_weights_may_be_a_base_and_a_low_rank_part(tmp_path: Path) -> None:
    model = tiny(tmp_path)
    merged, inputs = classifier_over(model, SPLIT, freeze_depth=1)
    adapted = LowRank(model, trained=merged.trained, classes=2, embedding_rows=None, seed=0)
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(size, generator=generator) for size in ((32, 2), (2, 96)))
    adapted.parts = {1: (first.requires_grad_(), second.requires_grad_())}
    base = model.family.block_names(1)[BlockWeights._fields.index("qkv_weight")]
    with torch.no_grad():
        merged.parameters[base] += first @ second

    np.testing.assert_array_equal(scores_of(adapted, inputs), scores_of(merged, inputs))
    batch = inputs.batch(np.arange(len(SPLIT)))
    logits = adapted.logits(batch.inputs, batch.layout, NO_DROPOUT)
    wanted = merged.logits(batch.inputs, batch.layout, NO_DROPOUT)
    assert torch.equal(logits, wanted)
    logits.sum().backward()
    assert first.grad is not None
    assert second.grad is not None
