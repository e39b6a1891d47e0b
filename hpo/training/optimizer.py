"""The update rule of a trial: groups of weights by depth, decoupled weight decay, clipping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from hpo.model.family import ModelFamily
from hpo.spec.registries import OPTIMIZERS
from hpo.spec.training import TrialParams

Groups = list[dict[str, Any]]  # as torch.optim takes them


@dataclass(frozen=True)
class UpdateRule:
    """An optimiser of PyTorch's kind.

    Attributes:
        make: Makes it from groups of weights, each with its `weight_decay`, and the trial's options.
            Its step is to read each group's `lr`.
        slots: Tensors of the weight's shape that it keeps for each weight.
        decays: Whether its own weight decay is decoupled, so that ours is left to it.
        clips: Whether its step divides the gradients by its `grad_scale`, as PyTorch's fused kernels do.
    """

    make: Callable[[Groups, TrialParams], torch.optim.Optimizer]
    slots: int
    decays: bool = False
    clips: bool = False


def _adamw(groups: Groups, params: TrialParams) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, fused=True)


def _sgd(groups: Groups, params: TrialParams) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=params.learning_rate, momentum=params.momentum, fused=True)


# Loshchilov and Hutter, 2019
ADAMW: Final = UpdateRule(_adamw, slots=2, decays=True, clips=True)
SGD: Final = UpdateRule(_sgd, slots=1, clips=True)


class TrialOptimizer:
    """An update rule over the trial's weights, with decoupled weight decay.

    The rule is the one that the trial's options name.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        params: TrialParams,
        family: ModelFamily,
        n_layer: int,
    ) -> None:
        """Group the weights by learning rate and decay.

        Args:
            parameters: The weights that are trained, by their names in the checkpoint.
            params: The trial's options.
            family: Tells how deep a weight lies, and whether it is decayed.
            n_layer: Blocks of the whole model.

        Raises:
            KeyError: There is no such optimiser.
        """
        self.parameters = parameters
        self._params = params
        self._kind: UpdateRule = OPTIMIZERS[params.optimizer]
        groups: dict[tuple[float, bool], list[Tensor]] = {}
        for name, tensor in parameters.items():
            scale = params.layer_decay ** family.depth_of(name, n_layer)
            groups.setdefault((scale, family.is_decayed(name)), []).append(tensor)
        as_torch_takes_them = [
            {
                "params": tensors,
                "rate_scale": scale,
                "decay": params.weight_decay if decayed else 0.0,
                "weight_decay": params.weight_decay if decayed and self._kind.decays else 0.0,
            }
            for (scale, decayed), tensors in groups.items()
        ]
        self._rule = self._kind.make(as_torch_takes_them, params)
        embedding_depth = family.depth_of(family.token_embedding, n_layer)
        self._embedding_scale = params.layer_decay**embedding_depth
        self._keeps_gradients = any(tensor.is_cuda for tensor in parameters.values())
        if self._keeps_gradients:
            for tensor in parameters.values():
                tensor.grad = torch.zeros_like(tensor)

    @property
    def slots(self) -> int:
        """Numbers that the rule keeps for each weight."""
        return self._kind.slots

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss to what is there; on a GPU in place, as recorded passes need it."""
        if not self._keeps_gradients:
            loss.backward()  # type: ignore[no-untyped-call]
            return
        weights = list(self.parameters.values())
        sums = [weight.grad for weight in weights if weight.grad is not None]
        # By one kernel, where backward() would add them one by one.
        torch._foreach_add_(sums, list(torch.autograd.grad(loss, weights)))

    @torch.no_grad()
    def clip_gradients(self) -> None:
        """Have the update divide the gradients by what their norm exceeds `max_grad_norm` by.

        The fused kernels do it as they read the gradients; a pass of its own, which other rules
        need, costs as much as reading all weights once more.
        """
        most = self._params.max_grad_norm
        if most == 0:
            return
        gradients = [t.grad for t in self.parameters.values() if t.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        excess = (norm / most).clamp_(min=1.0)
        exceeds = excess.device.type != "cpu" or float(excess) != 1.0
        if self._kind.clips:
            self._rule.grad_scale = excess if exceeds else None
        elif exceeds:
            torch._foreach_div_(gradients, excess)

    def step(self, factor: float) -> None:
        """Update the weights with `factor` of the peak learning rate."""
        rate = self._params.learning_rate * factor
        for group in self._rule.param_groups:
            group["lr"] = rate * group["rate_scale"]
            if group["decay"] and not self._kind.decays:
                with torch.no_grad():
                    torch._foreach_mul_(group["params"], 1 - group["lr"] * group["decay"])
        self._rule.step()

    def decay_of_unused_rows(self, factor: float) -> float:
        """What weight decay makes of an embedding row without gradient at such a step, as a factor."""
        rate = self._params.learning_rate * factor * self._embedding_scale
        return 1 - rate * self._params.weight_decay

    def clear_gradients(self) -> None:
        """Begin a new sum of gradients; on a GPU in place, for recorded passes add to it there."""
        self._rule.zero_grad(set_to_none=not self._keeps_gradients)

    def state(self) -> dict[str, Tensor]:
        """The rule's state, `<weight>/<slot>` -> tensor; empty before the first step."""
        return {
            f"{name}/{slot}": value
            for name, tensor in self.parameters.items()
            for slot, value in self._rule.state.get(tensor, {}).items()
            if isinstance(value, Tensor)
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state` gave."""
        for key, value in state.items():
            name, _, slot = key.rpartition("/")
            weight = self.parameters[name]
            self._rule.state[weight][slot] = value.to(weight.device, copy=True)
