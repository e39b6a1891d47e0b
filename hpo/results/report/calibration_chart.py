"""The chart of a champion's calibration: how often answers are right that are so sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpo.results.calibration import Bin
from hpo.results.report.facts import StudyFacts
from hpo.results.report.parts import ACCENT, BEST, MUTED, Chart, axis, line

_SMALLEST, _GROWTH = 5.0, 20.0


def reliability(facts: StudyFacts) -> Chart | None:
    """The reliability diagram on the test split, without and with the temperature; None where there is none."""
    calibration = None if facts.champion is None else facts.champion.test.calibration
    if calibration is None:
        return None
    traces = [line("as sure as right", [0, 1], [0, 1], MUTED, width=1)]
    traces[0]["line"]["dash"] = "dot"
    traces[0]["hoverinfo"] = "skip"
    if calibration.temperature != 1:
        traces.append(_bins("without temperature", calibration.before, BEST, 0.55))
    traces.append(_bins("as served", calibration.after, ACCENT, 1.0))
    unit = {"range": [-0.03, 1.03], "tickformat": ".0%"}
    layout = {"xaxis": axis("probability", **unit), "yaxis": axis("right", **unit)}
    note = (
        f"{calibration.in_words()} Answers of the test split by their probability, larger dots for more of them; "
        "below the dotted line they are surer than they are right."
    )
    return Chart("How far probabilities can be believed", note, traces, layout)


def _bins(name: str, bins: Sequence[Bin], colour: str, opacity: float) -> dict[str, Any]:
    total = sum(each.count for each in bins)
    sizes = [_SMALLEST + _GROWTH * (each.count / total) ** 0.5 for each in bins]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [each.confidence for each in bins],
        "y": [each.accuracy for each in bins],
        "text": [f"{each.count:,} answers" for each in bins],
        "line": {"color": colour, "width": 1},
        "marker": {"color": colour, "size": sizes},
        "opacity": opacity,
        "hovertemplate": "%{text}<br>probability %{x:.1%}, right %{y:.1%}<extra></extra>",
    }
