"""Several studies side by side: their scores with intervals, and how fast each got better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hpo.results.baseline import baseline_of
from hpo.results.champion import Champion
from hpo.results.report.facts import StudyFacts
from hpo.results.report.parts import ACCENT, BAD, BEST, GOOD, MUTED, Chart, axis, line, shown
from hpo.results.report.search_charts import best_so_far
from hpo.results.report.tables import Cell, Table, number
from hpo.results.report.times import times_of
from hpo.spec.numbers import duration

_COLOURS: Final = (ACCENT, BEST, GOOD, BAD, MUTED)


def comparison_table(studies: Sequence[StudyFacts]) -> Table:
    """A row for each study."""
    columns = (
        "study",
        "metric",
        "trials",
        "validation",
        "confirmed",
        "test",
        "95 % interval",
        "baseline",
        "time",
    )
    return Table(columns, [_row(facts) for facts in studies])


def comparison_charts(studies: Sequence[StudyFacts]) -> list[Chart]:
    """Intervals and best-so-far lines of the studies that have a metric in common."""
    charts = []
    for metric in dict.fromkeys(facts.metric for facts in studies):
        alike = [facts for facts in studies if facts.metric == metric]
        if len(alike) < 2:
            continue
        if any(facts.champion for facts in alike):
            charts.append(_intervals(alike))
        # One trial alone has no line.
        if any(len(facts.complete) > 1 for facts in alike):
            charts.append(_progress(alike))
    return charts


def _row(facts: StudyFacts) -> list[Cell]:
    champion, metric, times = facts.champion, facts.metric, times_of(facts)
    best = facts.complete[0].value if facts.complete else None
    test = None if champion is None else champion.test
    low, high = (None, None) if test is None else test.intervals[metric]
    finished = facts.count("complete") + facts.count("pruned")
    return [
        Cell(facts.name),
        Cell(metric),
        number(finished, "d"),
        number(best if champion is None else champion.value),
        _confirmed(champion),
        number(None if test is None else test.metrics[metric]),
        Cell("" if low is None else f"{low:.4f} to {high:.4f}", low),
        number(
            None if test is None else baseline_of(test, facts.label_names, [metric]).scores[metric]
        ),
        Cell(
            "" if times is None else duration(times.spent), None if times is None else times.spent
        ),
    ]


def _confirmed(champion: Champion | None) -> Cell:
    """What its parameters are to be expected to have, with the standard error over seeds."""
    confirmation = None if champion is None else champion.confirmation
    expected = None if confirmation is None else confirmation.expected
    return Cell("") if expected is None else Cell(expected.in_words(), expected.mean)


def _intervals(studies: Sequence[StudyFacts]) -> Chart:
    metric = studies[0].metric
    tested = [(facts, facts.champion.test) for facts in studies if facts.champion is not None]
    scores = [test.metrics[metric] for _, test in tested]
    bounds = [test.intervals[metric] for _, test in tested]
    names = [facts.name for facts, _ in tested]
    places = list(range(len(tested)))
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": scores,
        "y": places,
        "text": [shown(name) for name in names],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [
                max(high - value, 0) for value, (_, high) in zip(scores, bounds, strict=True)
            ],
            "arrayminus": [
                max(value - low, 0) for value, (low, _) in zip(scores, bounds, strict=True)
            ],
            "color": MUTED,
        },
        "marker": {"color": ACCENT, "size": 10},
        "hovertemplate": "%{text}: %{x:.4f}<extra></extra>",
    }
    ticks = {
        "tickmode": "array",
        "tickvals": places,
        "ticktext": [shown(name, 20) for name in names],
    }
    layout = {
        "xaxis": axis(f"test {metric}"),
        "yaxis": {"automargin": True, "range": [len(tested) - 0.5, -0.5], **ticks},
        "showlegend": False,
    }
    note = "95 % intervals by bootstrap over the test texts."
    return Chart(f"Test {metric} of the champions", note, [trace], layout, 140 + 46 * len(tested))


def _progress(studies: Sequence[StudyFacts]) -> Chart:
    traces = []
    for index, facts in enumerate(studies):
        best = best_so_far(facts)
        colour = _COLOURS[index % len(_COLOURS)]
        xs, ys = [x for x, _ in best], [y for _, y in best]
        trace = line(shown(facts.name), xs, ys, colour, shape="hv")
        traces.append(trace | ({"mode": "markers"} if len(xs) == 1 else {}))
    metric = studies[0].metric
    layout = {"xaxis": axis("trial"), "yaxis": axis(f"best validation {metric} so far")}
    return Chart(f"How fast each search got better ({metric})", "", traces, layout)
