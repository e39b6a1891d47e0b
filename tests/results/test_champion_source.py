"""What a champion is made of: the best trial alone, or its parameters trained anew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpo.results.champion_source import ChampionSource, champion_source
from hpo.results.leaderboard import Entry

ENTRIES = [Entry(number, value, {}, 1.0, 1.0, None) for number, value in ((4, 0.9), (1, 0.8))]


def test_the_best_trial_alone_is_chosen() -> None:
    source = champion_source(ENTRIES)
    assert source == ChampionSource((4,), "single")
    assert source.lead_entry(ENTRIES) is ENTRIES[0]


def test_the_best_trial_over_folds_is_trained_on_all_texts() -> None:
    entries = [replace(entry, folds=5, std_over_folds=0.0085) for entry in ENTRIES]
    assert champion_source(entries) == ChampionSource((4,), "refit")
    assert entries[0].score_in_words() == f"{entries[0].value:.4f} ± 0.0085"
    assert ENTRIES[0].score_in_words() == f"{ENTRIES[0].value:.4f}"


@pytest.mark.parametrize("other", [ChampionSource((1,)), ChampionSource((4,), "refit")])
def test_another_trial_or_another_way_is_another_champion(other: ChampionSource) -> None:
    assert other != champion_source(ENTRIES)
