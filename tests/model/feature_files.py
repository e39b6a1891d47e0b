"""What tests of frozen features read, and look for on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hpo.data.tokens import TokenizedSplit
from hpo.model.feature_cache import FeatureCache
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.layout import rows_and_layout

PLENTY = 10**8


def read(
    features: FrozenFeatures, split: TokenizedSplit, depth: int, texts: list[int]
) -> torch.Tensor:
    states = features.states(split, "split", depth)
    rows, layout = rows_and_layout(split, np.array(texts), torch.device("cpu"))
    return states.read(np.array(texts), layout, rows)


def depths_in(folder: Path) -> set[int]:
    return {entry.depth for entry in FeatureCache(folder, 0).entries()}
