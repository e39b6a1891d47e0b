"""What a champion is made of: today the best trial alone."""

from __future__ import annotations

import pytest

from hpo.results.champion_source import ChampionSource, champion_source
from hpo.results.leaderboard import Entry

ENTRIES = [Entry(number, value, {}, 1.0, 1.0, None) for number, value in ((4, 0.9), (1, 0.8))]


def test_the_best_trial_alone_is_chosen() -> None:
    source = champion_source(ENTRIES)
    assert source == ChampionSource((4,), "single")
    assert source.lead_entry(ENTRIES) is ENTRIES[0]


@pytest.mark.parametrize("other", [ChampionSource((1,)), ChampionSource((4,), "refit")])
def test_another_trial_or_another_way_is_another_champion(other: ChampionSource) -> None:
    assert other != champion_source(ENTRIES)
