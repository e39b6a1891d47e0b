"""Which trials a study's champion is made of, and how: chosen here, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hpo.results.leaderboard import Entry

How = Literal["single", "ensemble", "refit"]
"""One trial's own weights, those of several together, or one trial's parameters trained anew."""


@dataclass(frozen=True)
class ChampionSource:
    """What a champion is made of.

    Attributes:
        trials: the numbers of the trials, best first; at least one.
        how: what is made of them.
    """

    trials: tuple[int, ...]
    how: How = "single"

    @property
    def lead(self) -> int:
        """The number of the best of the trials, under which the champion is stored and shown."""
        return self.trials[0]

    def lead_entry(self, entries: Sequence[Entry]) -> Entry:
        """The best of the trials on the leaderboard."""
        [entry] = [entry for entry in entries if entry.number == self.lead]
        return entry


def champion_source(entries: Sequence[Entry]) -> ChampionSource:
    """What the champion of a study is to be made of: a trial over folds has no weights of its own.

    Args:
        entries: Its leaderboard, with a trial at least.
    """
    best = entries[0]
    return ChampionSource((best.number,), "refit" if best.folds else "single")
