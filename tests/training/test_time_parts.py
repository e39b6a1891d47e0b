"""On what a training's seconds went: evaluations and waiting by the clock, and what the cache spared."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from hpo.spec.training import TrialParams
from hpo.training.checkpoint import CheckpointFile
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.result import Evaluation, TimeParts, Verdict
from hpo.training.time_parts import spared_passes
from tests.training.tiny_trial import N_LAYER, finish, tiny_context, tiny_params


def test_evaluations_and_those_who_are_told_of_them_are_parts_of_all_attempts_seconds(
    tmp_path: Path,
) -> None:
    """By a clock that goes on a second whenever it is asked: each evaluation, and each telling, is one."""
    context = tiny_context(tmp_path)
    now = itertools.count()
    file = CheckpointFile(tmp_path / "a.safetensors", "always")

    def training() -> TrialTraining:
        return TrialTraining(context, tiny_params(), seed=0, clock=lambda: float(next(now)))

    first = training()
    with pytest.raises(TrialInterrupted):
        finish(first, checkpoint=file, should_stop=lambda: first.progress.step == 7)
    second = training()
    assert second.resume(file)
    result, _ = finish(second)
    assert result.parts == TimeParts(result.evaluations, result.evaluations, 0)
    assert result.parts.evaluation + result.parts.waiting < result.seconds


@pytest.mark.parametrize(
    "options",
    [
        {"freeze_depth": 1},
        {"freeze_depth": N_LAYER},
        {"freeze_depth": 0, "unfreeze": "gradual", "epochs": 4},
    ],
)
def test_the_cache_spares_the_frozen_blocks_of_every_text_that_is_read(
    options: dict[str, object], tmp_path: Path
) -> None:
    params: TrialParams = tiny_params(**options)
    kept = TrialTraining(tiny_context(tmp_path, cache=tmp_path / "cache"), params, seed=0)
    result, evaluations = finish(kept)
    assert result.parts.cache_saved > 0
    spared = spared_passes(kept.stages, evaluations)
    train, validation = (kept.context.data.train, kept.context.data.validation)
    a_reading = len(train.tokens) * params.epochs + len(validation.tokens) * len(evaluations)
    if params.unfreeze == "none":
        assert spared == pytest.approx(a_reading * params.freeze_depth)
    else:
        assert 0 < spared < a_reading * N_LAYER
    without, _ = finish(TrialTraining(tiny_context(tmp_path), params, seed=0))
    assert without.parts.cache_saved == 0


def test_what_was_read_up_to_the_end_counts_where_a_trial_is_pruned(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, cache=tmp_path / "cache")
    training = TrialTraining(context, tiny_params(freeze_depth=1), seed=0)

    def prune(_evaluation: Evaluation) -> Verdict:
        return Verdict.PRUNE

    pruned = training.run(prune)
    whole, _ = finish(TrialTraining(context, tiny_params(freeze_depth=1), seed=0))
    assert 0 < pruned.parts.cache_saved < whole.parts.cache_saved
    assert TimeParts.of_attributes(pruned.parts.as_attributes()).waiting == pytest.approx(
        pruned.parts.waiting, abs=1e-3
    )
    assert TimeParts.of_attributes({}) == TimeParts()
