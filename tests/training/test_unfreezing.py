"""Freezing over time: each stage is a plain trial of its depth, and no stage leaves a trace that it should not."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.model.dropout import NO_DROPOUT
from hpo.model.family import trained_names
from hpo.model.gpt2 import GPT2
from hpo.model.prediction import predict
from hpo.model.saved import load_trained, save_trained
from hpo.spec.registries import OPTIMIZERS
from hpo.spec.training import TrialParams
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.micro_batches import MicroBatches
from hpo.training.result import Evaluation, Verdict
from hpo.training.stages import freeze_depths
from hpo.training.trial_context import TrialContext
from tests.training.tiny_trial import N_LAYER, finish, scores, tiny_context, tiny_params
from tests.training.varied_context import varied_context
from tests.training.with_stops import with_stops

WAYS = ("two_stage", "gradual")
STEPS_PER_EPOCH = 6  # 42 texts, 8 a step
EARLY = pytest.mark.parametrize(
    ("unfreeze", "freeze_depth"), [*itertools.product(WAYS, range(N_LAYER))]
)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    folder = tmp_path_factory.mktemp("stages")
    return tiny_context(folder, dropout=0.2, cache=folder / "cache")


def params_of(unfreeze: str, **values: Any) -> TrialParams:
    """Four epochs, the first two of them in earlier stages."""
    return tiny_params(**{"unfreeze": unfreeze, "epochs": 4, "layer_decay": 0.9, **values})


def without_depth(evaluation: Evaluation) -> dict[str, float]:
    return {k: v for k, v in scores(evaluation).items() if k != "train/freeze_depth"}


def assert_same_weights(one: TrialTraining, other: TrialTraining) -> None:
    assert one.classifier.parameters.keys() == other.classifier.parameters.keys()
    assert one.classifier.decay == other.classifier.decay
    for name, weight in one.classifier.parameters.items():
        assert torch.equal(other.classifier.parameters[name], weight), name


@EARLY
def test_with_a_single_stage_it_is_a_plain_trial_bit_for_bit(
    context: TrialContext, unfreeze: str, freeze_depth: int
) -> None:
    plain = TrialTraining(context, params_of("none", freeze_depth=freeze_depth), seed=3)
    _, expected = finish(plain)
    one = params_of(unfreeze, freeze_depth=freeze_depth, unfreeze_epochs=0.01)
    trial = TrialTraining(context, one, seed=3)
    _, found = finish(trial)
    assert len(trial.stages) == 1
    assert [scores(e) for e in found] == [scores(e) for e in expected]
    assert_same_weights(trial, plain)


@EARLY
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_as_long_as_the_head_is_alone_the_trial_is_that_of_a_frozen_body(
    context: TrialContext, unfreeze: str, freeze_depth: int, optimizer: str
) -> None:
    params = params_of(unfreeze, freeze_depth=freeze_depth, optimizer=optimizer)
    trial = TrialTraining(context, params, seed=3)
    alone = params_of("none", freeze_depth=N_LAYER, optimizer=optimizer)
    _, expected = finish(TrialTraining(context, alone, seed=3))
    _, found = finish(trial)
    head_alone = [e for e in found if e.step <= trial.stages[1].first_step]
    assert len(head_alone) >= 2
    for one, other in zip(head_alone, expected, strict=False):
        assert without_depth(one) == without_depth(other)
        assert one.metrics["train/freeze_depth"] == N_LAYER


@EARLY
def test_evaluations_tell_the_freeze_depth_at_which_they_were_made(
    context: TrialContext, unfreeze: str, freeze_depth: int
) -> None:
    trial = TrialTraining(context, params_of(unfreeze, freeze_depth=freeze_depth), seed=3)
    _, told = finish(trial)
    depths = freeze_depths(trial.params, N_LAYER, STEPS_PER_EPOCH)
    for evaluation in told:
        expected = [depth for first, depth in depths.items() if first < evaluation.step][-1]
        assert evaluation.metrics["train/freeze_depth"] == expected
    assert told[-1].metrics["train/freeze_depth"] == freeze_depth


@EARLY
def test_a_stage_computes_what_a_plain_classifier_does_from_the_same_weights(
    context: TrialContext, unfreeze: str, freeze_depth: int
) -> None:
    trial = TrialTraining(context, params_of(unfreeze, freeze_depth=freeze_depth), seed=3)
    texts = np.arange(8)
    seen = []

    def compare(evaluation: Evaluation) -> Verdict:
        stage = trial.stage
        plain = context.classifier(trial.task, stage.trained, stage.embedding_rows, seed=9)
        plain.restore(trial.classifier.snapshot(), trial.classifier.decay)
        gradients = []
        for classifier in (trial.classifier, plain):
            batch = trial.train_inputs.batch(texts)
            logits = classifier.logits(batch.inputs, batch.layout, NO_DROPOUT)
            loss = SINGLE_LABEL.loss(logits, batch.labels, weights=None, params=trial.params)
            gradients.append(torch.autograd.grad(loss, list(classifier.parameters.values())))
        assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
        seen.append(stage.trained.first_block)
        return Verdict.GO_ON

    trial.run(compare)
    assert set(seen) == {stage.trained.first_block for stage in trial.stages}


@EARLY
def test_no_weight_changes_before_its_stage(
    context: TrialContext, unfreeze: str, freeze_depth: int
) -> None:
    params = params_of(unfreeze, freeze_depth=freeze_depth, weight_decay=0.1)
    trial = TrialTraining(context, params, seed=3)

    def compare(evaluation: Evaluation) -> Verdict:
        trained = trained_names(GPT2, trial.stage.trained, N_LAYER)
        assert set(trial.classifier.parameters) == set(trained)
        for name, weight in trial.classifier.full_weights():
            if name != GPT2.head:
                is_pretrained = torch.equal(weight, context.model.weights[name])
                assert is_pretrained == (name not in trained), name
        return Verdict.GO_ON

    trial.run(compare)


@EARLY
def test_the_rule_goes_on_with_what_it_knows_of_a_weight(
    context: TrialContext, unfreeze: str, freeze_depth: int
) -> None:
    trial = TrialTraining(context, params_of(unfreeze, freeze_depth=freeze_depth), seed=3)
    finish_at(trial, 20)
    steps = {
        key.removesuffix("/step"): int(n)
        for key, n in trial.optimizer.state().items()
        if key.endswith("/step")
    }
    for name in trial.classifier.parameters:
        first = min(
            stage.first_step
            for stage in trial.stages
            if name in trained_names(GPT2, stage.trained, N_LAYER)
        )
        assert steps[name] == 20 - first, name


def finish_at(trial: TrialTraining, step: int) -> None:
    with pytest.raises(TrialInterrupted):
        finish(trial, should_stop=lambda: trial.progress.step == step)


@EARLY
def test_rows_of_embeddings_that_no_text_uses_decay_from_their_stage_on(
    context: TrialContext, unfreeze: str, freeze_depth: int
) -> None:
    params = params_of(unfreeze, freeze_depth=freeze_depth, weight_decay=0.5, layer_decay=1.0)
    trial = TrialTraining(context, params, seed=3)
    finish_at(trial, 23)
    if freeze_depth:
        return
    expected = 1.0
    for step in range(trial.stages[-1].first_step, 23):
        expected *= trial.optimizer.decay_of_unused_rows(trial._factor(step))
    assert trial.classifier.decay == expected


@pytest.mark.parametrize(
    ("unfreeze", "freeze_depth", "optimizer"),
    [*itertools.product(WAYS, range(N_LAYER), OPTIMIZERS)],
)
@settings(max_examples=3, deadline=None)
@given(stops=st.sets(st.integers(1, 23), min_size=1, max_size=5))
def test_stopped_and_resumed_in_any_stage_it_ends_bit_for_bit_the_same(
    context: TrialContext,
    tmp_path_factory: pytest.TempPathFactory,
    unfreeze: str,
    freeze_depth: int,
    optimizer: str,
    stops: set[int],
) -> None:
    params = params_of(unfreeze, freeze_depth=freeze_depth, optimizer=optimizer)
    whole = TrialTraining(context, params, seed=3)
    result, told = finish(whole)
    path = tmp_path_factory.mktemp("trial") / "trial.safetensors"
    # The steps that stages end with and begin with, besides.
    firsts = {stage.first_step for stage in whole.stages[1:]}
    stops = stops | firsts | {first + 1 for first in firsts}
    again, told_again, resumed = with_stops(context, params, stops, path)
    assert [scores(e) for e in told_again] == [scores(e) for e in told]
    assert again.best.index == result.best.index
    np.testing.assert_array_equal(again.probabilities, result.probabilities)
    assert_same_weights(resumed, whole)


@EARLY
def test_with_varied_texts_it_is_resumed_bit_for_bit_where_a_stage_begins_within_an_epoch(
    tmp_path: Path, unfreeze: str, freeze_depth: int
) -> None:
    varied = varied_context(tmp_path, dropout=0.2, cache=tmp_path / "cache")
    augment = {"delete": 0.3, "variants": 2}
    params = params_of(unfreeze, freeze_depth=freeze_depth, unfreeze_epochs=0.5, augment=augment)
    whole = TrialTraining(varied, params, seed=3)
    result, told = finish(whole)
    again, told_again, resumed = with_stops(varied, params, {2, 3, 4, 6, 7, 13}, tmp_path / "t")
    assert [scores(e) for e in told_again] == [scores(e) for e in told]
    np.testing.assert_array_equal(again.probabilities, result.probabilities)
    assert_same_weights(resumed, whole)


@EARLY
def test_the_cache_changes_no_metric(tmp_path: Path, unfreeze: str, freeze_depth: int) -> None:
    without = tiny_context(tmp_path / "model")
    cached = tiny_context(tmp_path, model=without.model, cache=tmp_path / "cache")
    params = params_of(unfreeze, freeze_depth=freeze_depth)
    _, expected = finish(TrialTraining(without, params, seed=0))
    for _ in ("cold", "warm"):
        _, found = finish(TrialTraining(cached, params, seed=0))
        for one, other in zip(found, expected, strict=True):
            assert scores(one) == pytest.approx(scores(other), rel=1e-3, abs=1e-4)


@EARLY
def test_accumulation_changes_no_metric(tmp_path: Path, unfreeze: str, freeze_depth: int) -> None:
    context = tiny_context(tmp_path)
    params = params_of(unfreeze, freeze_depth=freeze_depth)
    _, expected = finish(TrialTraining(context, params, seed=0))
    _, found = finish(TrialTraining(context, params, seed=0, micro_batches=MicroBatches(3)))
    for one, other in zip(found, expected, strict=True):
        assert scores(one) == pytest.approx(scores(other), rel=1e-3, abs=1e-4)


@EARLY
def test_what_was_best_in_an_earlier_stage_is_what_is_left_and_kept(
    context: TrialContext, tmp_path: Path, unfreeze: str, freeze_depth: int
) -> None:
    params = params_of(unfreeze, freeze_depth=freeze_depth)
    for index, stage in enumerate(TrialTraining(context, params, seed=3).stages[1:]):
        trial = TrialTraining(context, params, seed=3)
        weights = ended_as_if_best_before(trial, stage.first_step)
        assert trial.stage is trial.stages[index]
        assert trial.classifier.trained == trial.stage.trained
        for name, weight in trial.classifier.full_weights():
            assert torch.equal(weight, weights[name]), name
        probabilities = trial.progress.best_probabilities
        found = predict(trial.classifier, trial.validation_inputs, SINGLE_LABEL)
        np.testing.assert_array_equal(found, probabilities)
        save_trained(tmp_path, trial.classifier, SINGLE_LABEL, ("no", "yes"), 12, {})
        loaded = load_trained(tmp_path, lambda name, revision: context.model)
        assert loaded.classifier.trained == trial.stage.trained
        found = loaded.probabilities(context.data.validation, "")
        np.testing.assert_allclose(found, probabilities, rtol=1e-5)


def ended_as_if_best_before(trial: TrialTraining, step: int) -> dict[str, torch.Tensor]:
    """Run a trial of which no evaluation is as good as that after `step` steps; the weights then."""
    weights: dict[str, torch.Tensor] = {}

    def look(evaluation: Evaluation) -> Verdict:
        if evaluation.step == step:
            weights.update({n: w.clone() for n, w in trial.classifier.full_weights()})
            found = predict(trial.classifier, trial.validation_inputs, SINGLE_LABEL)
            perfect = {**evaluation.metrics, "val/log_loss": 0.0, "val/loss": 0.0}
            trial.progress.note(
                replace(evaluation, metrics=perfect),
                found,
                trial.classifier,
                improved=True,
                counts=True,
            )
        return Verdict.GO_ON

    result = trial.run(look)
    assert result.best.step == step
    return weights


@EARLY
def test_a_trial_is_not_stopped_early_before_all_is_trained_that_is_to_be(
    tmp_path: Path, unfreeze: str, freeze_depth: int
) -> None:
    context = tiny_context(tmp_path, early_stopping=1, evaluations_per_epoch=6)
    # So fast that it gets worse.
    params = params_of(unfreeze, freeze_depth=freeze_depth, learning_rate=0.5)
    trial = TrialTraining(context, params, seed=0)
    result, told = finish(trial)
    assert result.end == "early"
    in_the_last = [e for e in told if e.metrics["train/freeze_depth"] == freeze_depth]
    assert len(in_the_last) >= 1
    assert any(e.metrics["train/freeze_depth"] > freeze_depth for e in told)
