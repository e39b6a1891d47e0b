"""A trial over folds is a training for each of them, whose scores are averaged, whatever stops it on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.training.checkpoint import CheckpointFile
from hpo.training.folds import FoldedTraining
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.micro_batches import MicroBatches
from hpo.training.refit import refit
from hpo.training.result import Evaluation, TrialResult, Verdict
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import StoredTexts, TrialData
from tests.training.test_heads import KINDS
from tests.training.tiny_trial import N_LAYER, finish, scores, tiny_context, tiny_data, tiny_params

TEXTS = 45
MOST = 8  # evaluations a fold, of two epochs


def folds_of(count: int) -> tuple[TrialData, ...]:
    parts = np.array_split(np.random.default_rng(0).permutation(TEXTS), count)
    return tuple(
        TrialData(
            StoredTexts("train", np.setdiff1d(np.arange(TEXTS), part)),
            StoredTexts("train", np.sort(part)),
        )
        for part in parts
    )


def folded_context(folder: Path, folds: int, **values: Any) -> TrialContext:
    context = tiny_context(folder, data=tiny_data(train=TEXTS), dropout=0.2, **values)
    return replace(context, folds=folds_of(folds))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    folder = tmp_path_factory.mktemp("folds")
    return folded_context(folder, 3, cache=folder / "cache", early_stopping=2)


def folded(context: TrialContext, scored_at: Sequence[int] = (), **params: Any) -> FoldedTraining:
    return FoldedTraining(
        context, tiny_params(**params), seed=3, evaluations_a_fold=MOST, scored_at=scored_at
    )


def run(
    trial: FoldedTraining, prune_at: int | None = None, **options: Any
) -> tuple[TrialResult, list[Evaluation]]:
    """Run to the end; prune_at: the index of the reported evaluation at which it is given up."""
    told: list[Evaluation] = []

    def hear(evaluation: Evaluation) -> Verdict:
        told.append(evaluation)
        pruned = evaluation.is_reported and evaluation.index == prune_at
        return Verdict.PRUNE if pruned else Verdict.GO_ON

    return trial.run(hear, **options), told


@pytest.mark.parametrize("freeze_depth", range(N_LAYER + 1))
def test_two_folds_are_two_trainings_on_the_halves(tmp_path: Path, freeze_depth: int) -> None:
    context = folded_context(tmp_path, 2)
    result, told = run(folded(context, freeze_depth=freeze_depth))
    alone = [
        finish(TrialTraining(context, tiny_params(freeze_depth=freeze_depth), seed=3, texts=texts))
        for texts in context.folds
    ]
    values = [each.value for each, _ in alone]
    assert result.fold_values == tuple(values)
    assert result.value == np.mean(values)
    for fold, (_, evaluations) in enumerate(alone, start=1):
        within = [each for each in told if each.fold == fold]
        assert [scores(each) for each in within] == [scores(each) for each in evaluations]
    for texts, (each, _) in zip(context.folds, alone, strict=True):
        assert texts.validation.indices is not None
        np.testing.assert_array_equal(
            result.probabilities[texts.validation.indices], each.probabilities
        )
    assert result.confusion.sum() == TEXTS
    assert result.best.epoch == np.mean([each.best.epoch for each, _ in alone])


def test_after_each_fold_the_mean_and_the_spread_so_far_are_told(context: TrialContext) -> None:
    result, told = run(folded(context))
    after = [each for each in told if each.fold is None]
    assert [each.index for each in after] == [MOST, 2 * MOST, 3 * MOST]
    for folds, evaluation in enumerate(after, start=1):
        values = result.fold_values[:folds]
        assert evaluation.metrics["val/log_loss"] == pytest.approx(np.mean(values), rel=1e-12)
        spread = evaluation.metrics.get("val/log_loss_std")
        assert spread == (None if folds == 1 else pytest.approx(np.std(values, ddof=1)))
    assert after[-1].metrics["val/log_loss"] == result.value
    assert {each.fold for each in told if each.is_reported} == {1, None}
    steps = [each.step for each in told]
    assert steps == sorted(steps)
    assert steps[-1] == folded(context).steps
    seen = [each.examples_seen for each in told]
    assert seen == sorted(seen)
    assert seen[-1] == result.examples_seen


def test_each_fold_is_scored_where_it_was_chosen_beforehand(context: TrialContext) -> None:
    best, _ = run(folded(context))
    again, _ = run(folded(context, best.fold_evaluations))
    assert again.fold_values == best.fold_values
    chosen = (2, 1, 3)
    result, told = run(folded(context, chosen))
    assert result.fold_evaluations == chosen != best.fold_evaluations
    by_place = {(each.fold, each.index): each.metrics["val/log_loss"] for each in told}
    assert result.fold_values == tuple(by_place[fold, at] for fold, at in enumerate(chosen, 1))


@pytest.mark.parametrize(("at", "folds"), [(3, 1), (MOST, 1), (2 * MOST, 2)])
def test_a_bad_trial_ends_in_its_first_fold_or_after_a_fold(
    context: TrialContext, at: int, folds: int
) -> None:
    whole, _ = run(folded(context))
    result, told = run(folded(context), prune_at=at)
    assert result.end == "pruned"
    assert len(result.fold_values) == folds
    assert told[-1].index == at
    if at >= MOST:
        assert result.fold_values == whole.fold_values[:folds]
        assert result.value == told[-1].metrics["val/log_loss"]


def with_stops(
    make: Callable[[], FoldedTraining], stops: set[int], path: Path
) -> tuple[TrialResult, list[Evaluation]]:
    """Run a trial that is asked to stop after each of these many steps in all attempts together."""
    steps = 0
    while True:
        trial, file = make(), CheckpointFile(path, "auto")
        trial.resume(file)
        earlier = list(trial.history)

        def should_stop() -> bool:
            nonlocal steps
            steps += 1
            return steps in stops

        try:
            result, more = run(trial, checkpoint=file, should_stop=should_stop)
        except TrialInterrupted:
            continue
        return result, [*earlier, *more]


@settings(max_examples=8, deadline=None)
@given(stops=st.sets(st.integers(1, 24), min_size=1, max_size=4))
def test_stopped_within_any_fold_it_ends_bit_for_bit_the_same(
    context: TrialContext, tmp_path_factory: pytest.TempPathFactory, stops: set[int]
) -> None:
    expected, told = run(folded(context))
    path = tmp_path_factory.mktemp("trial") / "trial.safetensors"
    result, told_again = with_stops(lambda: folded(context), stops, path)
    assert result.fold_values == expected.fold_values
    assert result.value == expected.value
    assert result.end == expected.end
    np.testing.assert_array_equal(result.probabilities, expected.probabilities)
    assert [scores(each) for each in told_again] == [scores(each) for each in told]
    assert [replace(each, metrics={}) for each in told_again] == [
        replace(each, metrics={}) for each in told
    ]


def test_a_checkpoint_of_other_folds_is_not_resumed(context: TrialContext, tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    with pytest.raises(TrialInterrupted):
        run(folded(context), checkpoint=file, should_stop=lambda: True)
    other = replace(context, folds=folds_of(4))
    assert not folded(other).resume(file)
    assert not folded(context, learning_rate=1e-4).resume(file)
    assert folded(context).resume(file)


def test_the_folds_share_the_frozen_features(tmp_path: Path) -> None:
    context = folded_context(tmp_path, 3, cache=tmp_path / "cache")
    run(folded(context, freeze_depth=1, epochs=1))
    built = list((tmp_path / "cache").glob("*/*.bin"))
    assert len(built) == 1


def test_a_refit_is_the_same_course_on_all_texts_up_to_the_found_epoch(
    context: TrialContext,
) -> None:
    everything = StoredTexts("train")
    texts = TrialData(everything, everything)
    whole = TrialTraining(context, tiny_params(), seed=3, texts=texts)
    weights = {}

    def note(evaluation: Evaluation) -> Verdict:
        weights[evaluation.epoch] = whole.classifier.snapshot()
        return Verdict.GO_ON

    whole.run(note)
    assert len(weights) > 3
    for epoch, expected in weights.items():
        shares: list[float] = []
        again = refit(
            context,
            tiny_params(),
            seed=3,
            epochs=epoch,
            micro_batches=MicroBatches(),
            on_step=shares.append,
        )
        assert again.progress.step == round(epoch * again.steps_per_epoch)
        assert shares[-1] == 1
        for name, weight in expected.items():
            assert torch.equal(again.classifier.parameters[name], weight), name


def test_a_refit_can_be_stopped(context: TrialContext) -> None:
    with pytest.raises(TrialInterrupted):
        refit(
            context,
            tiny_params(),
            seed=3,
            epochs=1.0,
            micro_batches=MicroBatches(),
            should_stop=lambda: True,
        )


@pytest.mark.parametrize(
    ("kind", "metric", "tuned"),
    [("labels", "f1_macro", {"thresholds"}), ("numbers", "rmse", set()), ("sigmoid", "mcc", set())],
)
def test_folds_serve_every_task(tmp_path: Path, kind: str, metric: str, tuned: set[str]) -> None:
    of = KINDS[kind]
    data = of.labelled(tiny_data(train=TEXTS))
    context = tiny_context(tmp_path, data=data, task=of.task, metric=metric)
    trial = FoldedTraining(
        replace(context, folds=folds_of(3)),
        tiny_params(epochs=1, **of.params),
        seed=0,
        evaluations_a_fold=4,
    )
    result, _ = run(trial)
    assert result.value == pytest.approx(np.mean(result.fold_values))
    assert len(result.probabilities) == TEXTS
    assert set(trial.tuned_facts) == tuned
