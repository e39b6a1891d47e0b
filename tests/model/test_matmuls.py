"""Linear layers give the same in every mode, up to the rounding of their dtype."""

from __future__ import annotations

import pytest
import torch

from hpo.model.matmuls import activated_linear, linear


@pytest.mark.parametrize("activation", [None, "gelu_new", "gelu", "relu"])
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 2e-6), (torch.bfloat16, 0.02)])
def test_what_runs_as_one_kernel_gives_the_same(
    dtype: torch.dtype, rounding: float, activation: str | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(32, 128, generator=generator).to(dtype)
    bias, x = torch.ones(128, dtype=dtype), torch.randn(50, 32, generator=generator)

    def layer() -> torch.Tensor:
        if activation is None:
            return linear(x, matrix, bias)
        return activated_linear(x, matrix, bias, activation)

    with_gradients = layer()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            torch.testing.assert_close(layer(), with_gradients, rtol=rounding, atol=rounding * 10)


def test_evaluations_of_trials_multiply_as_ever() -> None:
    x, matrix, bias = torch.randn(50, 32), torch.randn(32, 128), torch.randn(128)
    with torch.no_grad():
        assert torch.equal(linear(x, matrix, bias), torch.addmm(bias, x, matrix))
