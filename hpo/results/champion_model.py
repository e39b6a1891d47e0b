"""The model of a champion: loaded from what its trials trained, and written as it is registered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.errors import ModelError
from hpo.model.ensemble import EnsembleClassifier
from hpo.model.predictor import Predictor
from hpo.model.pretrained import PretrainedModel
from hpo.model.saved import TextClassifier, load_trained, save_transformers
from hpo.model.saved_ensemble import save_ensemble
from hpo.model.trial_facts import read_facts
from hpo.results.champion_source import ChampionSource


def load_champion(
    source: ChampionSource, trained: Sequence[Path], model: PretrainedModel
) -> TextClassifier | EnsembleClassifier:
    """A champion from what was trained of it.

    Args:
        source: What it is made of.
        trained: The folder of its classifier, or those of the ensemble's members in their order.
        model: The pretrained model that they were trained from.

    Raises:
        ModelError: A folder is damaged, or they are not what the champion is made of.
    """
    members = tuple(load_trained(folder, lambda _name, _revision: model) for folder in trained)
    try:
        if source.combination is not None:
            return EnsembleClassifier(members, source.combination)
        [classifier] = members
    except ValueError as error:
        raise ModelError(
            source.words,
            found=f"what its trials trained, which does not fit together ({error})",
            expected="one model a member, all of the study",
            hint="Make the ensemble again.",
        ) from error
    return classifier


def save_champion(folder: Path, champion: Predictor, trained: Sequence[Path]) -> None:
    """Write a champion so that it loads anywhere: as one transformers model, or as an ensemble.

    Args:
        folder: Made where it is missing.
        champion: From `load_champion`.
        trained: The folders that it was loaded from.

    Raises:
        OSError: Where it cannot be written.
    """
    if isinstance(champion, EnsembleClassifier):
        save_ensemble(folder, champion, [_facts(each) for each in trained])
        return
    assert isinstance(champion, TextClassifier)
    save_transformers(
        folder,
        champion.classifier,
        champion.task,
        champion.label_names,
        champion.max_length,
        champion.preprocessing,
    )


def _facts(trained: Path) -> Mapping[str, Any]:
    return dict(read_facts(trained).get("trial", {}))
