"""The optimiser of a trial: groups of weights by depth, decoupled weight decay, clipping, its state by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from hpo.model.family import ModelFamily
from hpo.spec.registries import OPTIMIZERS
from hpo.spec.training import TrialParams
from hpo.training.optimizer_state import Number, group_numbers, kept_numbers, kept_state, take_over

Groups = list[dict[str, Any]]  # as torch.optim takes them

UNUSED_ROW: Final = "unused row"
"""The name of a weight of 1 without gradient among those of a rule that evaluates other weights."""


@dataclass(frozen=True)
class UpdateRule:
    """An optimiser of PyTorch's kind.

    Attributes:
        make: Makes it from groups of weights, each with its `weight_decay`, and the trial's options.
            Its step is to read each group's `lr`.
        slots: Tensors of the weight's shape that it keeps for each weight.
        decays: Whether its own weight decay is decoupled, so that ours is left to it.
        clips: Whether its step divides the gradients by its `grad_scale`, as PyTorch's fused kernels do.
        matrices_apart: Whether it is to find the matrices of blocks in groups apart, whose `matrices`
            is true.
        averages: Whether it evaluates other weights than it trains: its `eval` puts them in place,
            its `train` takes them away.
    """

    make: Callable[[Groups, TrialParams], torch.optim.Optimizer]
    slots: int
    decays: bool = False
    clips: bool = False
    matrices_apart: bool = False
    averages: bool = False


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
        self._family = family
        self._n_layer = n_layer
        self._kind: UpdateRule = OPTIMIZERS[params.optimizer]
        self._weights = dict(parameters)
        if self._kind.averages and family.token_embedding in parameters:
            self._weights[UNUSED_ROW] = torch.ones_like(parameters[family.token_embedding][0, :1])
        self._row_before = 1.0
        self._rule: Any = self._made({})
        embedding_depth = family.depth_of(family.token_embedding, n_layer)
        self._embedding_scale = params.layer_decay**embedding_depth
        self._keeps_gradients = any(tensor.is_cuda for tensor in parameters.values())
        if self._keeps_gradients:
            for tensor in parameters.values():
                tensor.grad = torch.zeros_like(tensor)

    def _made(self, kept: Mapping[str, Mapping[str, Number]]) -> torch.optim.Optimizer:
        """The rule over groups of weights that are treated alike.

        Args:
            kept: Of each weight that has been trained before, the numbers that its group kept.
        """
        groups: dict[tuple[object, ...], dict[str, Any]] = {}
        for name, tensor in self._weights.items():
            settings = self._settings_of(name)
            since = tuple(kept[name].items()) if name in kept else None
            key = *settings.values(), since
            groups.setdefault(key, {"params": [], **settings})["params"].append(tensor)
        rule = self._kind.make(list(groups.values()), self._params)
        self._fresh = [group_numbers(group) for group in rule.param_groups]
        names = {id(tensor): name for name, tensor in self._weights.items()}
        for group in rule.param_groups:
            group.update(kept.get(names[id(group["params"][0])], {}))
        return rule

    def _settings_of(self, name: str) -> dict[str, float | bool]:
        """What a weight's group is told besides its weights; `rate_scale` and `decay` are our own."""
        family, params = self._family, self._params
        name = family.token_embedding if name == UNUSED_ROW else name
        depth = family.depth_of(name, self._n_layer)
        decay = params.weight_decay if family.is_decayed(name) else 0.0
        in_blocks = 1 <= depth <= self._n_layer and self._weights[name].ndim == 2
        in_head = name.rpartition(".")[0] == family.head.rpartition(".")[0]
        of_head = params.head_learning_rate_factor if in_head else 1.0
        return {
            "rate_scale": params.layer_decay**depth * of_head,
            "decay": decay,
            "weight_decay": decay if self._kind.decays else 0.0,
            "matrices": in_blocks and self._kind.matrices_apart,
        }

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
        if UNUSED_ROW in self._weights:
            row = self._weights[UNUSED_ROW]
            self._row_before, row.grad = float(row), torch.zeros_like(row)
        self._rule.step()

    def decay_of_unused_rows(self, factor: float) -> float:
        """What weight decay made of an embedding row without gradient at the last step, as a factor.

        Args:
            factor: That step's share of the peak learning rate.
        """
        if UNUSED_ROW in self._weights:
            return self._row_since(self._row_before)
        rate = self._params.learning_rate * factor * self._embedding_scale
        return 1 - rate * self._params.weight_decay

    def _row_since(self, before: float) -> float:
        return float(self._weights[UNUSED_ROW]) / before if before else 0.0

    @contextmanager
    def evaluation_weights(self) -> Iterator[float]:
        """While it lasts, have the weights be those that the rule evaluates, then again those it trains.

        Yields:
            What an embedding row without gradient is there, as a factor on what it is in training.
        """
        if not self._kind.averages:
            yield 1.0
            return
        trained = {name: tensor.detach().clone() for name, tensor in self._weights.items()}
        self._rule.eval()
        try:
            row = trained.get(UNUSED_ROW)
            yield 1.0 if row is None else self._row_since(float(row))
        finally:
            self._rule.train()
            with torch.no_grad():
                # The way back by the rule's own arithmetic would round them.
                for name, tensor in self._weights.items():
                    tensor.copy_(trained[name])

    def clear_gradients(self) -> None:
        """Begin a new sum of gradients; on a GPU in place, for recorded passes add to it there."""
        self._rule.zero_grad(set_to_none=not self._keeps_gradients)

    def state(self) -> dict[str, Tensor]:
        """The rule's state, `<weight>/<slot>` -> tensor; empty before the first step."""
        state = kept_state(self._rule, self._weights, self._fresh)
        if state and UNUSED_ROW in self._weights:
            state[f"{UNUSED_ROW}/weight"] = self._weights[UNUSED_ROW]
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that `state` gave, perhaps over fewer weights; the others begin here."""
        tensors = dict(state)
        row = tensors.pop(f"{UNUSED_ROW}/weight", None)
        if row is not None:
            self._weights[UNUSED_ROW].copy_(row)
        self._rule = self._made(kept_numbers(tensors))
        take_over(self._rule, self._weights, tensors)
