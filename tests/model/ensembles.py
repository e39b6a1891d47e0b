"""Ensembles of small classifiers that have moved away from their base, each of another freeze depth."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hpo.data.preprocessing import AS_THEY_ARE, Preprocessing
from hpo.model.combination import Combination
from hpo.model.ensemble import EnsembleClassifier
from hpo.model.frozen_features import FrozenFeatures
from hpo.model.pretrained import PretrainedModel
from hpo.model.saved import TextClassifier
from hpo.tasks.single_label import SINGLE_LABEL
from hpo.tasks.task import Task
from tests.model.tiny_gpt2 import classifier_over, random_split

LABELS = ("bad", "so-so", "good")


def member_of(
    model: PretrainedModel,
    freeze_depth: int,
    *,
    seed: int = 0,
    max_length: int = 32,
    features: FrozenFeatures | None = None,
    preprocessing: Preprocessing = AS_THEY_ARE,
    task: Task = SINGLE_LABEL,
    labels: tuple[str, ...] = LABELS,
) -> TextClassifier:
    """A classifier over three labels, or others, all of whose trained weights have moved."""
    split = random_split([4, 9, 20], vocabulary=600)
    trained, _ = classifier_over(
        model,
        split,
        freeze_depth=freeze_depth,
        classes=task.outputs(labels),
        features=features,
        seed=seed,
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in trained.parameters.values():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    if freeze_depth == 0:
        trained.decay = 0.9
    features = features or FrozenFeatures(model, cache=None)
    return TextClassifier.of(trained, features, task, labels, max_length, preprocessing)


def ensemble_of(
    model: PretrainedModel,
    freeze_depths: Sequence[int],
    combination: Combination | None = None,
    *,
    max_length: int = 32,
    features: FrozenFeatures | None = None,
    preprocessing: Preprocessing = AS_THEY_ARE,
) -> EnsembleClassifier:
    """One with a member of each freeze depth; without a combination, a mean of uneven weights."""
    members = tuple(
        member_of(
            model,
            depth,
            seed=seed,
            max_length=max_length,
            features=features,
            preprocessing=preprocessing,
        )
        for seed, depth in enumerate(freeze_depths)
    )
    uneven = Combination.mean([1.0 + seed for seed in range(len(members))])
    return EnsembleClassifier(members, combination or uneven)
