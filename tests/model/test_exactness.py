"""The packed forward pass against GPT2ForSequenceClassification: logits and gradients."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from hpo.data.tokens import TokenizedSplit
from hpo.model.activations import ACTIVATIONS
from hpo.model.dropout import NO_DROPOUT
from hpo.model.family import Trained, trained_names
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.gpt2 import HEAD, POSITION_EMBEDDING, TOKEN_EMBEDDING
from hpo.model.layout import COARSE, FINE, Rounding
from hpo.model.prediction import predict
from hpo.model.pretrained import PretrainedModel
from hpo.tasks.single_label import SINGLE_LABEL
from tests.model.tiny_gpt2 import classifier_over, padded, random_split, reference_for, tiny

POSITIONS = 24
CPU = torch.device("cpu")


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    heads = draw(st.sampled_from([1, 2, 3, 4]))
    width = heads * draw(st.sampled_from([4, 8, 12]))
    return {
        "n_layer": draw(st.integers(1, 4)),
        "n_head": heads,
        "n_embd": width,
        "n_inner": draw(st.sampled_from([None, width, 20])),
        "n_positions": POSITIONS,
        "activation_function": draw(st.sampled_from(sorted(ACTIVATIONS))),
        "scale_attn_by_inverse_layer_idx": draw(st.booleans()),
        "scale_attn_weights": draw(st.booleans()),
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    config=configurations(),
    lengths=st.lists(st.integers(1, POSITIONS), min_size=1, max_size=6),
    share_frozen=st.floats(0, 1),
    classes=st.integers(2, 4),
    seed=st.integers(0, 2**16),
    rounding=st.sampled_from([None, FINE, COARSE]),
)
def test_logits_and_gradients_are_those_of_transformers(
    config: dict[str, Any],
    lengths: list[int],
    share_frozen: float,
    classes: int,
    seed: int,
    rounding: Rounding | None,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = tiny(Path(folder), seed=seed, **config)
    freeze_depth = round(share_frozen * model.architecture.n_layer)
    split = random_split(lengths, classes=classes, seed=seed)
    assert_like_transformers(
        model, split, freeze_depth=freeze_depth, classes=classes, seed=seed, rounding=rounding
    )


def assert_like_transformers(
    model: PretrainedModel,
    split: TokenizedSplit,
    *,
    freeze_depth: int,
    rounding: Rounding | None,
    classes: int = 2,
    seed: int = 0,
    device: torch.device = CPU,
) -> None:
    """Logits and gradients on a device are those of transformers' classifier on the CPU."""
    features = FrozenFeatures(model, cache=None, device=device)
    classifier, inputs = classifier_over(
        model, split, freeze_depth=freeze_depth, classes=classes, features=features, seed=seed
    )
    inputs._rounding = rounding
    reference = reference_for(model, classifier.parameters[HEAD].cpu())
    texts = np.arange(len(split))

    batch = inputs.batch(texts)
    logits = classifier.logits(batch.inputs, batch.layout, NO_DROPOUT)
    functional.cross_entropy(logits, batch.labels).backward()
    ids, mask = padded(split, texts)
    expected = reference(ids, attention_mask=mask).logits
    functional.cross_entropy(expected, batch.labels.cpu()).backward()

    assert_close(logits.cpu(), expected, 1e-5)
    gradients = {name: weight.grad for name, weight in reference.named_parameters()}
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for name in trained_names(model.family, Trained.of(freeze_depth), model.architecture.n_layer):
        gradient, wanted = classifier.parameters[name].grad.cpu(), gradients[name]
        if name == TOKEN_EMBEDDING:
            used = torch.from_numpy(classifier.embedding_rows.token_ids)
            assert not np.delete(wanted.numpy(), used, axis=0).any()
            wanted = wanted[used]
        if name == POSITION_EMBEDDING:
            wanted = wanted[: int(split.lengths.max())]
        # A key bias has no gradient but for rounding: small ones are held against the largest.
        assert_close(gradient, wanted, 1e-4, floor=1e-3 * largest)


def assert_close(
    found: torch.Tensor, expected: torch.Tensor, relative: float, floor: float = 0.0
) -> None:
    difference = (found - expected).detach().abs().max()
    scale = max(float(expected.detach().abs().max()), floor)
    assert float(difference) <= relative * scale


@pytest.mark.parametrize("freeze_depth", [0, 1, 3])
def test_bf16_stays_near_fp32(tmp_path: Path, freeze_depth: int) -> None:
    assert_bf16_near_fp32(tmp_path, freeze_depth, CPU)


def assert_bf16_near_fp32(folder: Path, freeze_depth: int, device: torch.device) -> None:
    """Probabilities in bf16 on a device are near those in fp32 on the CPU."""
    model = tiny(folder, n_layer=3)
    split = random_split([3, 30, 7, 7, 1])
    exact, inputs = classifier_over(model, split, freeze_depth=freeze_depth)
    features = FrozenFeatures(model, cache=None, dtype=torch.bfloat16, device=device)
    rounded, rounded_inputs = classifier_over(
        model, split, freeze_depth=freeze_depth, features=features
    )
    difference = predict(rounded, rounded_inputs, SINGLE_LABEL) - predict(
        exact, inputs, SINGLE_LABEL
    )
    assert np.abs(difference).max() < 0.02


@pytest.mark.parametrize("freeze_depth", [0, 1, 2])
def test_a_text_gives_the_same_alone_and_in_any_batch(tmp_path: Path, freeze_depth: int) -> None:
    model = tiny(tmp_path)
    split = random_split([3, 32, 7, 7, 1])
    classifier, inputs = classifier_over(model, split, freeze_depth=freeze_depth)
    together = predict(classifier, inputs, SINGLE_LABEL)
    for text in range(len(split)):
        batch = inputs.batch(np.array([text]))
        with torch.no_grad():
            logits = classifier.logits(batch.inputs, batch.layout, NO_DROPOUT)
        np.testing.assert_allclose(logits.softmax(-1).numpy()[0], together[text], rtol=1e-5)


def test_a_key_bias_changes_nothing_and_gets_no_gradient_in_the_last_block(tmp_path: Path) -> None:
    model = tiny(tmp_path)
    split = random_split([5, 9])
    classifier, inputs = classifier_over(model, split, freeze_depth=1)
    before = predict(classifier, inputs, SINGLE_LABEL)
    bias = classifier.parameters["transformer.h.1.attn.c_attn.bias"]
    with torch.no_grad():
        bias[32:64] += 3.0
    np.testing.assert_allclose(predict(classifier, inputs, SINGLE_LABEL), before, rtol=1e-5)
