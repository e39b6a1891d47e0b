"""The ensembles that a study remembers, and how often its test split was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hpo.results.ensembles.made import Ensemble
from hpo.results.presentation import CHAMPION_KEY
from hpo.studies.memory import recall
from hpo.studies.studies import OpenStudy

ENSEMBLES_KEY: Final = "ensembles"
"""Under which a study remembers its ensembles, by method."""


def made_ensembles(study: OpenStudy) -> dict[str, Ensemble]:
    """The ensembles that were made of a study, by method."""
    document = recall(study.storage, study.study_id, ENSEMBLES_KEY)
    known: Mapping[str, Any] = document if isinstance(document, dict) else {}
    return {method: Ensemble.from_json(each) for method, each in known.items()}


def times_tested(study: OpenStudy) -> int:
    """How often champions and ensembles of a study have been tested on its test split."""
    champion = recall(study.storage, study.study_id, CHAMPION_KEY)
    looks = [each.times_tested for each in made_ensembles(study).values()]
    if isinstance(champion, dict) and isinstance(champion["times_tested"], int):
        looks.append(champion["times_tested"])
    return max(looks, default=0)
