"""The loop: the same numbers as a plain one over padded batches, whatever trick is on or off."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from hpo.data.batches import epoch_batches
from hpo.model.family import Trained, trained_names
from hpo.model.gpt2 import GPT2, HEAD
from hpo.model.inputs import Batch
from hpo.model.prediction import predict
from hpo.spec.training import TrialParams
from hpo.tasks.metrics import classification_metrics
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.training.cuda_graphs import TrainingPass
from hpo.training.evaluate import TrainingDiverged
from hpo.training.loop import TrialTraining
from hpo.training.micro_batches import MicroBatches
from hpo.training.result import Evaluation, Verdict
from hpo.training.schedule import learning_rate_factor
from hpo.training.trial_context import TrialContext
from tests.model.tiny_gpt2 import padded, reference_for, tiny
from tests.training.tiny_trial import (
    N_LAYER,
    finish,
    labelled_split,
    scores,
    tiny_context,
    tiny_data,
    tiny_params,
)


def reference_scores(
    context: TrialContext, params: TrialParams, seed: int
) -> list[dict[str, float]]:
    """Validation scores after each epoch of a plain loop: transformers' model, padding, dense AdamW."""
    first = TrialTraining(context, params, seed=seed)  # for the first head
    model = reference_for(context.model, first.classifier.parameters[HEAD])
    trained = trained_names(
        GPT2, Trained.of(params.freeze_depth), context.model.architecture.n_layer
    )
    weights = dict(model.named_parameters())
    groups = [
        {
            "params": [weights[name] for name in trained if GPT2.is_decayed(name) == decayed],
            "weight_decay": params.weight_decay if decayed else 0.0,
        }
        for decayed in (True, False)
    ]
    optimizer = torch.optim.AdamW(groups, lr=params.learning_rate)
    train, validation = context.data.train, context.data.validation
    found, step = [], 0
    for epoch in range(params.epochs):
        for texts in epoch_batches(train.lengths, params.batch_size, seed=seed, epoch=epoch):
            ids, mask = padded(train, texts)
            model.zero_grad()
            logits = model(ids, attention_mask=mask).logits
            labels = torch.from_numpy(train.labels[texts])
            functional.cross_entropy(logits, labels).backward()
            torch.nn.utils.clip_grad_norm_([weights[name] for name in trained], 1.0)
            factor = learning_rate_factor(step, steps=first.steps, params=params)
            for group in optimizer.param_groups:
                group["lr"] = params.learning_rate * factor
            optimizer.step()
            step += 1
        with torch.no_grad():
            ids, mask = padded(validation, np.arange(len(validation)))
            probabilities = model(ids, attention_mask=mask).logits.softmax(-1).numpy()
        found.append(classification_metrics(probabilities, validation.labels))
    return found


def validation_scores(evaluation: Evaluation) -> dict[str, float]:
    return {
        name.removeprefix("val/"): value
        for name, value in evaluation.metrics.items()
        if name.startswith("val/") and name != "val/loss"  # another name of log_loss
    }


def assert_same_course(found: list[Evaluation], expected: list[Evaluation]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert scores(one) == pytest.approx(scores(other), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("freeze_depth", range(N_LAYER + 1))
def test_metrics_are_those_of_a_plain_loop_over_padded_batches(
    tmp_path: Path, freeze_depth: int
) -> None:
    context = tiny_context(tmp_path, evaluations_per_epoch=1)
    params = tiny_params(freeze_depth=freeze_depth, epochs=3)
    _, told = finish(TrialTraining(context, params, seed=0))
    for found, expected in zip(told, reference_scores(context, params, 0), strict=True):
        assert validation_scores(found) == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("freeze_depth", range(1, N_LAYER + 1))
def test_the_cache_changes_no_metric(tmp_path: Path, freeze_depth: int) -> None:
    without = tiny_context(tmp_path / "model")
    cached = tiny_context(tmp_path, model=without.model, cache=tmp_path / "cache")
    params = tiny_params(freeze_depth=freeze_depth)
    _, expected = finish(TrialTraining(without, params, seed=0))
    for _ in ("cold", "warm"):
        _, found = finish(TrialTraining(cached, params, seed=0))
        assert_same_course(found, expected)
    assert list((tmp_path / "cache").glob("*/*.bin"))


@pytest.mark.parametrize("freeze_depth", range(N_LAYER + 1))
@pytest.mark.parametrize("size", [1, 3])
def test_accumulation_changes_no_metric(tmp_path: Path, freeze_depth: int, size: int) -> None:
    context = tiny_context(tmp_path)
    params = tiny_params(freeze_depth=freeze_depth, label_smoothing=0.1)
    _, expected = finish(TrialTraining(context, params, seed=0))
    _, found = finish(TrialTraining(context, params, seed=0, micro_batches=MicroBatches(size)))
    assert_same_course(found, expected)


def test_memory_that_runs_out_halves_the_batch_and_changes_no_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = tiny_context(tmp_path)
    _, expected = finish(TrialTraining(context, tiny_params(), seed=0))
    memory = MicroBatches()
    trial = TrialTraining(context, tiny_params(), seed=0, micro_batches=memory)
    training_pass = trial.training_pass
    calls = itertools.count()

    def short_of_memory(run: TrainingPass, batch: Batch, of: int) -> torch.Tensor:
        loss = training_pass(run, batch, of)  # the failure leaves gradients behind
        if len(batch.labels) > 3 and next(calls) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried …")
        return loss

    monkeypatch.setattr(trial, "training_pass", short_of_memory)
    result, found = finish(trial)
    assert result.micro_batch == memory.size == 2
    assert_same_course(found, expected)


def test_a_batch_that_was_split_ends_as_if_it_had_been_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = tiny_context(tmp_path, dropout=0.3)
    expected = finish(TrialTraining(context, tiny_params(), seed=0, micro_batches=MicroBatches(4)))[
        1
    ]
    trial = TrialTraining(context, tiny_params(), seed=0)
    training_pass = trial.training_pass

    def short_of_memory(run: TrainingPass, batch: Batch, of: int) -> torch.Tensor:
        loss = training_pass(run, batch, of)  # random numbers of dropout are drawn before it fails
        if len(batch.labels) > 4:
            raise torch.OutOfMemoryError("out of memory")
        return loss

    monkeypatch.setattr(trial, "training_pass", short_of_memory)
    assert_same_course(finish(trial)[1], expected)


def test_a_model_that_learns_gets_better_than_chance(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, data=tiny_data(train=300), metric="accuracy", dropout=0.1)
    result, told = finish(TrialTraining(context, tiny_params(epochs=8), seed=0))
    assert result.value > 0.8
    assert len(told) == result.evaluations == 32
    assert told[-1].step == result.examples_seen // 300 * 38


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "mcc"])
def test_the_best_weights_stay(tmp_path: Path, metric: Any) -> None:
    context = tiny_context(tmp_path, metric=metric)
    trial = TrialTraining(context, tiny_params(learning_rate=0.05, epochs=4), seed=0)
    result, told = finish(trial)
    sign = 1 if metric == "log_loss" else -1
    best = min(told, key=lambda e: (sign * e.metrics[f"val/{metric}"], e.metrics["val/log_loss"]))
    assert result.best == best
    assert result.value == best.metrics[f"val/{metric}"]
    np.testing.assert_array_equal(
        predict(trial.classifier, trial.validation_inputs, SINGLE_LABEL), result.probabilities
    )
    assert result.confusion.sum() == len(context.data.validation)


def test_early_stopping_waits_as_long_as_it_is_told(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, early_stopping=2)
    params = tiny_params(learning_rate=0.3, optimizer="sgd", momentum=0, epochs=30)
    result, told = finish(TrialTraining(context, params, seed=0))
    assert result.end == "early"
    assert told[-1].index == result.best.index + 2


def test_a_pruned_trial_ends_at_once_with_what_it_has(tmp_path: Path) -> None:
    trial = TrialTraining(tiny_context(tmp_path), tiny_params(), seed=0)
    result = trial.run(lambda e: Verdict.PRUNE if e.index == 3 else Verdict.GO_ON)
    assert result.end == "pruned"
    assert result.evaluations == 3
    assert trial.progress.step < trial.steps


def test_a_verdict_on_the_last_evaluation_comes_too_late_to_prune(tmp_path: Path) -> None:
    trial = TrialTraining(
        tiny_context(tmp_path, evaluations_per_epoch=1), tiny_params(epochs=1), seed=0
    )
    assert trial.run(lambda _: Verdict.PRUNE).end == "finished"


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number_ends_the_trial(tmp_path: Path, value: float) -> None:
    trial = TrialTraining(tiny_context(tmp_path), tiny_params(), seed=0)
    with torch.no_grad():
        trial.classifier.parameters[HEAD].fill_(value)
    with pytest.raises(TrainingDiverged, match="loss became"):
        finish(trial)


@pytest.mark.parametrize("batch_size", [1, 5, 16, 20, 64])
def test_an_index_is_the_same_share_of_training_for_every_batch_size(
    tmp_path: Path, batch_size: int
) -> None:
    context = tiny_context(tmp_path, data=tiny_data(train=40), evaluations_per_epoch=4)
    _, told = finish(TrialTraining(context, tiny_params(batch_size=batch_size, epochs=2), seed=0))
    assert told[-1].index == 8
    for evaluation in told:
        # A step is all that it can be off by.
        assert abs(evaluation.index / 4 - evaluation.epoch) <= 0.5 * min(1, batch_size / 40) + 1e-9


def test_evaluations_fall_on_even_fractions_and_the_end(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, data=tiny_data(train=41), evaluations_per_epoch=3)
    _, told = finish(TrialTraining(context, tiny_params(batch_size=4, epochs=2), seed=0))
    assert [e.step for e in told] == [4, 7, 11, 15, 18, 22]
    assert told[-1].epoch == 2.0
    assert told[-1].examples_seen == 82
    assert [e.metrics["train/learning_rate"] > 0 for e in told] == [True] * 6


def test_a_trial_shorter_than_its_evaluations_is_evaluated_at_every_step(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, data=tiny_data(train=5), evaluations_per_epoch=10)
    result, told = finish(TrialTraining(context, tiny_params(batch_size=64, epochs=2), seed=0))
    assert [e.step for e in told] == [1, 2]
    assert result.end == "finished"


def test_the_train_loss_is_the_mean_since_the_last_evaluation(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, evaluations_per_epoch=1)
    params = tiny_params(learning_rate=1e-12, epochs=2, freeze_depth=1)
    trial = TrialTraining(context, params, seed=0)
    train = predict(trial.classifier, trial.train_inputs, SINGLE_LABEL)
    expected = classification_metrics(train, context.data.train.labels)["log_loss"]
    _, told = finish(trial)
    for evaluation in told:
        assert evaluation.metrics["train/loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("freeze_depth", range(N_LAYER + 1))
def test_no_frozen_weight_changes(tmp_path: Path, freeze_depth: int) -> None:
    context = tiny_context(tmp_path)
    before = {name: weight.clone() for name, weight in context.model.weights.items()}
    trial = TrialTraining(context, tiny_params(freeze_depth=freeze_depth, weight_decay=0.1), seed=0)
    finish(trial)
    for name, weight in context.model.weights.items():
        assert torch.equal(weight, before[name])
    full = dict(trial.classifier.full_weights())
    trained = set(trained_names(GPT2, Trained.of(freeze_depth), N_LAYER))
    changed = {name for name in before if not torch.equal(full[name], before[name])}
    assert changed <= trained
    # But for the key part of the last block's attention bias, all that can learn does.
    assert len(changed) == len(trained - {HEAD})


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_embedding_rows_that_no_text_uses_decay_like_dense_ones(
    tmp_path: Path, optimizer: str
) -> None:
    model = tiny(tmp_path, n_layer=1, n_embd=8, n_head=2)
    context = tiny_context(tmp_path, model=model)
    params = tiny_params(optimizer=optimizer, weight_decay=0.5, layer_decay=0.7)
    trial = TrialTraining(context, params, seed=0)
    finish(trial)
    weights = dict(trial.classifier.full_weights())
    for name, used in [
        ("transformer.wte.weight", trial.classifier.embedding_rows.token_ids),
        ("transformer.wpe.weight", np.arange(trial.classifier.embedding_rows.n_positions)),
    ]:
        best = trial.progress.best
        dense = model.weights[name].double()
        for step in range(best.step):
            rate = params.learning_rate * trial._factor(step) * 0.7**2
            dense = dense * (1 - rate * params.weight_decay)
        unused = np.setdiff1d(np.arange(len(dense)), used)
        assert len(unused)
        torch.testing.assert_close(weights[name][unused].double(), dense[unused])


def test_validation_texts_longer_than_any_training_text_are_evaluated(tmp_path: Path) -> None:
    data = tiny_data()
    data = type(data)(
        labelled_split(20, seed=1, longest=4),
        labelled_split(20, seed=2, longest=30),
        data.test,
        data.label_names,
        "long",
        30,
    )
    result, _ = finish(TrialTraining(tiny_context(tmp_path, data=data), tiny_params(), seed=0))
    assert np.isfinite(result.probabilities).all()


@pytest.mark.parametrize("policy", ["always", "never", "auto"])
def test_checkpoints_follow_their_policy(tmp_path: Path, policy: Any) -> None:
    from hpo.training.checkpoint import CheckpointFile

    file = CheckpointFile(tmp_path / "trial.safetensors", policy)
    written: list[bool] = []

    def look(evaluation: Evaluation) -> Verdict:
        written.append(file.path.exists())
        return Verdict.GO_ON

    TrialTraining(tiny_context(tmp_path), tiny_params(), seed=0).run(look, checkpoint=file)
    assert any(written[1:]) == (policy == "always")


def test_an_error_in_the_callback_comes_through(tmp_path: Path) -> None:
    class PermanentError(Exception):
        pass

    def refuse(_: Evaluation) -> Verdict:
        raise PermanentError

    run: Callable[..., Any] = TrialTraining(tiny_context(tmp_path), tiny_params(), seed=0).run
    with pytest.raises(PermanentError):
        run(refuse)
