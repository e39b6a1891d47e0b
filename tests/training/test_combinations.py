"""Techniques together: a trial with any options of any task goes on bit for bit and is saved as it was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.model.saved import load_trained, save_trained
from hpo.spec.registries import OPTIMIZERS, SCHEDULES
from hpo.training.folds import FoldedTraining
from hpo.training.loop import TrialTraining
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import StoredTexts, TrialData
from tests.training.test_folds import run
from tests.training.test_folds import with_stops as folded_with_stops
from tests.training.test_heads import KINDS
from tests.training.tiny_trial import N_LAYER, finish, scores, tiny_data, tiny_params
from tests.training.varied_context import varied_context
from tests.training.with_stops import with_stops

RATES = st.sampled_from([0.0, 0.0, 0.2])
OPTIONS = st.fixed_dictionaries(
    {
        "optimizer": st.sampled_from(list(OPTIMIZERS.ours)),
        "schedule": st.sampled_from(list(SCHEDULES.ours)),
        "freeze_depth": st.integers(0, N_LAYER),
        "unfreeze": st.sampled_from(["none", "two_stage", "gradual"]),
        "unfreeze_epochs": st.sampled_from([0.3, 1.0]),
        "head_learning_rate_factor": st.sampled_from([1.0, 3.0]),
        "layer_decay": st.sampled_from([1.0, 0.8]),
        "dropout": st.sampled_from([0.0, 0.2]),
        "head_dropout": st.sampled_from([0.0, 0.2]),
        "max_grad_norm": st.sampled_from([0.0, 0.1]),
        "plateau_patience": st.just(1),
        "augment": st.fixed_dictionaries(
            {
                "delete": RATES,
                "replace": RATES,
                "insert": RATES,
                "swap": RATES,
                "characters": RATES,
                "variants": st.integers(1, 3),
            }
        ),
    }
)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrialContext]:
    """A context for each kind of labels and losses."""
    folder = tmp_path_factory.mktemp("contexts")
    return {
        name: varied_context(
            folder / name.replace(" ", "-"),
            task=kind.task,
            data=kind.labelled(tiny_data(fingerprint=name)),
            metric=kind.metric,
            cache=folder / "cache",
            early_stopping=4,
        )
        for name, kind in KINDS.items()
    }


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(list(KINDS)),
    options=OPTIONS,
    stops=st.sets(st.integers(1, 17), min_size=1, max_size=3),
)
def test_it_goes_on_bit_for_bit_and_is_saved_as_it_was_measured(
    contexts: dict[str, TrialContext],
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    options: dict[str, Any],
    stops: set[int],
) -> None:
    context, folder = contexts[kind], tmp_path_factory.mktemp("trial")
    params = tiny_params(epochs=3, **{**options, **KINDS[kind].params})
    whole = TrialTraining(context, params, seed=3)
    result, told = finish(whole)
    again, told_again, resumed = with_stops(context, params, stops, folder / "trial.safetensors")
    assert [scores(each) for each in told_again] == [scores(each) for each in told]
    assert (again.value, again.end) == (result.value, result.end)
    for name, weight in whole.classifier.parameters.items():
        assert weight.equal(resumed.classifier.parameters[name]), name
    save_trained(
        folder / "saved", whole.classifier, whole.tuned_task, context.data.label_names, 12, {}
    )
    loaded = load_trained(folder / "saved", lambda _name, _revision: context.model)
    found = loaded.probabilities(context.data.validation, "")
    np.testing.assert_allclose(found, result.probabilities, rtol=1e-5, atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(
    kind=st.sampled_from(list(KINDS)),
    options=OPTIONS,
    stops=st.sets(st.integers(1, 30), min_size=1, max_size=3),
)
def test_over_folds_of_weighted_texts_it_goes_on_bit_for_bit(
    contexts: dict[str, TrialContext],
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    options: dict[str, Any],
    stops: set[int],
) -> None:
    weights = np.linspace(0.5, 1.5, 28, dtype=np.float32)
    parts = np.array_split(np.random.default_rng(0).permutation(42), 3)
    folds = tuple(
        TrialData(
            StoredTexts("train", np.setdiff1d(np.arange(42), part)),
            StoredTexts("train", np.sort(part)),
            weights,
        )
        for part in parts
    )
    context = replace(contexts[kind], folds=folds)
    params = tiny_params(**{**options, **KINDS[kind].params})

    def trial() -> FoldedTraining:
        return FoldedTraining(context, params, seed=3, evaluations_a_fold=8)

    expected, told = run(trial())
    path = tmp_path_factory.mktemp("folded") / "trial.safetensors"
    result, told_again = folded_with_stops(trial, stops, path)
    assert result.fold_values == expected.fold_values
    np.testing.assert_array_equal(result.probabilities, expected.probabilities)
    assert [scores(each) for each in told_again] == [scores(each) for each in told]
