"""Which trials a study's champion is made of, and how: chosen here, and nowhere else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hpo.model.combination import Combination
from hpo.results.confirmed import Confirmation
from hpo.results.leaderboard import Entry

How = Literal["single", "ensemble", "refit"]
"""One trial's own weights, those of several together, or one trial's parameters trained anew."""


@dataclass(frozen=True)
class ChampionSource:
    """What a champion is made of.

    Attributes:
        trials: the numbers of the trials, best first; at least one.
        how: what is made of them.
        combination: how the members of an ensemble become one answer; None for what is no ensemble.
        method: how they came to be, in a few words for people, such as "greedy selection"; of ensembles.
    """

    trials: tuple[int, ...]
    how: How = "single"
    combination: Combination | None = None
    method: str = ""

    def __post_init__(self) -> None:
        if (self.how == "ensemble") != (self.combination is not None):
            raise ValueError(f"{self.how} and the combination {self.combination}")

    @property
    def lead(self) -> int:
        """The number of the best of the trials, under which the champion is stored and shown."""
        return self.trials[0]

    @property
    def key(self) -> str:
        """Tells it from every other champion of the study; empty for one trial's own weights."""
        if self.how == "single":
            return ""
        text = json.dumps(self.as_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def words(self) -> str:
        """What it is, within a sentence."""
        if self.how != "ensemble":
            return f"trial {self.lead}"
        *before, last = map(str, self.trials)
        named = f"{', '.join(before)} and {last}" if before else last
        return f"the ensemble of trial{'s' if before else ''} {named}"

    def as_json(self) -> dict[str, Any]:
        """Facts for `from_json`."""
        combination = None if self.combination is None else self.combination.as_json()
        return {
            "trials": list(self.trials),
            "how": self.how,
            "combination": combination,
            "method": self.method,
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> ChampionSource:
        """The source that `as_json` told of."""
        told = document["combination"]
        combination = None if told is None else Combination.from_json(told)
        trials = tuple(document["trials"])
        return ChampionSource(trials, document["how"], combination, document["method"])

    def lead_entry(self, entries: Sequence[Entry]) -> Entry:
        """The best of the trials on the leaderboard."""
        [entry] = [entry for entry in entries if entry.number == self.lead]
        return entry


def champion_source(
    entries: Sequence[Entry],
    known: ChampionSource | None = None,
    confirmation: Confirmation | None = None,
) -> ChampionSource:
    """What the champion of a study is to be made of: a trial over folds has no weights of its own.

    Args:
        entries: Its leaderboard, with a trial at least.
        known: What the champion is made of that the study has. An ensemble stays the champion for as
            long as none of its trials is outdone.
        confirmation: Which of the best had the best mean over new seeds; None: the best of the search is
            taken at its word, as where all those trainings failed.
    """
    best = entries[0]
    ensemble = known if known is not None and known.how == "ensemble" else None
    if ensemble is not None and ensemble.lead_entry(entries).value == best.value:
        return ensemble
    confirmed = None if confirmation is None else confirmation.champion
    number = best.number if confirmed is None else confirmed.number
    return ChampionSource((number,), "refit" if best.folds else "single")
