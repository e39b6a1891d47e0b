"""A whole trial by every update rule and every schedule: stopped and resumed, evaluated, and what it learns."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.model.prediction import predict
from hpo.spec.registries import OPTIMIZERS, SCHEDULES
from hpo.training.loop import TrialTraining
from hpo.training.result import Evaluation, Verdict
from hpo.training.trial_context import TrialContext
from tests.training.tiny_trial import N_LAYER, finish, scores, tiny_context, tiny_data, tiny_params
from tests.training.with_stops import with_stops

RATES = {"sgd": 0.1, "adafactor": 0.1, "lion": 1e-3}
SCHEDULE_FREE = {"optimizer": "schedule_free_adamw", "schedule": "constant", "learning_rate": 2e-3}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    folder = tmp_path_factory.mktemp("rules")
    return tiny_context(folder, dropout=0.2, cache=folder / "cache", early_stopping=9)


@pytest.mark.parametrize(
    "options",
    [
        *(
            {"optimizer": optimizer, "freeze_depth": depth}
            for optimizer, depth in itertools.product(OPTIMIZERS.ours, range(N_LAYER + 1))
        ),
        *({"schedule": schedule} for schedule in SCHEDULES.ours),
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
@settings(max_examples=3, deadline=None)
@given(stops=st.sets(st.integers(1, 11), min_size=1, max_size=3))
def test_resumed_is_never_stopped_bit_for_bit(
    context: TrialContext,
    tmp_path_factory: pytest.TempPathFactory,
    options: dict[str, Any],
    stops: set[int],
) -> None:
    rate = RATES.get(options.get("optimizer", ""), 3e-3)
    params = tiny_params(
        **{"learning_rate": rate, "layer_decay": 0.9, "weight_decay": 0.1} | options
    )
    whole = TrialTraining(context, params, seed=3)
    result, told = finish(whole)
    path = tmp_path_factory.mktemp("trial") / "trial.safetensors"
    again, told_again, resumed = with_stops(context, params, stops, path)

    assert [scores(e) for e in told_again] == [scores(e) for e in told]
    np.testing.assert_array_equal(again.probabilities, result.probabilities)
    assert resumed.classifier.decay == whole.classifier.decay
    for name, weight in whole.classifier.parameters.items():
        assert torch.equal(resumed.classifier.parameters[name], weight), name


@pytest.mark.parametrize("optimizer", OPTIMIZERS.ours)
def test_every_rule_learns(tmp_path: Path, optimizer: str) -> None:
    context = tiny_context(tmp_path, data=tiny_data(train=120))
    params = tiny_params(optimizer=optimizer, learning_rate=RATES.get(optimizer, 3e-3), epochs=8)
    result, _ = finish(TrialTraining(context, params, seed=0))
    assert result.value < 0.65 * math.log(2)


def test_what_is_evaluated_is_kept_as_the_best(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, evaluations_per_epoch=1)
    params = tiny_params(**SCHEDULE_FREE, weight_decay=0.3, epochs=1)
    trial = TrialTraining(context, params, seed=0)
    in_training: list[float] = []

    def note(evaluation: Evaluation) -> Verdict:
        in_training.append(trial.classifier.decay)
        return Verdict.GO_ON

    result = trial.run(note)
    kept = predict(trial.classifier, trial.validation_inputs, context.task)
    np.testing.assert_allclose(kept, result.probabilities, rtol=1e-5)
    # The mean over all steps has decayed less than where training is.
    assert in_training[0] < trial.classifier.decay < 1


def test_evaluating_more_often_changes_no_training(tmp_path: Path) -> None:
    ends = []
    for evaluations in (1, 4):
        context = tiny_context(tmp_path, data=tiny_data(), evaluations_per_epoch=evaluations)
        _, told = finish(TrialTraining(context, tiny_params(**SCHEDULE_FREE, epochs=1), seed=0))
        ends.append(told[-1].metrics["val/loss"])
    assert ends[0] == ends[1]


def test_the_rate_of_a_plateau_follows_from_the_evaluations_before(context: TrialContext) -> None:
    options = {"schedule": "plateau", "plateau_patience": 1, "plateau_factor": 0.25}
    # So fast that the loss goes up again.
    params = tiny_params(**options, learning_rate=0.1, warmup_ratio=0.0)
    _, told = finish(TrialTraining(context, params, seed=0))
    best, rate, reductions = np.inf, params.learning_rate, 0
    for evaluation in told:
        assert evaluation.metrics["train/learning_rate"] == pytest.approx(rate)
        if evaluation.metrics["val/loss"] >= best:
            rate, reductions = rate * 0.25, reductions + 1
        best = min(best, evaluation.metrics["val/loss"])
    assert reductions


def test_the_head_has_a_rate_of_its_own(context: TrialContext) -> None:
    options = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "max_grad_norm": 0.0}
    moved = []
    for factor in (1.0, 10.0):
        params = tiny_params(**options, head_learning_rate_factor=factor, epochs=1, batch_size=42)
        trial = TrialTraining(context, params, seed=0)
        before = trial.classifier.snapshot()
        finish(trial)
        after = trial.classifier.parameters
        moved.append({name: (after[name] - first).norm().item() for name, first in before.items()})
    head = context.model.family.head
    assert moved[1][head] == pytest.approx(10 * moved[0][head], rel=1e-4)
    assert {**moved[0], head: 0} == {**moved[1], head: 0}
