"""The techniques that `craft.py` measures, as keys of a study file, and the data it measures them on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

BASELINE: Final = "baseline"


@dataclass(frozen=True)
class Dataset:
    """Data and the baseline's settings on them.

    Attributes:
        folder: Of the files; None for the embedded data and model.
        keys: What the baseline sets.
        left_out: Techniques that have nothing to do there.
    """

    folder: str | None
    keys: Mapping[str, Any]
    left_out: tuple[str, ...] = field(default=())


_TRAINING: Final[Mapping[str, Any]] = {
    "training.batch_size": 16,
    "training.epochs": 3,
    "training.early_stopping": 0,
    "training.learning_rate": 1e-3,
    "training.freeze_depth": 3,
}

DATASETS: Final[Mapping[str, Dataset]] = {
    "demo": Dataset(None, {**_TRAINING, "training.freeze_depth": 2}),
    "trec": Dataset("trec", _TRAINING, left_out=("head = sigmoid",)),
    "sst2": Dataset("sst2", _TRAINING),
    "imdb": Dataset("imdb", {**_TRAINING, "training.freeze_depth": 4, "data.max_length": 96}),
}

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
    "schedule = one_cycle": {"training.schedule": "one_cycle"},
    "optimizer = lion": {"training.optimizer": "lion", "training.learning_rate": 3e-4},
    "optimizer = muon": {"training.optimizer": "muon", "training.learning_rate": 3e-3},
    "optimizer = schedule_free_adamw": {
        "training.optimizer": "schedule_free_adamw",
        "training.schedule": "constant",
    },
    "augment.delete = 0.1": {"training.augment.delete": 0.1},
    "augment.swap = 0.1": {"training.augment.swap": 0.1},
    "augment.replace = 0.1": {"training.augment.replace": 0.1},
    "augment.insert = 0.1": {"training.augment.insert": 0.1},
    "augment.characters = 0.1": {"training.augment.characters": 0.1},
    "lowercase": {"cleaning.lowercase": True},
    "keep = tail": {"data.keep": "tail"},
    "keep = head+tail": {"data.keep": "head+tail"},
}
