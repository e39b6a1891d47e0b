"""A checkpoint is gone on from by its own trial and no other, whichever release wrote it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.spec.training import TrialParams
from hpo.training.checkpoint import Checkpoint, CheckpointFile
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.trial_context import TrialContext
from tests.training.tiny_trial import finish, scores, tiny_context, tiny_params

SET = {"learning_rate", "batch_size", "epochs"}  # by tiny_params


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> TrialContext:
    return tiny_context(tmp_path_factory.mktemp("identity"), dropout=0.2)


def checkpoint_of(context: TrialContext, path: Path) -> tuple[CheckpointFile, Checkpoint]:
    file = CheckpointFile(path, "auto")
    trial = TrialTraining(context, tiny_params(), seed=0)
    with pytest.raises(TrialInterrupted):
        finish(trial, checkpoint=file, should_stop=lambda: trial.progress.step == 3)
    saved = file.read()
    assert saved is not None
    return file, saved


def rewritten(
    file: CheckpointFile, saved: Checkpoint, params: dict[str, Any], drop: str | None = None
) -> CheckpointFile:
    identity = {**saved.facts["trial"], "params": params}
    identity.pop(drop, None)
    facts = {**saved.facts, "trial": identity}
    file.write(replace(saved, facts=facts), clock=lambda: 0.0)
    return file


@pytest.mark.parametrize("option", sorted(set(TrialParams.model_fields) - SET))
def test_an_option_that_a_checkpoint_does_not_know_was_at_its_default(
    context: TrialContext, tmp_path: Path, option: str
) -> None:
    file, saved = checkpoint_of(context, tmp_path / "trial.safetensors")
    known = {k: v for k, v in saved.facts["trial"]["params"].items() if k != option}
    assert TrialTraining(context, tiny_params(), seed=0).resume(rewritten(file, saved, known))


def test_a_checkpoint_of_the_first_release_ends_bit_for_bit_the_same(
    context: TrialContext, tmp_path: Path
) -> None:
    _, told = finish(TrialTraining(context, tiny_params(), seed=0))
    file, saved = checkpoint_of(context, tmp_path / "trial.safetensors")
    known = {k: v for k, v in saved.facts["trial"]["params"].items() if k in SET}
    trial = TrialTraining(context, tiny_params(), seed=0)
    assert trial.resume(rewritten(file, saved, known, drop="task"))
    finish(trial)
    assert [scores(e) for e in trial.history] == [scores(e) for e in told]


@pytest.mark.parametrize(
    "found", [{"layer_decay": 0.5}, {"of_a_later_release": 1}, {"epochs": "x"}]
)
def test_other_options_are_those_of_another_trial(
    context: TrialContext, tmp_path: Path, found: dict[str, Any]
) -> None:
    file, saved = checkpoint_of(context, tmp_path / "trial.safetensors")
    params = {**saved.facts["trial"]["params"], **found}
    assert not TrialTraining(context, tiny_params(), seed=0).resume(rewritten(file, saved, params))


def test_a_trial_whose_option_is_not_the_default_is_not_one_without_it(
    context: TrialContext, tmp_path: Path
) -> None:
    file, saved = checkpoint_of(context, tmp_path / "trial.safetensors")
    known = {k: v for k, v in saved.facts["trial"]["params"].items() if k != "layer_decay"}
    other = TrialTraining(context, tiny_params(layer_decay=0.5), seed=0)
    assert not other.resume(rewritten(file, saved, known))
