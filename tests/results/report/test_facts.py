"""What a report tells is what the storage has."""

from __future__ import annotations

from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from hpo.errors import StudyGoneError
from hpo.results.confirmed import Confirmed, ranking
from hpo.results.leaderboard import leaderboard
from hpo.results.presentation import CHAMPION_KEY
from hpo.results.report.comparison import comparison_table
from hpo.results.report.facts import StudyFacts, read_facts
from hpo.results.report.hard_texts import hard_text_sections
from hpo.results.report.headline import caveats, figures, headline
from hpo.results.report.outcome_charts import time_spent
from hpo.results.report.times import times_of
from hpo.storage.storage import Storage
from hpo.studies.memory import remember
from hpo.studies.registration import submit
from hpo.studies.studies import load_spec
from hpo.training.result import TimeParts
from tests.results.report.conftest import EVIL


def test_scores_states_and_parameters_are_those_of_the_storage(
    studies: Storage, facts: StudyFacts
) -> None:
    study = optuna.load_study(study_name=EVIL, storage=studies.optuna)
    assert [(each.number, each.value) for each in facts.complete] == [
        (entry.number, entry.value) for entry in leaderboard(study)
    ]
    stored = {trial.number: trial for trial in study.get_trials()}
    assert len(facts.trials) == len(stored) == 40
    for trial in facts.trials:
        assert trial.params == stored[trial.number].params
        assert [value for _, value in trial.curve] == [
            value for _, value in sorted(stored[trial.number].intermediate_values.items())
        ]
        assert trial.seconds == stored[trial.number].user_attrs.get("seconds")
    pruned = [trial for trial in stored.values() if trial.state == TrialState.PRUNED]
    assert facts.count("pruned") == len(pruned) > 0
    assert facts.count("failed") == 4
    assert facts.scored == [*facts.complete, *facts.scored[len(facts.complete) :]]


def test_where_less_is_better_the_lowest_is_the_best(studies: Storage) -> None:
    facts = read_facts(studies, "by loss")
    values = [trial.value for trial in facts.complete]
    assert values == sorted(values, key=lambda value: value or 0.0)
    assert "best so far" in headline(facts)
    assert "The test split has not been looked at" in headline(facts)


def test_the_headline_names_best_test_interval_baseline_and_optimism(facts: StudyFacts) -> None:
    champion = facts.champion
    assert champion is not None
    said = headline(facts)
    for words in (
        f"Trial {champion.number} is the best of 36 trials",
        "test accuracy 0.5200 (95 % interval 0.4200 to 0.6200, 100 texts)",
        "always answering 'bad', the largest class",
        f"validation had said {champion.value:.4f}",
    ):
        assert words in said
    assert caveats(facts)[0].startswith("Beware: the champion does not beat")
    assert {each.label for each in figures(facts)} >= {"Test accuracy", "Trials", "Time"}


def test_the_time_is_told_as_far_as_it_is_stored(studies: Storage, facts: StudyFacts) -> None:
    times = times_of(facts)
    assert times is not None
    timed = [trial for trial in facts.trials if trial.seconds is not None]
    assert times.complete + times.pruned == pytest.approx(sum(t.seconds or 0.0 for t in timed))
    assert times.around == pytest.approx(len(timed))  # a second each
    assert times.failed > 0
    # They were given up halfway.
    assert times.saved_by_pruning == pytest.approx(times.pruned)
    # Of an earlier release that noted no more.
    assert (times.evaluation, times.waiting, times.saved_by_cache) == (0, 0, 0)
    assert "Training includes its evaluations." in time_spent(times).note
    assert times_of(read_facts(studies, "nothing yet")) is None


def test_no_part_of_the_time_is_told_twice(facts: StudyFacts) -> None:
    parts = TimeParts(evaluation=2.0, waiting=0.5, cache_saved=3.0)
    timed = tuple(replace(trial, parts=parts) for trial in facts.trials)
    more = replace(facts, trials=timed, confirming=timed[:2], refit_seconds=7.0)
    before, after = times_of(facts), times_of(more)
    assert before is not None
    assert after is not None
    count = sum(trial.seconds is not None for trial in timed)
    assert (after.evaluation, after.waiting) == (2.0 * count, 0.5 * count)
    assert after.saved_by_cache == 3.0 * (count + 2)
    assert after.confirmation == sum(trial.span or 0.0 for trial in timed[:2])
    assert after.spent == pytest.approx(before.spent + after.confirmation + 7.0)
    bars = time_spent(after)
    assert [name for name in bars.traces[0]["y"] if "saved" in name] == [
        "saved by pruning",
        "saved by the cache",
    ]
    assert "until storage, pruner and MLflow have taken them" in bars.note
    [time] = [each for each in figures(more) if each.label == "Time"]
    assert time.meaning == "of all workers together, confirmation and refit included"


def test_a_confirmed_study_stands_beside_others_with_its_mean_and_standard_error(
    facts: StudyFacts,
) -> None:
    assert facts.champion is not None
    found = [Confirmed(1, 0.95, (0.90, 0.92)), Confirmed(2, 0.94, (0.80, 0.82))]
    champion = replace(facts.champion, confirmation=ranking(found, "maximize", on="new"))
    table = comparison_table([facts, replace(facts, champion=champion)])
    place = table.columns.index("confirmed")
    assert [row[place].text for row in table.rows] == ["", "0.9100 ± 0.0100"]


def test_a_study_without_trials_says_so(studies: Storage) -> None:
    assert headline(read_facts(studies, "nothing yet")) == "No trial is complete yet."


def test_a_study_that_is_not_there_is_told_with_the_nearest(studies: Storage) -> None:
    with pytest.raises(StudyGoneError, match="Did you mean by loss"):
        read_facts(studies, "by los")


def test_texts_of_an_earlier_champion_are_not_shown_as_this_ones(studies: Storage) -> None:
    facts = read_facts(studies, "by loss")
    assert hard_text_sections(facts) == ""  # it has no champion
    facts = read_facts(studies, EVIL)
    assert facts.champion is not None
    assert "Most confidently wrong" in hard_text_sections(facts)
    study_id = studies.optuna.get_study_id_from_name(EVIL)
    later = replace(facts.champion, number=facts.champion.number + 1)
    remember(studies, study_id, CHAMPION_KEY, later.as_json())
    try:
        assert "None was kept when this champion was made" in hard_text_sections(
            read_facts(studies, EVIL)
        )
    finally:
        remember(studies, study_id, CHAMPION_KEY, facts.champion.as_json())


def test_texts_that_were_kept_are_shown_no_more_once_a_study_asks_for_none(
    studies: Storage,
) -> None:
    spec = load_spec(studies, EVIL)
    silent = spec.tracking.model_copy(update={"shown_texts": 0})
    submit(studies, spec.model_copy(update={"tracking": silent}))
    try:
        assert "None is shown, as the study asks" in hard_text_sections(read_facts(studies, EVIL))
    finally:
        submit(studies, spec)
