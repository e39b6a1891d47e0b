"""An ensemble says what its members say, and runs what they share once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo.data.preprocessing import Preprocessing
from hpo.model.combination import Combination
from hpo.model.ensemble import EnsembleClassifier
from hpo.model.feature_cache import FeatureCache
from hpo.model.frozen_blocks import FrozenBlocks
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.pretrained import PretrainedModel
from tests.model.ensembles import LABELS, ensemble_of, member_of
from tests.model.tiny_gpt2 import random_split, tiny

TEXTS = ["A dull film, slow and sad.", "good", "I loved every minute of it , truly", "", "ok then"]
DEPTHS = [(0,), (2, 1, 3), (1, 1, 1), (0, 2, 0, 3), (3, 3), (0, 0)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PretrainedModel:
    return tiny(tmp_path_factory.mktemp("model"), n_layer=3)


@pytest.mark.parametrize("depths", DEPTHS, ids=str)
def test_each_member_says_what_it_says_alone(
    model: PretrainedModel, depths: tuple[int, ...]
) -> None:
    ensemble, split = ensemble_of(model, depths), random_split([3, 31, 7, 1, 12, 12])
    together = ensemble.member_probabilities(split, "")
    for member, found in zip(ensemble.members, together, strict=True):
        np.testing.assert_array_equal(found, member.probabilities(split, ""))
    np.testing.assert_array_equal(
        ensemble.probabilities(split, ""), ensemble.combination.of(together)
    )


@pytest.mark.parametrize("depths", DEPTHS, ids=str)
def test_a_batch_passes_each_frozen_block_once_at_most(
    model: PretrainedModel, depths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[int] = []
    run = FrozenBlocks.run

    def counted(self: FrozenBlocks, hidden, layout, first: int, end: int):  # type: ignore[no-untyped-def]
        passed.extend(range(first, end))
        return run(self, hidden, layout, first, end)

    monkeypatch.setattr(FrozenBlocks, "run", counted)
    ensemble_of(model, depths).probabilities(random_split([3, 31, 7]), "")
    assert passed == list(range(max(depths)))


@pytest.mark.parametrize("kept", [(), (1,), (2,), (3,), (1, 3)], ids=str)
def test_what_the_cache_has_changes_nothing(
    model: PretrainedModel, tmp_path: Path, kept: tuple[int, ...]
) -> None:
    features = FrozenFeatures(model, cache=FeatureCache(tmp_path, 10**9))
    split = random_split([3, 31, 7, 1])
    for depth in kept:
        features.states(split, "texts", depth)
    found = ensemble_of(model, (0, 3, 1, 2), features=features).probabilities(split, "texts")
    np.testing.assert_array_equal(found, ensemble_of(model, (0, 3, 1, 2)).probabilities(split, ""))


def test_texts_are_classified_as_by_one_classifier(model: PretrainedModel) -> None:
    one, ensemble = member_of(model, 1), ensemble_of(model, (1,))
    assert ensemble.classify(TEXTS)[0] == one.classify(TEXTS)[0]
    labels, probabilities = ensemble_of(model, (0, 1, 2)).classify(TEXTS)
    assert labels == [LABELS[index] for index in probabilities.argmax(1)]
    assert ensemble.classify([]) == ([], pytest.approx(np.empty((0, 3))))
    assert ensemble.probabilities(random_split([]), "").shape == (0, 3)


def test_members_that_do_not_belong_together_are_refused(
    model: PretrainedModel, tmp_path: Path
) -> None:
    member = member_of(model, 1)
    others = (
        member_of(tiny(tmp_path, n_layer=3, seed=1), 1),
        replace(member, label_names=("bad", "good", "so-so")),
        replace(member, max_length=31),
        replace(member, preprocessing=Preprocessing(keep="tail")),
    )
    for other in others:
        with pytest.raises(ValueError, match="members of different"):
            EnsembleClassifier((member, other), Combination.mean([1, 1]))
    with pytest.raises(ValueError, match="2 members for a combination of 3"):
        EnsembleClassifier((member, member), Combination.mean([1, 1, 1]))
