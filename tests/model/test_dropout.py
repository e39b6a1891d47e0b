from __future__ import annotations

import pytest
import torch

from hpo.model.dropout import NO_DROPOUT, Dropout

CPU = torch.device("cpu")


def dropout(probability: float, seed: int = 0) -> Dropout:
    return Dropout(
        embedding=probability, attention=probability, residual=probability, seed=seed, device=CPU
    )


@pytest.mark.parametrize("probability", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_drops_its_share_and_keeps_the_mean(probability: float, dtype: torch.dtype) -> None:
    x = torch.ones(400_000, dtype=dtype)
    dropped = dropout(probability).residual(x).float()
    assert float((dropped == 0).float().mean()) == pytest.approx(probability, abs=0.004)
    assert float(dropped.mean()) == pytest.approx(1, rel=0.02)
    assert set(dropped.tolist()) == {0.0, float(torch.ones((), dtype=dtype) / (1 - probability))}


def test_the_gradient_passes_where_the_value_does() -> None:
    x = torch.randn(5, 37, 11, requires_grad=True)
    dropped = dropout(0.3).embeddings(x)
    dropped.sum().backward()
    kept = dropped != 0
    torch.testing.assert_close(x.grad, kept / 0.7)
    torch.testing.assert_close(dropped[kept], x[kept] / 0.7)


def test_masks_are_new_at_every_call_and_those_of_the_seed() -> None:
    x = torch.ones(1000)
    first, again, other = dropout(0.5), dropout(0.5), dropout(0.5, seed=1)
    one = first.residual(x)
    assert torch.equal(one, again.residual(x))
    assert not torch.equal(one, other.residual(x))
    assert not torch.equal(one, first.residual(x))


@pytest.mark.parametrize("size", [1, 3, 4, 1001])
def test_its_state_comes_back(size: int) -> None:
    first = dropout(0.5)
    first.attention(torch.ones(size))
    state = first.state()
    expected = [first.residual(torch.ones(size)) for _ in range(3)]
    second = dropout(0.5, seed=9)
    second.restore(state)
    for tensor in expected:
        assert torch.equal(second.residual(torch.ones(size)), tensor)


def test_neighbouring_masks_are_independent() -> None:
    x = torch.ones(200_000)
    source = dropout(0.5)
    one, two = source.residual(x) == 0, source.residual(x) == 0
    assert float((one & two).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float((one[1:] & one[:-1]).float().mean()) == pytest.approx(0.25, abs=0.01)


def test_without_dropout_nothing_is_done() -> None:
    x = torch.randn(4)
    assert NO_DROPOUT.residual(x) is x
    assert not NO_DROPOUT.drops_attention
