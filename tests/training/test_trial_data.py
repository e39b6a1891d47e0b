"""A trial over some texts of a store is a trial over a store of just these texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hpo.data.tokens import TokenizedData, TokenizedSplit
from hpo.training.checkpoint import CheckpointFile
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.trial_data import StoredTexts, TrialData
from tests.training.tiny_trial import N_LAYER, finish, scores, tiny_context, tiny_data, tiny_params

RANDOM = np.random.default_rng(0)
TRAIN, HELD_OUT = np.split(RANDOM.permutation(60), [41])
VALIDATION = RANDOM.permutation(24)[:17]


def just(split: TokenizedSplit, indices: NDArray[np.int64]) -> TokenizedSplit:
    """A split that holds these texts and no others."""
    runs = [split.tokens[split.offsets[text] : split.offsets[text + 1]] for text in indices]
    offsets = np.cumsum([0, *map(len, runs)])
    return TokenizedSplit(np.concatenate(runs), offsets, split.labels[indices])


def store() -> TokenizedData:
    return tiny_data(train=60)


SELECTIONS = {
    "both": TrialData(StoredTexts("train", TRAIN), StoredTexts("validation", VALIDATION)),
    "train alone": TrialData(train=StoredTexts("train", TRAIN)),
    "fold": TrialData(StoredTexts("train", TRAIN), StoredTexts("train", HELD_OUT)),
    "a text twice": TrialData(StoredTexts("train", np.append(TRAIN, TRAIN[:5]))),
}


def copied(texts: TrialData) -> TokenizedData:
    """A store of just the selected texts."""
    data = store()
    train, validation = (
        part.of(data) if part.indices is None else just(part.of(data), part.indices)
        for part in (texts.train, texts.validation)
    )
    return replace(data, train=train, validation=validation, fingerprint="copied")


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("freeze_depth", range(N_LAYER + 1))
def test_a_selection_is_a_store_of_its_texts_bit_for_bit(
    tmp_path: Path, selection: str, freeze_depth: int
) -> None:
    texts, params = SELECTIONS[selection], tiny_params(freeze_depth=freeze_depth)
    context = tiny_context(tmp_path, data=store(), dropout=0.2)
    alone = tiny_context(tmp_path, model=context.model, data=copied(texts), dropout=0.2)
    trial, other = (
        TrialTraining(context, params, seed=3, texts=texts),
        TrialTraining(alone, params, seed=3),
    )
    (found, told), (expected, told_alone) = finish(trial), finish(other)
    assert trial.steps == other.steps
    assert [scores(e) for e in told] == [scores(e) for e in told_alone]
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    np.testing.assert_array_equal(found.confusion, expected.confusion)
    for name, weight in other.classifier.parameters.items():
        assert torch.equal(trial.classifier.parameters[name], weight), name


def test_all_texts_by_index_are_the_whole_splits(tmp_path: Path) -> None:
    every = TrialData(StoredTexts("train", np.arange(60)), StoredTexts("validation", np.arange(24)))
    context = tiny_context(tmp_path, data=store())
    expected, _ = finish(TrialTraining(context, tiny_params(), seed=0))
    found, _ = finish(TrialTraining(context, tiny_params(), seed=0, texts=every))
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_folds_read_the_frozen_features_of_the_whole_split(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, data=store(), cache=tmp_path / "cache")
    params = tiny_params(freeze_depth=1, epochs=1)
    finish(TrialTraining(context, params, seed=0, texts=SELECTIONS["both"]))
    files = set((tmp_path / "cache").glob("*/*.bin"))
    finish(TrialTraining(context, params, seed=0))
    finish(TrialTraining(context, params, seed=0, texts=SELECTIONS["fold"]))
    assert set((tmp_path / "cache").glob("*/*.bin")) == files


def test_a_checkpoint_of_other_texts_is_not_resumed(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, data=store())
    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    stopped = TrialTraining(context, tiny_params(), seed=0, texts=SELECTIONS["fold"])
    with pytest.raises(TrialInterrupted):
        finish(stopped, checkpoint=file, should_stop=lambda: True)
    for other in (None, SELECTIONS["both"]):
        assert not TrialTraining(context, tiny_params(), seed=0, texts=other).resume(file)
    assert TrialTraining(context, tiny_params(), seed=0, texts=SELECTIONS["fold"]).resume(file)
