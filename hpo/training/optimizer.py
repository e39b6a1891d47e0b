"""The update rule of a trial: groups of weights by depth, decoupled weight decay, clipping."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hpo.model.gpt2 import TOKEN_EMBEDDING, depth_of, is_decayed
from hpo.spec.training import TrialParams


class TrialOptimizer:
    """AdamW (Loshchilov and Hutter, 2019) or SGD with momentum, both with decoupled weight decay."""

    def __init__(self, parameters: Mapping[str, Tensor], params: TrialParams, n_layer: int) -> None:
        self.parameters = parameters
        self._params = params
        groups: dict[tuple[float, bool], list[Tensor]] = {}
        for name, tensor in parameters.items():
            scale = params.layer_decay ** depth_of(name, n_layer)
            groups.setdefault((scale, is_decayed(name)), []).append(tensor)
        self._groups = [
            {
                "params": tensors,
                "rate_scale": scale,
                "decay": params.weight_decay if decayed else 0.0,
                "weight_decay": params.weight_decay if decayed else 0.0,
            }
            for (scale, decayed), tensors in groups.items()
        ]
        if params.optimizer == "adamw":
            self._rule: torch.optim.Optimizer = torch.optim.AdamW(self._groups, fused=True)
        else:
            for group in self._groups:
                group["weight_decay"] = 0.0  # SGD's own is not decoupled
            self._rule = torch.optim.SGD(
                self._groups, lr=params.learning_rate, momentum=params.momentum, fused=True
            )
        self._embedding_scale = params.layer_decay ** depth_of(TOKEN_EMBEDDING, n_layer)
        self._keeps_gradients = any(tensor.is_cuda for tensor in parameters.values())
        if self._keeps_gradients:
            for tensor in parameters.values():
                tensor.grad = torch.zeros_like(tensor)

    def step(self, factor: float) -> float:
        """Clip, update with `factor` of the peak learning rate, and clear the gradients.

        Returns the factor by which weight decay shrinks a decayed embedding row without gradient.
        """
        rate = self._params.learning_rate * factor
        if self._params.max_grad_norm > 0:
            self._clip(self._params.max_grad_norm)
        for group in self._rule.param_groups:
            group["lr"] = rate * group["rate_scale"]
            if self._params.optimizer == "sgd" and group["decay"]:
                with torch.no_grad():
                    torch._foreach_mul_(group["params"], 1 - group["lr"] * group["decay"])
        self._rule.step()
        self.clear_gradients()
        return 1 - rate * self._embedding_scale * self._params.weight_decay

    def clear_gradients(self) -> None:
        """Begin a new sum of gradients; on a GPU in place, for recorded passes add to it there."""
        self._rule.zero_grad(set_to_none=not self._keeps_gradients)

    @torch.no_grad()
    def _clip(self, most: float) -> None:
        """Have the update divide the gradients by what their norm exceeds `most` by.

        The fused kernels do it as they read the gradients; a pass of its own would cost as much
        as reading all weights once more.
        """
        gradients = [t.grad for t in self.parameters.values() if t.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        excess = (norm / most).clamp_(min=1.0)
        exceeds = excess.device.type != "cpu" or float(excess) != 1.0
        self._rule.grad_scale = excess if exceeds else None  # type: ignore[attr-defined]

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
