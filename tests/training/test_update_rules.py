"""Every update rule: the library's own arithmetic, one state in a checkpoint, rows that no text uses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_optimizer import Lion, ScheduleFreeAdamW
from torch import Tensor

from hpo.model.family import Trained, trained_names
from hpo.model.gpt2 import GPT2, TOKEN_EMBEDDING
from hpo.spec.registries import OPTIMIZERS
from hpo.spec.training import TrialParams
from hpo.training.optimizer import TrialOptimizer

N_LAYER = 2
ROWS = 6
RATE = 0.02
DECAY = 0.3


def leaves(freeze_depth: int = 0, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    matrices = {TOKEN_EMBEDDING: (ROWS, 4)}
    return {
        name: torch.randn(
            matrices.get(name, (3, 4) if GPT2.is_decayed(name) else (4,)), generator=generator
        ).requires_grad_()
        for name in trained_names(GPT2, Trained.of(freeze_depth), N_LAYER)
    }


def give_gradients(parameters: dict[str, Tensor], step: int) -> None:
    """Random ones; the last row of the token table, which no text uses, has none."""
    generator = torch.Generator().manual_seed(100 + step)
    for name, tensor in parameters.items():
        tensor.grad = torch.randn(tensor.shape, generator=generator)
        if name == TOKEN_EMBEDDING:
            tensor.grad[-1] = 0


def options(optimizer: str, **values: Any) -> TrialParams:
    return TrialParams(
        **{
            "learning_rate": RATE,
            "optimizer": optimizer,
            "weight_decay": DECAY,
            "max_grad_norm": 0.0,
            **values,
        }
    )


def train(rule: TrialOptimizer, parameters: dict[str, Tensor], *steps: int) -> None:
    for step in steps:
        give_gradients(parameters, step)
        rule.clip_gradients()
        rule.step(1 / (1 + step))
        rule.clear_gradients()


def libraries_own(optimizer: str, parameters: dict[str, Tensor]) -> list[torch.optim.Optimizer]:
    """The rule as its library makes it, without groups, weight decay or clipping of ours."""
    weights = list(parameters.values())
    is_matrix = {name: ".h." in name and tensor.ndim == 2 for name, tensor in parameters.items()}
    matrices = [tensor for name, tensor in parameters.items() if is_matrix[name]]
    others = [tensor for name, tensor in parameters.items() if not is_matrix[name]]
    torchs = torch.optim
    made: dict[str, Any] = {
        "adamw": lambda: [torchs.AdamW(weights, weight_decay=0.0)],
        "adam": lambda: [torchs.Adam(weights)],
        "sgd": lambda: [torchs.SGD(weights, momentum=0.9)],
        "adafactor": lambda: [torchs.Adafactor(weights)],
        "lion": lambda: [Lion(weights, foreach=False)],
        "muon": lambda: [
            torchs.Muon(matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
            torchs.AdamW(others, weight_decay=0.0),
        ],
        "schedule_free_adamw": lambda: [ScheduleFreeAdamW(weights, foreach=False)],
    }
    rules: list[torch.optim.Optimizer] = made[optimizer]()
    return rules


@pytest.mark.parametrize("optimizer", OPTIMIZERS.ours)
def test_steps_are_those_of_the_librarys_own_optimizer(optimizer: str) -> None:
    ours, theirs = leaves(), leaves()
    train(
        TrialOptimizer(ours, options(optimizer, weight_decay=0.0), GPT2, N_LAYER), ours, *range(5)
    )
    rules = libraries_own(optimizer, theirs)
    for step in range(5):
        give_gradients(theirs, step)
        for rule in rules:
            for group in rule.param_groups:
                group["lr"] = RATE / (1 + step)
            rule.step()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.ours)
@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_a_row_that_no_text_uses_decays_as_in_a_whole_table(
    optimizer: str, layer_decay: float
) -> None:
    parameters = leaves()
    first = parameters[TOKEN_EMBEDDING][-1].detach().clone()
    params = options(optimizer, layer_decay=layer_decay)
    rule, decay = TrialOptimizer(parameters, params, GPT2, N_LAYER), 1.0
    for step in range(6):
        train(rule, parameters, step)
        decay *= rule.decay_of_unused_rows(1 / (1 + step))
    assert decay < 0.999
    torch.testing.assert_close(parameters[TOKEN_EMBEDDING][-1].detach(), first * decay)
    with rule.evaluation_weights() as more:
        torch.testing.assert_close(parameters[TOKEN_EMBEDDING][-1].detach(), first * decay * more)


@pytest.mark.parametrize("optimizer", OPTIMIZERS.ours)
@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_a_rule_goes_on_bit_for_bit_from_what_was_kept_of_it(
    optimizer: str, layer_decay: float
) -> None:
    params = options(optimizer, layer_decay=layer_decay, max_grad_norm=1.0)
    whole, resumed = leaves(), leaves(seed=1)
    going_on = TrialOptimizer(whole, params, GPT2, N_LAYER)
    assert going_on.state() == {}
    train(going_on, whole, 0, 1, 2)
    again = TrialOptimizer(resumed, params, GPT2, N_LAYER)
    with torch.no_grad():
        for name, tensor in resumed.items():
            tensor.copy_(whole[name])
    again.restore({key: tensor.clone() for key, tensor in going_on.state().items()})
    train(going_on, whole, 3, 4)
    train(again, resumed, 3, 4)
    assert going_on.decay_of_unused_rows(0.2) == again.decay_of_unused_rows(0.2)
    with going_on.evaluation_weights() as first, again.evaluation_weights() as second:
        assert first == second
        assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


@pytest.mark.parametrize("optimizer", OPTIMIZERS.ours)
def test_weights_that_join_later_begin_there_and_the_others_go_on(optimizer: str) -> None:
    params = options(optimizer)
    few = leaves(freeze_depth=1)
    before = TrialOptimizer(few, params, GPT2, N_LAYER)
    train(before, few, 0, 1, 2)
    joined, alone = leaves(), leaves()
    new = {name: tensor for name, tensor in alone.items() if name not in few}
    with torch.no_grad():
        for name, tensor in few.items():
            joined[name].copy_(tensor)
    after = TrialOptimizer(joined, params, GPT2, N_LAYER)
    after.restore(before.state())
    beside = TrialOptimizer(new, params, GPT2, N_LAYER)
    for step in (3, 4):
        give_gradients(joined, step)
        for parameters, rule in ((few, before), (new, beside)):
            for name, tensor in parameters.items():
                gradient = joined[name].grad
                assert gradient is not None
                tensor.grad = gradient.clone()
            rule.step(1 / (1 + step))
        after.step(1 / (1 + step))
    for name, tensor in joined.items():
        assert torch.equal(tensor, (few if name in few else new)[name]), name

    resumed = leaves()
    again = TrialOptimizer(resumed, params, GPT2, N_LAYER)
    with torch.no_grad():
        for name, tensor in resumed.items():
            tensor.copy_(joined[name])
    again.restore({key: tensor.clone() for key, tensor in after.state().items()})
    train(after, joined, 5)
    train(again, resumed, 5)
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in joined.items())


def test_evaluated_weights_are_the_mean_and_leave_training_untouched() -> None:
    parameters = leaves()
    rule = TrialOptimizer(parameters, options("schedule_free_adamw"), GPT2, N_LAYER)
    train(rule, parameters, *range(4))
    trained = {name: tensor.detach().clone() for name, tensor in parameters.items()}
    state = rule.state()
    with rule.evaluation_weights():
        for name, tensor in parameters.items():
            # y = 0.1 z + 0.9 x
            mean = (trained[name] - 0.1 * state[f"{name}/z"]) / 0.9
            torch.testing.assert_close(tensor.detach(), mean)
            assert not torch.equal(tensor, trained[name])
    assert all(torch.equal(tensor, trained[name]) for name, tensor in parameters.items())


@pytest.mark.parametrize(
    ("optimizer", "option", "value"),
    [
        *(
            (name, "beta1", 0.5)
            for name in ("adamw", "adam", "lion", "muon", "schedule_free_adamw")
        ),
        *(
            (name, "beta2", 0.9)
            for name in ("adamw", "adam", "lion", "muon", "schedule_free_adamw")
        ),
        *((name, "epsilon", 0.1) for name in ("adamw", "adam", "adafactor", "muon")),
        ("schedule_free_adamw", "epsilon", 0.1),
        ("sgd", "momentum", 0.5),
        ("sgd", "nesterov", True),
    ],
)
def test_every_option_of_a_rule_makes_a_difference(
    optimizer: str, option: str, value: object
) -> None:
    usual, other = leaves(), leaves()
    train(TrialOptimizer(usual, options(optimizer), GPT2, N_LAYER), usual, 0, 1, 2)
    changed = options(optimizer, **{option: value})
    train(TrialOptimizer(other, changed, GPT2, N_LAYER), other, 0, 1, 2)
    assert any(not torch.equal(tensor, other[name]) for name, tensor in usual.items())


def test_nesterov_without_momentum_is_plain_descent() -> None:
    plain, other = leaves(), leaves()
    for parameters, nesterov in ((plain, False), (other, True)):
        params = options("sgd", momentum=0.0, nesterov=nesterov)
        train(TrialOptimizer(parameters, params, GPT2, N_LAYER), parameters, 0, 1)
    assert all(torch.equal(tensor, other[name]) for name, tensor in plain.items())
