"""What a champion is made of: the best trial alone, its parameters trained anew, or an ensemble."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hpo.model.combination import Combination
from hpo.results.champion import Champion
from hpo.results.champion_source import ChampionSource, champion_source
from hpo.results.final_test import TestScore
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


def ensemble(*trials: int, weights: tuple[float, ...] = (1.0, 2.0)) -> ChampionSource:
    return ChampionSource(trials, "ensemble", Combination.mean(weights), "greedy selection")


def test_an_ensemble_stays_until_a_trial_outdoes_its_first() -> None:
    assert champion_source(ENTRIES, ensemble(4, 1)) == ensemble(4, 1)
    assert champion_source(ENTRIES, ensemble(1, 4)) == ChampionSource((4,))
    assert champion_source(ENTRIES, ChampionSource((4,), "refit")) == ChampionSource((4,))


def test_each_champion_has_a_key_of_its_own_but_a_trial_alone() -> None:
    others = [
        ensemble(4, 1),
        ensemble(4, 2),
        ensemble(4, 1, weights=(1.0, 3.0)),
        ChampionSource((4,), "refit"),
    ]
    keys = [source.key for source in (ChampionSource((4,)), *others)]
    assert keys[0] == ""
    assert len(set(keys)) == len(keys)


def test_it_is_named_within_a_sentence() -> None:
    assert ChampionSource((4,)).words == "trial 4"
    assert ensemble(4, 1).words == "the ensemble of trials 4 and 1"
    assert ensemble(4, 1, 7).words == "the ensemble of trials 4, 1 and 7"
    assert ensemble(4).words == "the ensemble of trial 4"


def test_an_ensemble_and_nothing_else_has_a_combination() -> None:
    with pytest.raises(ValueError, match="combination"):
        ChampionSource((4,), "ensemble")
    with pytest.raises(ValueError, match="combination"):
        ChampionSource((4,), "single", Combination.mean([1]))


@pytest.mark.parametrize("made_of", [None, ensemble(4, 1), ChampionSource((4,), "refit")])
def test_a_stored_champion_knows_what_it_is_made_of(made_of: ChampionSource | None) -> None:
    score = TestScore(2, {"accuracy": 0.5}, {"accuracy": (0.0, 1.0)}, ((1, 0), (1, 0)))
    champion = Champion(4, 0.9, score, "study", 1, made_of)
    document = json.loads(json.dumps(champion.as_json()))
    assert Champion.from_json(document) == champion
    assert champion.source == (made_of or ChampionSource((4,)))
    assert ("source" in document) == (made_of is not None)  # so that earlier releases read the rest
