"""The tanh form of GELU against PyTorch's, in double precision."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from transformers.activations import ACT2FN

from hpo.model.activations import ACTIVATIONS, gelu_tanh


def test_values_and_slopes_are_those_of_the_tanh_form() -> None:
    x = torch.cat([torch.linspace(-12, 12, 100_001), torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4])])
    exact = x.double().requires_grad_()
    expected = functional.gelu(exact, approximate="tanh")
    expected.sum().backward()
    x.requires_grad_()
    got = gelu_tanh(x)
    got.sum().backward()
    torch.testing.assert_close(got.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=1e-6, atol=4e-6)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_a_name_means_what_it_means_to_transformers(name: str) -> None:
    x = torch.linspace(-8, 8, 1001, requires_grad=True)
    ours, theirs = ACTIVATIONS[name](x), ACT2FN[name](x)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-6)
    [slope], [expected] = (torch.autograd.grad(y.sum(), x) for y in (ours, theirs))
    torch.testing.assert_close(slope, expected, rtol=1e-4, atol=5e-6)


def test_without_gradients_the_values_are_the_same_and_the_input_stays() -> None:
    x = torch.linspace(-8, 8, 1001, requires_grad=True)
    before = x.detach().clone()
    with torch.no_grad():
        without = gelu_tanh(x)
    assert torch.equal(gelu_tanh(x), without)
    assert torch.equal(x, before)


def test_a_gradient_may_be_wanted_twice() -> None:
    """Nothing that is kept for going back is changed by it."""
    x = torch.linspace(-3, 3, 101, requires_grad=True)
    total = gelu_tanh(x).sum()
    [first] = torch.autograd.grad(total, x, retain_graph=True)
    [second] = torch.autograd.grad(total, x)
    assert torch.equal(first, second)
