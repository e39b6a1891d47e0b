"""A GPU gives what a CPU gives, gives it again bit for bit, and goes on when its memory runs out."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from hpo.model.dropout import Dropout
from hpo.model.family import Trained
from hpo.model.layout import COARSE, Rounding
from hpo.training.checkpoint import CheckpointFile
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.trial_context import TrialContext
from hpo.training.trial_data import StoredTexts
from tests.model.test_exactness import assert_bf16_near_fp32, assert_like_transformers
from tests.model.tiny_gpt2 import random_split, tiny
from tests.training.test_heads import KINDS, Kind
from tests.training.test_loop import assert_same_course
from tests.training.tiny_trial import (
    N_LAYER,
    finish,
    labelled_split,
    scores,
    tiny_context,
    tiny_data,
    tiny_params,
)
from tests.training.with_stops import with_stops

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

GPU = torch.device("cuda")
DTYPES = [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("rounding", [None, COARSE], ids=["exact", "rounded"])
@pytest.mark.parametrize("freeze_depth", [0, 1, 2, 3])
def test_logits_and_gradients_are_those_of_transformers(
    tmp_path: Path, freeze_depth: int, rounding: Rounding | None
) -> None:
    split = random_split([3, 30, 7, 7, 1, 32, 12])
    model = tiny(tmp_path, n_layer=3)
    assert_like_transformers(model, split, freeze_depth=freeze_depth, rounding=rounding, device=GPU)


@pytest.mark.parametrize("freeze_depth", [0, 1, 3])
def test_bf16_stays_near_fp32(tmp_path: Path, freeze_depth: int) -> None:
    assert_bf16_near_fp32(tmp_path, freeze_depth, GPU)


@pytest.mark.parametrize("freeze_depth", range(N_LAYER + 1))
@pytest.mark.parametrize("cached", [True, False])
def test_a_trial_takes_the_course_that_it_takes_on_a_cpu(
    tmp_path: Path, freeze_depth: int, cached: bool
) -> None:
    on_cpu = tiny_context(tmp_path / "model")
    cache = tmp_path / "cache" if cached else None
    on_gpu = tiny_context(tmp_path, model=on_cpu.model, cache=cache, device=GPU)
    params = tiny_params(freeze_depth=freeze_depth)
    _, expected = finish(TrialTraining(on_cpu, params, seed=0))
    _, found = finish(TrialTraining(on_gpu, params, seed=0))
    assert_same_course(found, expected)


@pytest.fixture(params=DTYPES, ids=["fp32", "bf16"])
def context(request: pytest.FixtureRequest, tmp_path: Path) -> TrialContext:
    """Long and short texts, and dropout."""
    data = replace(tiny_data(), train=labelled_split(120, seed=1, longest=200))
    model = tiny(
        tmp_path,
        n_layer=N_LAYER,
        n_embd=128,
        n_head=2,
        n_positions=200,
        attn_pdrop=0.2,
        resid_pdrop=0.2,
        embd_pdrop=0.2,
    )
    return tiny_context(
        tmp_path,
        model=model,
        data=data,
        cache=tmp_path / "cache",
        dtype=request.param,
        device=GPU,
        early_stopping=5,
    )


@pytest.mark.parametrize("freeze_depth", range(N_LAYER + 1))
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_recorded_passes_give_the_same_numbers_bit_for_bit(
    context: TrialContext, freeze_depth: int, optimizer: str
) -> None:
    params = tiny_params(freeze_depth=freeze_depth, optimizer=optimizer, epochs=3)

    def course(*, records: bool) -> tuple[np.ndarray, list[dict[str, float]], int]:
        trial = TrialTraining(context, params, seed=3)
        trial.training_pass._records = records
        result, told = finish(trial)
        return result.probabilities, [scores(e) for e in told], len(trial.training_pass._recordings)

    recorded, again, plain = (course(records=records) for records in (True, True, False))
    assert plain[2] == 0 < recorded[2]
    for probabilities, told, _ in (recorded, again):
        np.testing.assert_array_equal(probabilities, plain[0])
        assert told == plain[1]


@pytest.mark.parametrize("freeze_depth", [0, N_LAYER])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_recorded_passes_of_every_head_and_loss_give_the_same_numbers_bit_for_bit(
    context: TrialContext, kind: Kind, freeze_depth: int
) -> None:
    params = tiny_params(freeze_depth=freeze_depth, **kind.params)
    data = kind.labelled(context.data)
    context = replace(context, task=kind.task, metric=kind.metric, data=data)

    def course(*, records: bool) -> tuple[np.ndarray, list[float]]:
        trial = TrialTraining(context, params, seed=3)
        trial.training_pass._records = records
        result, told = finish(trial)
        assert bool(trial.training_pass._recordings) == records
        return result.probabilities, [e.metrics["train/loss"] for e in told]

    (found, losses), (expected, expected_losses) = course(records=True), course(records=False)
    np.testing.assert_array_equal(found, expected)
    assert losses == expected_losses


@pytest.mark.parametrize("freeze_depth", range(N_LAYER + 1))
def test_resumed_is_never_stopped_bit_for_bit(
    context: TrialContext, tmp_path: Path, freeze_depth: int
) -> None:
    params = tiny_params(freeze_depth=freeze_depth, layer_decay=0.9)
    whole = TrialTraining(context, params, seed=3)
    result, told = finish(whole)
    again, told_again, resumed = with_stops(context, params, {2, 9, 17}, tmp_path / "t.safetensors")
    assert [scores(e) for e in told_again] == [scores(e) for e in told]
    np.testing.assert_array_equal(again.probabilities, result.probabilities)
    for name, weight in whole.classifier.parameters.items():
        assert torch.equal(resumed.classifier.parameters[name], weight), name


@pytest.mark.parametrize("unfreeze", ["two_stage", "gradual"])
def test_each_stage_records_its_own_passes_and_is_resumed_bit_for_bit(
    context: TrialContext, tmp_path: Path, unfreeze: str
) -> None:
    params = tiny_params(unfreeze=unfreeze, epochs=4)
    whole = TrialTraining(context, params, seed=3)
    first = whole.training_pass
    result, told = finish(whole)
    assert whole.training_pass is not first
    stops = {2, 15, 16, 30, 31, 45}  # 15 steps an epoch, and a stage lasts one
    again, told_again, _ = with_stops(context, params, stops, tmp_path / "t.safetensors")
    assert [scores(e) for e in told_again] == [scores(e) for e in told]
    np.testing.assert_array_equal(again.probabilities, result.probabilities)


@pytest.mark.parametrize("unfreeze", ["two_stage", "gradual"])
def test_an_unfreezing_trial_takes_the_course_that_it_takes_on_a_cpu(
    tmp_path: Path, unfreeze: str
) -> None:
    on_cpu = tiny_context(tmp_path / "model")
    on_gpu = tiny_context(tmp_path, model=on_cpu.model, cache=tmp_path / "cache", device=GPU)
    params = tiny_params(unfreeze=unfreeze, epochs=4)
    _, expected = finish(TrialTraining(on_cpu, params, seed=0))
    _, found = finish(TrialTraining(on_gpu, params, seed=0))
    assert_same_course(found, expected)


def test_dropout_goes_on_from_its_state() -> None:
    dropout = Dropout(embedding=0.5, attention=0, residual=0, seed=1, device=GPU)
    x = torch.ones(1000, device=GPU)
    state = dropout.state()
    first, second = dropout.embeddings(x), dropout.embeddings(x)
    dropout.restore(state)
    assert torch.equal(dropout.embeddings(x), first)
    assert not torch.equal(first, second)


def test_memory_that_runs_out_halves_the_batch_and_changes_no_metric(tmp_path: Path) -> None:
    data = replace(tiny_data(), train=labelled_split(256, seed=1, longest=200))
    model = tiny(tmp_path / "model", n_embd=128, n_head=2, n_positions=200)
    context = tiny_context(tmp_path, model=model, data=data, device=GPU)
    params = tiny_params(batch_size=256, epochs=4)
    _, expected = finish(TrialTraining(context, params, seed=0))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    finish(TrialTraining(context, params, seed=0))
    peak = torch.cuda.max_memory_allocated() - held
    torch.cuda.empty_cache()
    total = torch.cuda.mem_get_info()[1]
    cramped = TrialTraining(context, params, seed=0)
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 0.3 * peak) / total)
    try:
        _, found = finish(cramped)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert cramped.micro_batches.size is not None
    assert_same_course(found, expected)


def test_hidden_states_are_kept_on_the_gpu_up_to_its_share(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, cache=tmp_path / "cache", device=GPU)
    states = context.inputs(StoredTexts("train"), Trained.of(1), None)._states
    assert states is not None
    assert states.stored is not None
    assert states.stored.is_cuda
    again = tiny_context(tmp_path, model=context.model, cache=tmp_path / "cache", device=GPU)
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        mapped = again.inputs(StoredTexts("train"), Trained.of(1), None)._states
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert mapped is not None
    assert mapped.stored is not None
    assert not mapped.stored.is_cuda
    texts = np.array([3, 1])
    assert torch.equal(
        context.inputs(StoredTexts("train"), Trained.of(1), None).batch(texts).inputs,
        again.inputs(StoredTexts("train"), Trained.of(1), None).batch(texts).inputs,
    )


def test_a_pass_that_cannot_be_recorded_runs_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    context = tiny_context(tmp_path, device=GPU, dropout=0.2)
    _, expected = finish(TrialTraining(context, tiny_params(), seed=0))
    whole = functional.cross_entropy

    def reads_back(logits: torch.Tensor, *rest: object, **options: object) -> torch.Tensor:
        loss = whole(logits, *rest, **options)
        assert float(loss) >= 0  # no graph can hold this
        return loss

    monkeypatch.setattr(functional, "cross_entropy", reads_back)
    with caplog.at_level(logging.WARNING):
        _, found = finish(TrialTraining(context, tiny_params(), seed=0))
    assert "without CUDA graphs" in caplog.text
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert [scores(e) for e in found] == [scores(e) for e in expected]


def test_a_checkpoint_of_a_gpu_is_read_by_a_gpu(tmp_path: Path) -> None:
    context = tiny_context(tmp_path, device=GPU)
    trial = TrialTraining(context, tiny_params(), seed=0)
    file = CheckpointFile(tmp_path / "t.safetensors", "always")
    with pytest.raises(TrialInterrupted):
        finish(trial, checkpoint=file, should_stop=lambda: trial.progress.step == 5)
    other = TrialTraining(context, tiny_params(), seed=0)
    assert other.resume(file)
    assert other.progress.step == 5
    for name, weight in trial.classifier.parameters.items():
        assert other.classifier.parameters[name].is_cuda
        assert torch.equal(other.classifier.parameters[name], weight)
