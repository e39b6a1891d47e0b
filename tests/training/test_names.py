"""What a study file may name is there under that name, and nothing else stands in for what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpo.model.gpt2 import GPT2
from hpo.spec.registries import METRICS, OPTIMIZERS, SCHEDULES
from hpo.spec.study import direction_of
from hpo.spec.training import TrialParams
from hpo.tasks.metrics import classification_metrics
from hpo.tasks.scorer import metrics_for
from hpo.training.optimizer import TrialOptimizer, UpdateRule
from hpo.training.schedule import Course, learning_rate_factor


def test_every_name_that_a_study_file_may_use_is_there() -> None:
    assert all(
        callable(SCHEDULES[name]) or isinstance(SCHEDULES[name], Course) for name in SCHEDULES
    )
    assert all(isinstance(OPTIMIZERS[name], UpdateRule) for name in OPTIMIZERS)
    one_text = np.full((1, 2), 0.5, np.float32), np.zeros(1, np.int64)
    scores = classification_metrics(*one_text)
    assert scores == {name: METRICS[name].score(*one_text) for name in metrics_for("single_label")}


@pytest.mark.parametrize("name", ["exponential", "", "Linear"])
def test_an_unknown_schedule_is_no_other_one(name: Any) -> None:
    params = TrialParams().model_copy(update={"schedule": name})
    with pytest.raises(KeyError):
        learning_rate_factor(0, steps=4, params=params)


@pytest.mark.parametrize("name", ["lamb", "", "AdamW"])
def test_an_unknown_optimizer_is_no_other_one(name: Any) -> None:
    params = TrialParams().model_copy(update={"optimizer": name})
    with pytest.raises(KeyError):
        TrialOptimizer({}, params, GPT2, 2)


@pytest.mark.parametrize("name", ["ece", "", "Accuracy"])
def test_an_unknown_metric_has_no_direction(name: Any) -> None:
    with pytest.raises(KeyError):
        direction_of(name)
