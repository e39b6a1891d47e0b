"""The techniques that `craft.py` measures, as keys of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hpo.spec.augment import RATES

BASELINE: Final = "baseline"

TECHNIQUES: Final[Mapping[str, Mapping[str, Any]]] = {
    BASELINE: {},
    "learning rate x 0.3": {"training.learning_rate": 3e-4},
    "learning rate x 3": {"training.learning_rate": 3e-3},
    "nothing frozen": {"training.freeze_depth": 0},
    "unfreeze = two_stage": {"training.unfreeze": "two_stage"},
    "unfreeze = gradual": {"training.unfreeze": "gradual"},
    "head = sigmoid": {"training.head": "sigmoid"},
    "class_weight = balanced": {"training.class_weight": "balanced"},
    "focal_gamma = 2": {"training.focal_gamma": 2.0},
    "label_smoothing = 0.1": {"training.label_smoothing": 0.1},
    "head_dropout = 0.2": {"training.head_dropout": 0.2},
    "dropout = 0.2": {"training.dropout": 0.2},
    "layer_decay = 0.8": {"training.layer_decay": 0.8},
    "head_learning_rate_factor = 3": {"training.head_learning_rate_factor": 3.0},
    "schedule = constant": {"training.schedule": "constant"},
    "schedule = cosine": {"training.schedule": "cosine"},
    "schedule = wsd": {"training.schedule": "wsd"},
    "schedule = one_cycle": {"training.schedule": "one_cycle", "training.warmup_ratio": 0.3},
    "optimizer = sgd": {"training.optimizer": "sgd", "training.learning_rate": 0.1},
    "optimizer = adafactor": {"training.optimizer": "adafactor", "training.learning_rate": 0.03},
    "optimizer = lion": {"training.optimizer": "lion", "training.learning_rate": 3e-4},
    "optimizer = muon": {"training.optimizer": "muon", "training.learning_rate": 3e-3},
    "optimizer = schedule_free_adamw": {
        "training.optimizer": "schedule_free_adamw",
        "training.schedule": "constant",
    },
    **{
        f"augment.{rate} = 0.1": {f"training.augment.{rate}": 0.1, "training.augment.variants": 2}
        for rate in RATES
    },
    "lowercase": {"cleaning.lowercase": True},
    "keep = tail": {"data.keep": "tail"},
    "keep = head+tail": {"data.keep": "head+tail"},
}
