"""What an optimiser of PyTorch's kind keeps, as tensors under the names of its weights, and back.

Besides tensors some keep plain numbers, of a weight or of a whole group; these become tensors of no
dimension under slots of their own, those of a group with each of its weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor

Number = bool | int | float

_OF_WEIGHT: Final = "number:"
_OF_GROUP: Final = "group:"
# Set anew by the trial's options, or at each step.
_SETTINGS: Final = {"lr", "rate_scale", "decay", "weight_decay", "matrices"}


def group_numbers(group: Mapping[str, Any]) -> dict[str, Number]:
    """The numbers of a group of weights, settings that are the trial's own left out."""
    return {
        key: value
        for key, value in group.items()
        if isinstance(value, Number) and key not in _SETTINGS
    }


def kept_state(
    rule: torch.optim.Optimizer,
    weights: Mapping[str, Tensor],
    fresh: Sequence[Mapping[str, Number]],
) -> dict[str, Tensor]:
    """All that a rule keeps, `<weight>/<slot>` -> tensor.

    Args:
        rule: What updates the weights.
        weights: By name.
        fresh: The numbers of each of its groups before the first step, which need not be kept.
    """
    names = {id(tensor): name for name, tensor in weights.items()}
    kept: dict[str, Tensor] = {}
    for group, at_first in zip(rule.param_groups, fresh, strict=True):
        numbers = group_numbers(group).items()
        moved = {key: number for key, number in numbers if at_first.get(key) != number}
        for weight in group["params"]:
            name = names[id(weight)]
            for slot, value in rule.state.get(weight, {}).items():
                if isinstance(value, Tensor):
                    kept[f"{name}/{slot}"] = value
                elif isinstance(value, Number):
                    kept[f"{name}/{_OF_WEIGHT}{slot}"] = _as_tensor(value)
            for slot, number in moved.items():
                kept[f"{name}/{_OF_GROUP}{slot}"] = _as_tensor(number)
    return kept


def kept_numbers(state: Mapping[str, Tensor]) -> dict[str, dict[str, Number]]:
    """Of each weight in a state that `kept_state` gave, the numbers that its group kept."""
    numbers: dict[str, dict[str, Number]] = {}
    for key, value in sorted(state.items()):
        name, _, slot = key.rpartition("/")
        of_weight = numbers.setdefault(name, {})
        if slot.startswith(_OF_GROUP):
            of_weight[slot.removeprefix(_OF_GROUP)] = value.item()
    return numbers


def take_over(
    rule: torch.optim.Optimizer, weights: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> None:
    """Give a rule what another one kept of each weight, the numbers of groups left out."""
    for key, value in state.items():
        name, _, slot = key.rpartition("/")
        weight = weights[name]
        if slot.startswith(_OF_WEIGHT):
            rule.state[weight][slot.removeprefix(_OF_WEIGHT)] = value.item()
        elif not slot.startswith(_OF_GROUP):
            rule.state[weight][slot] = value.to(weight.device, copy=True)


def _as_tensor(number: Number) -> Tensor:
    return torch.tensor(number, dtype=torch.float64 if isinstance(number, float) else None)
