"""A trial stopped and resumed ends bit for bit like one that never stopped."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.model.pretrained import PretrainedModel
from hpo.training.checkpoint import CheckpointFile
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.micro_batches import MicroBatches
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import StoredTexts, TrialData
from tests.model.tiny_gpt2 import tiny
from tests.training.tiny_trial import N_LAYER, finish, scores, tiny_context, tiny_data, tiny_params
from tests.training.with_stops import with_stops


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    folder = tmp_path_factory.mktemp("resume")
    return tiny_context(folder, dropout=0.2, cache=folder / "cache", early_stopping=5)


@pytest.mark.parametrize(
    ("freeze_depth", "optimizer"),
    [*itertools.product(range(N_LAYER + 1), ["adamw", "sgd"])],
)
@settings(max_examples=5, deadline=None)
@given(stops=st.sets(st.integers(1, 11), min_size=1, max_size=4))
def test_resumed_is_never_stopped_bit_for_bit(
    context: TrialContext,
    tmp_path_factory: pytest.TempPathFactory,
    freeze_depth: int,
    optimizer: str,
    stops: set[int],
) -> None:
    params = tiny_params(freeze_depth=freeze_depth, optimizer=optimizer, layer_decay=0.9)
    whole = TrialTraining(context, params, seed=3)
    result, told = finish(whole)
    path = tmp_path_factory.mktemp("trial") / "trial.safetensors"
    again, told_again, resumed = with_stops(context, params, stops, path)

    assert [scores(e) for e in told_again] == [scores(e) for e in told]
    assert again.value == result.value
    assert again.best.index == result.best.index
    np.testing.assert_array_equal(again.probabilities, result.probabilities)
    assert resumed.classifier.decay == whole.classifier.decay
    for name, weight in whole.classifier.parameters.items():
        assert torch.equal(resumed.classifier.parameters[name], weight), name


@settings(max_examples=10, deadline=None)
@given(stops=st.sets(st.integers(1, 11), min_size=1, max_size=4), scored_at=st.integers(1, 8))
def test_resumed_it_counts_the_evaluation_that_was_chosen_beforehand(
    context: TrialContext,
    tmp_path_factory: pytest.TempPathFactory,
    stops: set[int],
    scored_at: int,
) -> None:
    """As a training that confirms a trial does, of texts of its own."""
    rows = np.random.default_rng(scored_at).permutation(len(context.data.train))
    drawn = StoredTexts("train", np.sort(rows[:32])), StoredTexts("train", np.sort(rows[32:]))
    options = {"texts": TrialData(*drawn), "scored_at": scored_at}
    whole = TrialTraining(context, tiny_params(freeze_depth=1), seed=3, **options)
    result, told = finish(whole)
    [counted] = [each for each in told if each.index == scored_at] or [told[-1]]
    assert result.value == counted.metrics["val/log_loss"]

    path = tmp_path_factory.mktemp("trial") / "trial.safetensors"
    params = tiny_params(freeze_depth=1)
    again, told_again, resumed = with_stops(context, params, stops, path, **options)
    assert [scores(e) for e in told_again] == [scores(e) for e in told]
    assert again.best.index == result.best.index
    np.testing.assert_array_equal(again.probabilities, result.probabilities)
    for name, weight in whole.classifier.parameters.items():
        assert torch.equal(resumed.classifier.parameters[name], weight), name


def test_early_stopping_waits_for_the_evaluation_that_counts(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, early_stopping=1)
    params = tiny_params(learning_rate=1.0, epochs=3)  # which only gets worse
    free, _ = finish(TrialTraining(context, params, seed=0))
    later = free.evaluations + 2
    bound, _ = finish(TrialTraining(context, params, seed=0, scored_at=later))
    assert free.end == bound.end == "early"
    assert free.best.index < bound.best.index == later <= bound.evaluations


def test_the_same_trial_twice_is_the_same(context: TrialContext) -> None:
    first, _ = finish(TrialTraining(context, tiny_params(), seed=1))
    second, _ = finish(TrialTraining(context, tiny_params(), seed=1))
    other, _ = finish(TrialTraining(context, tiny_params(), seed=2))
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert (first.probabilities != other.probabilities).any()


def stopped_at(context: TrialContext, path: Path, step: int, **params: Any) -> CheckpointFile:
    file = CheckpointFile(path, "auto")
    trial = TrialTraining(context, tiny_params(**params), seed=0, micro_batches=MicroBatches(4))
    with pytest.raises(TrialInterrupted):
        finish(trial, checkpoint=file, should_stop=lambda: trial.progress.step == step)
    return file


def test_a_checkpoint_holds_what_is_trained_and_no_more(
    context: TrialContext, tmp_path: Path
) -> None:
    shallow = stopped_at(context, tmp_path / "a.safetensors", 1, freeze_depth=N_LAYER)
    assert shallow.path.stat().st_size < 10_000
    saved = shallow.read()
    assert saved is not None
    assert not any("transformer.h" in name for name in saved.tensors)


def test_a_resumed_trial_knows_the_micro_batch(context: TrialContext, tmp_path: Path) -> None:
    file = stopped_at(context, tmp_path / "a.safetensors", 2)
    trial = TrialTraining(context, tiny_params(), seed=0)
    assert trial.resume(file)
    assert trial.micro_batches.size == 4


@pytest.mark.parametrize("other", [{"seed": 1}, {"learning_rate": 1e-4}, {"data": "other"}])
def test_a_checkpoint_of_another_trial_is_not_resumed(
    context: TrialContext, tmp_path: Path, other: dict[str, Any]
) -> None:
    file = stopped_at(context, tmp_path / "a.safetensors", 2)
    seed, data = other.pop("seed", 0), other.pop("data", None)
    if data:
        context = tiny_context(
            tmp_path, model=context.model, data=tiny_data(fingerprint=data), early_stopping=5
        )
    trial = TrialTraining(context, tiny_params(**other), seed=seed)
    assert not trial.resume(file)
    assert trial.progress.step == 0


def test_a_checkpoint_of_another_model_is_not_resumed(
    context: TrialContext, tmp_path: Path
) -> None:
    file = stopped_at(context, tmp_path / "a.safetensors", 2)
    model: PretrainedModel = tiny(tmp_path / "model", seed=9, n_layer=N_LAYER)
    assert not TrialTraining(tiny_context(tmp_path, model=model), tiny_params(), seed=0).resume(
        file
    )


def test_the_seconds_of_all_attempts_count(context: TrialContext, tmp_path: Path) -> None:
    now = itertools.count()

    def clock() -> float:
        return float(next(now))

    file = CheckpointFile(tmp_path / "a.safetensors", "auto")
    first = TrialTraining(context, tiny_params(), seed=0, clock=clock)
    with pytest.raises(TrialInterrupted):
        finish(first, checkpoint=file, should_stop=lambda: first.progress.step == 7)
    second = TrialTraining(context, tiny_params(), seed=0, clock=clock)
    assert second.resume(file)
    before = second.progress.seconds
    result, _ = finish(second)
    assert before > 0
    assert result.seconds > before
