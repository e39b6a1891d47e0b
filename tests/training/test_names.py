"""What a study file may name is there under that name, and nothing else stands in for what is not."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from hpo.spec.study import DIRECTIONS, Metric, direction_of
from hpo.spec.training import Optimizer, Schedule, TrialParams
from hpo.tasks.metrics import classification_metrics
from hpo.training.optimizer import UPDATE_RULES, TrialOptimizer
from hpo.training.schedule import COURSES, learning_rate_factor


def test_every_name_that_a_study_file_may_use_is_there() -> None:
    assert set(COURSES) == set(get_args(Schedule))
    assert set(UPDATE_RULES) == set(get_args(Optimizer))
    one_text = np.full((1, 2), 0.5, np.float32), np.zeros(1, np.int64)
    assert set(DIRECTIONS) == set(get_args(Metric)) == set(classification_metrics(*one_text))


@pytest.mark.parametrize("name", ["polynomial", "", "Linear"])
def test_an_unknown_schedule_is_no_other_one(name: Any) -> None:
    with pytest.raises(KeyError):
        learning_rate_factor(0, steps=4, warmup_ratio=0.5, schedule=name)


@pytest.mark.parametrize("name", ["lion", "", "AdamW"])
def test_an_unknown_optimizer_is_no_other_one(name: Any) -> None:
    params = TrialParams().model_copy(update={"optimizer": name})
    with pytest.raises(KeyError):
        TrialOptimizer({}, params, 2)


@pytest.mark.parametrize("name", ["ece", "", "Accuracy"])
def test_an_unknown_metric_has_no_direction(name: Any) -> None:
    with pytest.raises(KeyError):
        direction_of(name)
