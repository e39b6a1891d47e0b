"""A report's charts: best-so-far lines, Pareto fronts, axes, and somebody's words in plotly's hands."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.results.calibration import Bin, Calibration
from hpo.results.report.calibration_chart import reliability
from hpo.results.report.comparison import comparison_charts
from hpo.results.report.facts import StudyFacts, score
from hpo.results.report.outcome_charts import confusion, pareto_front
from hpo.results.report.parts import left_out, score_axis, shown
from hpo.results.report.search_charts import best_so_far, curves, parallel, slices

SCORES = st.lists(st.floats(0, 1), max_size=60)


def test_the_line_of_the_best_so_far_only_gets_better(facts: StudyFacts) -> None:
    values = [value for _, value in best_so_far(facts)]
    assert values == sorted(values)
    assert values[-1] == score(facts.complete[0])


def test_every_curve_is_drawn(facts: StudyFacts) -> None:
    drawn = [y for trace in curves(facts).traces for y in trace["y"] if y is not None]
    shown_ones = [trial for trial in facts.trials if trial.state != "failed"]
    assert sorted(drawn) == sorted(value for trial in shown_ones for _, value in trial.curve)


def test_parallel_coordinates_know_which_trial_a_line_is(facts: StudyFacts) -> None:
    (trace,) = parallel(facts).traces
    assert trace["ids"] == [str(trial.number) for trial in facts.scored]
    assert trace["dimensions"][-1]["values"] == [trial.value for trial in facts.scored]
    assert all(len(each["values"]) == len(trace["ids"]) for each in trace["dimensions"])


@pytest.mark.parametrize(
    ("rates", "told"),
    [
        ([1e-5, 1e-4, 1e-2], ["1e-05", "0.0001", "0.01"]),
        ([0.000404, 0.00049, 1e-2, 1e-4], 6),  # two that would be printed over each other
        ([3e-4], ["0.0003"]),
    ],
)
def test_few_trials_stand_on_a_logarithmic_axis_too_with_labels_that_stand_apart(
    facts: StudyFacts, rates: list[float], told: list[str] | int
) -> None:
    kept = [
        replace(trial, params={**trial.params, "learning_rate": rate})
        for trial, rate in zip(facts.complete, rates, strict=False)
    ]
    few = replace(facts, trials=tuple(kept))
    [axis] = [
        each
        for each in parallel(replace(few, importances={"learning_rate": 1.0})).traces[0][
            "dimensions"
        ]
        if each["label"] == "learning_rate"
    ]
    assert sorted(axis["values"]) == sorted(math.log10(rate) for rate in rates)
    ticks = axis["tickvals"]
    assert axis["ticktext"] == told or len(ticks) == told
    assert all(b - a >= (ticks[-1] - ticks[0]) / 20 for a, b in itertools.pairwise(ticks))


@pytest.mark.parametrize(("first", "second", "drawn"), [(1, 1, 0), (1, 3, 1)])
def test_how_fast_a_search_got_better_is_drawn_where_one_had_the_time(
    facts: StudyFacts, first: int, second: int, drawn: int
) -> None:
    studies = [replace(facts, trials=tuple(facts.complete[:count])) for count in (first, second)]
    charts = [each for each in comparison_charts(studies) if each.title.startswith("How fast")]
    assert len(charts) == drawn
    for chart in charts:
        assert [trace["mode"] for trace in chart.traces] == ["markers", "lines"]


@pytest.mark.parametrize("name", ["learning_rate", "batch_size", "optimizer", "epochs"])
def test_a_slice_has_every_scored_trial(facts: StudyFacts, name: str) -> None:
    chart = slices(facts, name)
    assert sum(len(trace["x"]) for trace in chart.traces) == len(facts.scored)
    kinds = {"learning_rate": "log", "batch_size": "category", "optimizer": "category"}
    assert chart.layout["xaxis"].get("type") == kinds.get(name)


@given(
    st.lists(st.tuples(st.floats(0.1, 100), st.floats(0, 1)), max_size=30), st.sampled_from([1, -1])
)
def test_no_trial_beats_one_of_the_front_and_each_other_is_matched(
    facts: StudyFacts, points: list[tuple[float, float]], sign: int
) -> None:
    trials = [replace(facts.trials[0], seconds=x, value=y) for x, y in points]
    front = [(each.seconds or 0.0, sign * score(each)) for each in pareto_front(trials, sign)]
    assert front == sorted(set(front))
    for seconds, value in points:
        assert any(x <= seconds and y >= sign * value for x, y in front)
    assert not any(
        x <= seconds and y >= value and (x, y) != (seconds, value)
        for seconds, value in front
        for x, y in front
    )


@given(SCORES, st.sampled_from([1, -1]))
def test_the_best_scores_always_lie_within_the_axis(values: list[float], sign: int) -> None:
    upright = score_axis("score", values, sign)
    low, high = upright.get("range", (-math.inf, math.inf))
    best_first = sorted(values, reverse=sign > 0)
    assert all(low <= value <= high for value in best_first[: len(values) // 2])
    outside = sum(not low <= value <= high for value in values)
    assert (f" {outside:,} far worse" in left_out(upright, values)) == bool(outside)


@given(st.text())
def test_somebodys_words_hold_no_tag_for_plotly(text: str) -> None:
    assert not set("<>\n") & set(shown(text))


def test_the_confusion_is_that_of_the_test(facts: StudyFacts) -> None:
    chart = confusion(facts)
    assert chart is not None
    assert chart.traces[0]["text"] == [["47", "5"], ["6", "42"]]
    assert chart.traces[0]["z"][0] == pytest.approx([47 / 52, 5 / 52])


def test_of_very_many_classes_the_largest_are_shown(facts: StudyFacts) -> None:
    assert facts.champion is not None
    counts = tuple(tuple(int(i == j) * (i + 1) for j in range(90)) for i in range(90))
    champion = replace(facts.champion, test=replace(facts.champion.test, confusion=counts))
    chart = confusion(replace(facts, champion=champion, reading=None))
    assert chart is not None
    assert "The 60 largest of 90 classes." in chart.note
    assert len(chart.traces[0]["z"]) == 60


def test_calibration_is_drawn_with_and_without_the_temperature(facts: StudyFacts) -> None:
    assert reliability(facts) is None  # tested by an earlier release
    assert facts.champion is not None
    bins = (Bin(20, 0.6, 0.5), Bin(80, 0.95, 0.85))
    calibration = Calibration(1.4, bins, (Bin(100, 0.8, 0.78),))
    test = replace(facts.champion.test, calibration=calibration)
    chart = reliability(replace(facts, champion=replace(facts.champion, test=test)))
    assert chart is not None
    assert [trace["name"] for trace in chart.traces[1:]] == ["without temperature", "as served"]
    assert (chart.traces[1]["x"], chart.traces[1]["y"]) == ([0.6, 0.95], [0.5, 0.85])
    assert "0.0200 (without temperature 1.4: 0.1000)" in chart.note
