"""A trial context over a tiny model and random texts in which one token tells the class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpo.data.sealed import Sealed
from hpo.data.tokens import TokenizedData, TokenizedSplit
from hpo.model.feature_cache import FeatureCache
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.pretrained import PretrainedModel
from hpo.spec.study import Metric
from hpo.spec.training import TrainingSection, TrialParams
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.tasks.task import Task
from hpo.training.loop import TrialTraining
from hpo.training.result import Evaluation, TrialResult, Verdict
from hpo.training.trial_context import TrialContext
from tests.model.tiny_gpt2 import tiny

N_LAYER = 2


def labelled_split(texts: int, *, seed: int, longest: int = 12) -> TokenizedSplit:
    """Each text holds token 5 or token 6, after which it is labelled."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, longest + 1, texts)
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    tokens = random.integers(10, 200, offsets[-1]).astype(np.int32)
    labels = random.integers(0, 2, texts)
    tokens[offsets[:-1] + random.integers(0, lengths)] = 5 + labels
    return TokenizedSplit(tokens, offsets, labels)


def tiny_data(*, train: int = 42, validation: int = 24, fingerprint: str = "data") -> TokenizedData:
    return TokenizedData(
        labelled_split(train, seed=1),
        labelled_split(validation, seed=2),
        Sealed(labelled_split(4, seed=3)),
        ("no", "yes"),
        fingerprint,
        12,
    )


def tiny_context(
    folder: Path,
    *,
    model: PretrainedModel | None = None,
    data: TokenizedData | None = None,
    cache: Path | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
    task: Task = SINGLE_LABEL,
    metric: Metric = "log_loss",
    dropout: float = 0.0,
    **settings: Any,
) -> TrialContext:
    model = model or tiny(
        folder, n_layer=N_LAYER, attn_pdrop=dropout, resid_pdrop=dropout, embd_pdrop=dropout
    )
    kept = FeatureCache(cache, 10**8) if cache else None
    features = FrozenFeatures(model, cache=kept, dtype=dtype, device=device)
    training = TrainingSection(**{"early_stopping": 0, **settings})
    return TrialContext(model, data or tiny_data(), features, task, metric, training)


def tiny_params(**values: Any) -> TrialParams:
    return TrialParams(**{"learning_rate": 3e-3, "batch_size": 8, "epochs": 2, **values})


def finish(trial: TrialTraining, **options: Any) -> tuple[TrialResult, list[Evaluation]]:
    """Run to the end; the result and the evaluations told on the way."""
    told: list[Evaluation] = []

    def go_on(evaluation: Evaluation) -> Verdict:
        told.append(evaluation)
        return Verdict.GO_ON

    return trial.run(go_on, **options), told


def scores(evaluation: Evaluation) -> dict[str, float]:
    """The metrics that do not depend on the clock."""
    return {k: v for k, v in evaluation.metrics.items() if k != "work/examples_per_second"}
