"""The stages of a trial: which freeze depth begins with which step, and what is ready before the first."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.spec.training import TrialParams
from hpo.training.loop import TrialTraining
from hpo.training.stages import freeze_depths
from tests.training.tiny_trial import finish, tiny_context, tiny_params

WAYS = ("two_stage", "gradual")

PLANS = [
    # unfreeze, freeze_depth, unfreeze_epochs, epochs, n_layer, what comes of it
    ("none", 1, 1.0, 4, 6, {0: 1}),
    ("two_stage", 2, 1.0, 4, 6, {0: 6, 10: 2}),
    ("two_stage", 0, 1.5, 4, 6, {0: 6, 15: 0}),
    ("two_stage", 2, 1.0, 1, 6, {0: 6, 5: 2}),  # half of training at most
    ("gradual", 3, 1.0, 9, 6, {0: 6, 10: 5, 20: 4, 30: 3}),
    ("gradual", 0, 1.0, 3, 6, {0: 6, 2: 5, 5: 4, 8: 3, 10: 2, 12: 1, 15: 0}),
    ("gradual", 0, 0.02, 3, 6, {0: 4, 1: 0}),  # a step is more than a stage
    ("two_stage", 6, 1.0, 4, 6, {0: 6}),
    ("gradual", 6, 1.0, 4, 6, {0: 6}),
]


@pytest.mark.parametrize(
    ("unfreeze", "freeze_depth", "unfreeze_epochs", "epochs", "n_layer", "expected"), PLANS
)
def test_the_head_comes_first_and_freeze_depth_last(
    unfreeze: Any,
    freeze_depth: int,
    unfreeze_epochs: float,
    epochs: int,
    n_layer: int,
    expected: dict[int, int],
) -> None:
    params = TrialParams(
        unfreeze=unfreeze,
        freeze_depth=freeze_depth,
        unfreeze_epochs=unfreeze_epochs,
        epochs=epochs,
    )
    assert freeze_depths(params, n_layer, 10) == expected


@given(
    unfreeze=st.sampled_from(WAYS),
    n_layer=st.integers(1, 12),
    above=st.integers(0, 12),
    unfreeze_epochs=st.floats(0.01, 20),
    epochs=st.integers(1, 20),
    steps_per_epoch=st.integers(1, 50),
)
def test_every_plan_goes_down_to_freeze_depth_by_the_middle(
    unfreeze: Any,
    n_layer: int,
    above: int,
    unfreeze_epochs: float,
    epochs: int,
    steps_per_epoch: int,
) -> None:
    last = max(n_layer - above, 0)
    params = TrialParams(
        unfreeze=unfreeze, freeze_depth=last, unfreeze_epochs=unfreeze_epochs, epochs=epochs
    )
    plan = freeze_depths(params, n_layer, steps_per_epoch)
    firsts, depths = list(plan), list(plan.values())
    assert firsts[0] == 0
    assert firsts == sorted(firsts)
    assert depths == sorted(set(depths), reverse=True)
    assert depths[-1] == last
    assert firsts[-1] <= round(steps_per_epoch * epochs / 2)
    for begin, end in itertools.pairwise(firsts):
        opened = plan[begin] - plan[end] if unfreeze == "gradual" else 1
        assert end - begin <= unfreeze_epochs * steps_per_epoch * opened + 1


def test_hidden_states_are_all_built_before_the_first_step(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, cache=tmp_path / "cache")
    trial = TrialTraining(context, tiny_params(unfreeze="gradual"), seed=0)

    def no_more(depth: int, done: int, texts: int) -> None:
        raise AssertionError("built in the middle of training")

    context.features.on_progress = no_more
    finish(trial)
