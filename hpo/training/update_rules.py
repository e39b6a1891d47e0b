"""The update rules that a study file can name, each made by PyTorch or pytorch_optimizer.

docs/optimizers.md says what each is good for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch

from hpo.spec.training import TrialParams
from hpo.training.optimizer import Groups, UpdateRule


def _chosen(params: TrialParams, *, betas: tuple[float, float], eps: float) -> dict[str, Any]:
    """Betas and epsilon as options give them, or else the rule's own."""
    beta1, beta2 = params.beta1, params.beta2
    return {
        "betas": (
            betas[0] if beta1 is None else beta1,
            betas[1] if beta2 is None else beta2,
        ),
        "eps": eps if params.epsilon is None else params.epsilon,
    }


def _adamw(groups: Groups, params: TrialParams) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, fused=True, **_chosen(params, betas=(0.9, 0.999), eps=1e-8))


def _adam(groups: Groups, params: TrialParams) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, fused=True, **_chosen(params, betas=(0.9, 0.999), eps=1e-8))


def _sgd(groups: Groups, params: TrialParams) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        groups,
        lr=params.learning_rate,
        momentum=params.momentum,
        # Without momentum Nesterov's is none either, which PyTorch refuses to be told.
        nesterov=params.nesterov and params.momentum > 0,
        fused=True,
    )


def _adafactor(groups: Groups, params: TrialParams) -> torch.optim.Optimizer:
    return torch.optim.Adafactor(groups, eps=(params.epsilon, 1e-3))


def _lion(groups: Groups, params: TrialParams) -> torch.optim.Optimizer:
    from pytorch_optimizer import Lion  # takes a second, which other rules do without

    return Lion(groups, betas=_chosen(params, betas=(0.9, 0.99), eps=0.0)["betas"])


def _schedule_free_adamw(groups: Groups, params: TrialParams) -> torch.optim.Optimizer:
    from pytorch_optimizer import ScheduleFreeAdamW

    return ScheduleFreeAdamW(groups, **_chosen(params, betas=(0.9, 0.999), eps=1e-8))


def _muon(groups: Groups, params: TrialParams) -> torch.optim.Optimizer:
    matrices = [group for group in groups if group["matrices"]]
    others = [group for group in groups if not group["matrices"]]
    # Steps as long as AdamW's, so that one learning rate does for both (Liu et al., 2025).
    muon = [torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw")] if matrices else []
    return Together([*muon, _adamw(others, params)])


class Together(torch.optim.Optimizer):
    """Several rules as one, each over groups of its own."""

    def __init__(self, rules: Sequence[torch.optim.Optimizer]) -> None:
        """Take over the groups of rules that have made no step."""
        super().__init__([group for rule in rules for group in rule.param_groups], {})
        self.rules = rules
        for rule in rules:
            rule.state = self.state

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update the weights of all groups."""
        for rule in self.rules:
            rule.step()


# Loshchilov and Hutter, 2019
ADAMW: Final = UpdateRule(_adamw, slots=2, decays=True, clips=True)
# Kingma and Ba, 2015; the decay is ours
ADAM: Final = UpdateRule(_adam, slots=2, clips=True)
# Robbins and Monro, 1951; with momentum Polyak, 1964, or Nesterov, 1983
SGD: Final = UpdateRule(_sgd, slots=1, clips=True)
# Shazeer and Stern, 2018; a row and a column for each matrix
ADAFACTOR: Final = UpdateRule(_adafactor, slots=0, decays=True)
# Chen et al., 2023
LION: Final = UpdateRule(_lion, slots=1, decays=True)
# Jordan et al., 2024
MUON: Final = UpdateRule(_muon, slots=2, decays=True, matrices_apart=True)
# Defazio et al., 2024
SCHEDULE_FREE_ADAMW: Final = UpdateRule(_schedule_free_adamw, slots=2, decays=True, averages=True)
