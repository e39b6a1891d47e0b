"""The data that `craft.py` and `craft_ensembles.py` measure on, and the settings of their baseline there."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

_TEXTS_IN_POOL = 4_000
_TEXTS_HELD_OUT = 1_000


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


def baseline_keys(name: str, options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """The baseline's keys of a study file on a data set; of large files, a part is read in their place.

    Args:
        name: The data set's.
        options: Where the data and the model are.
        folder: For the part.
    """
    dataset = DATASETS[name]
    if dataset.folder is None:
        return {"data.source": "demo", "model.name": "demo", **dataset.keys}
    part = folder / name
    if not part.exists():
        part.mkdir()
        for split, most in (("train", _TEXTS_IN_POOL), ("test", _TEXTS_HELD_OUT)):
            [path] = (options.data / dataset.folder).glob(f"{split}.*")
            rows = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
            rows.sample(min(most, len(rows)), random_state=0).to_csv(
                part / f"{split}.csv", index=False
            )
    return {
        "data.source": str(part),
        "data.max_train_examples": 1_000,
        "data.validation_fraction": 0.125,
        "model.name": str(options.model),
        **dataset.keys,
    }
