from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from hpo.model.family import Trained, trained_names
from hpo.model.gpt2 import FINAL_NORM, GPT2, HEAD
from hpo.spec.registries import OPTIMIZERS
from hpo.spec.training import TrialParams
from hpo.training.optimizer import TrialOptimizer
from hpo.training.update_rules import SGD

N_LAYER = 2


def leaves(freeze_depth: int = 0, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(3, 4, generator=generator).requires_grad_()
        for name in trained_names(GPT2, Trained.of(freeze_depth), N_LAYER)
    }


def give_gradients(parameters: dict[str, Tensor], step: int, size: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(100 + step)
    for tensor in parameters.values():
        tensor.grad = size * torch.randn(3, 4, generator=generator)


def update(rule: TrialOptimizer, factor: float) -> None:
    """What a training step does once the gradients are there."""
    rule.clip_gradients()
    rule.step(factor)
    rule.clear_gradients()


def decays(name: str) -> bool:
    return name.endswith("weight") and ".ln_" not in name


def reference_step(
    name: str, weight: Tensor, gradient: Tensor, state: dict[str, Any], params: TrialParams
) -> Tensor:
    """One decoupled update in fp64, straight from the papers."""
    block = int(name.split(".")[2]) if ".h." in name else None
    depth = N_LAYER - block if block is not None else 3 if ".wte" in name or ".wpe" in name else 0
    rate = params.learning_rate * params.layer_decay**depth
    if decays(name):
        weight = weight * (1 - rate * params.weight_decay)
    if params.optimizer == "sgd":
        first = "momentum" not in state
        state["momentum"] = gradient if first else params.momentum * state["momentum"] + gradient
        return weight - rate * state["momentum"]
    step = state["step"] = state.get("step", 0) + 1
    state["mean"] = 0.9 * state.get("mean", 0) + 0.1 * gradient
    state["square"] = 0.999 * state.get("square", 0) + 0.001 * gradient**2
    mean, square = state["mean"] / (1 - 0.9**step), state["square"] / (1 - 0.999**step)
    return weight - rate * mean / (square.sqrt() + 1e-8)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
@pytest.mark.parametrize("max_grad_norm", [0.0, 1.0, 1000.0])
def test_updates_are_those_of_the_papers(
    optimizer: Any, layer_decay: float, max_grad_norm: float
) -> None:
    params = TrialParams(
        learning_rate=0.01,
        optimizer=optimizer,
        weight_decay=0.3,
        layer_decay=layer_decay,
        max_grad_norm=max_grad_norm,
    )
    parameters = leaves()
    expected = {name: tensor.detach().double() for name, tensor in parameters.items()}
    states: dict[str, dict[str, Any]] = {name: {} for name in parameters}
    rule = TrialOptimizer(parameters, params, GPT2, N_LAYER)
    for step in range(4):
        give_gradients(parameters, step)
        gradients = {name: tensor.grad.double() for name, tensor in parameters.items()}
        norm = torch.stack([g.square().sum() for g in gradients.values()]).sum().sqrt()
        scale = min(1.0, max_grad_norm / float(norm)) if max_grad_norm else 1.0
        for name, gradient in gradients.items():
            expected[name] = reference_step(
                name, expected[name], scale * gradient, states[name], params
            )
        update(rule, 1.0)
    for name, tensor in parameters.items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-4, atol=1e-6)
        assert tensor.grad is None


def test_a_rule_that_does_not_clip_gets_gradients_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params = TrialParams(learning_rate=0.1, optimizer="sgd", max_grad_norm=0.5)
    by_the_kernel, by_us = leaves(), leaves()
    for parameters in (by_the_kernel, by_us):
        rule = TrialOptimizer(parameters, params, GPT2, N_LAYER)
        for step in range(3):
            give_gradients(parameters, step)
            update(rule, 1.0)
        monkeypatch.setitem(OPTIMIZERS._loaded, "sgd", replace(SGD, clips=False))
    for name, tensor in by_us.items():
        torch.testing.assert_close(tensor, by_the_kernel[name])


def test_every_step_says_how_much_an_unused_embedding_row_decays() -> None:
    params = TrialParams(learning_rate=0.1, weight_decay=0.2, layer_decay=0.5)
    parameters = leaves()
    give_gradients(parameters, 0)
    factor = TrialOptimizer(parameters, params, GPT2, N_LAYER).decay_of_unused_rows(0.5)
    assert factor == pytest.approx(1 - 0.1 * 0.5 * 0.5**3 * 0.2)


def test_layer_decay_gives_the_head_the_full_rate_and_embeddings_the_least() -> None:
    params = TrialParams(
        learning_rate=1.0,
        optimizer="sgd",
        momentum=0.0,
        weight_decay=0.0,
        layer_decay=0.5,
        max_grad_norm=0.0,
    )
    parameters = leaves()
    before = {name: tensor.detach().clone() for name, tensor in parameters.items()}
    for tensor in parameters.values():
        tensor.grad = torch.ones(3, 4)
    update(TrialOptimizer(parameters, params, GPT2, N_LAYER), 1.0)
    rates = {
        name: round(float((before[name] - t.detach()).mean()), 5) for name, t in parameters.items()
    }
    assert rates[HEAD] == rates[FINAL_NORM[0]] == 1
    assert {rates[name] for name in GPT2.block_names(1)} == {0.5}
    assert {rates[name] for name in GPT2.block_names(0)} == {0.25}
    assert rates["transformer.wte.weight"] == rates["transformer.wpe.weight"] == 0.125


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_state_comes_back_whole(optimizer: Any, momentum: float) -> None:
    params = TrialParams(learning_rate=0.01, optimizer=optimizer, momentum=momentum)
    first, second = leaves(), leaves()
    going_on = TrialOptimizer(first, params, GPT2, N_LAYER)
    for step in range(3):
        give_gradients(first, step)
        update(going_on, 0.5)
    resumed = TrialOptimizer(second, params, GPT2, N_LAYER)
    with torch.no_grad():
        for name, tensor in second.items():
            tensor.copy_(first[name])
    resumed.restore(going_on.state())
    for rule, parameters in ((going_on, first), (resumed, second)):
        give_gradients(parameters, 3)
        update(rule, 1.0)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name])


def test_there_is_no_state_before_the_first_step() -> None:
    assert TrialOptimizer(leaves(), TrialParams(), GPT2, N_LAYER).state() == {}


def test_a_leaf_without_gradient_is_left_alone_but_for_its_decay() -> None:
    parameters = leaves()
    before = {name: tensor.detach().clone() for name, tensor in parameters.items()}
    give_gradients(parameters, 0)
    parameters[HEAD].grad = None
    update(TrialOptimizer(parameters, TrialParams(weight_decay=0.0), GPT2, N_LAYER), 1.0)
    assert torch.equal(parameters[HEAD], before[HEAD])
