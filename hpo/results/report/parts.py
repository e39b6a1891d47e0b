"""What a report's charts are made of: traces and axes in plotly's JSON, colours by their names in the style.

Plotly reads tags and entities in every text, so whatever somebody else named goes through `shown`.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hpo.printable import printable
from hpo.results.report.facts import Trial, score

ACCENT, BEST, MUTED, GOOD, BAD = "@accent", "@best", "@muted", "@good", "@bad"
_NAME: Final = 28
_FEW: Final = 8
_MANY: Final = 150
_USUAL: Final = 0.8


@dataclass(frozen=True)
class Chart:
    """A chart and what is said about it. wide: over the whole page."""

    title: str
    note: str
    traces: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int = 340
    wide: bool = False
    kind: str = ""


def shown(text: object, width: int = _NAME) -> str:
    """Somebody's text as plotly shows it, whatever stands in it."""
    line = printable(str(text))
    return html.escape(line if len(line) <= width else f"{line[: width - 1]}…", quote=False)


def points(
    name: str,
    trials: Sequence[Trial],
    colour: str,
    opacity: float,
    xs: Sequence[object] | None = None,
) -> dict[str, Any]:
    """Trials as dots, by number unless told otherwise."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [trial.number for trial in trials] if xs is None else list(xs),
        "y": [score(trial) for trial in trials],
        "text": [f"trial {trial.number}" for trial in trials],
        "marker": {"color": colour, "size": 7 if len(trials) <= _MANY else 4},
        "opacity": opacity,
        "hovertemplate": "%{text}<br>%{x}: %{y:.4f}<extra></extra>",
    }


def axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": shown(title, 60)}, "automargin": True, **more}


def score_axis(title: str, values: Sequence[float], sign: int) -> dict[str, Any]:
    """An axis for scores. Where some far worse ones would squeeze all others, it begins with the others.

    Args:
        sign: 1 where more is better, else -1.
    """
    ordered = sorted(values, reverse=sign > 0)
    if len(ordered) < _FEW:
        return axis(title)
    best, usual, worst = ordered[0], ordered[int(len(ordered) * _USUAL)], ordered[-1]
    span = abs(best - usual)
    if not span or abs(best - worst) < 3 * span:
        return axis(title)
    ends = (usual - sign * span / 2, best + sign * span / 8)
    return axis(title, range=[min(ends), max(ends)])


def left_out(scores: dict[str, Any], values: Sequence[float]) -> str:
    """How many values lie outside an axis, in words that follow a sentence."""
    low, high = scores.get("range", (-math.inf, math.inf))
    count = sum(not low <= value <= high for value in values)
    if not count:
        return ""
    return f" {count:,} far worse {'ones lie' if count > 1 else 'one lies'} outside; a double-click shows all."


def line(
    name: str,
    xs: Sequence[object],
    ys: Sequence[object],
    colour: str,
    *,
    shape: str = "linear",
    width: float = 2,
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(xs),
        "y": list(ys),
        "line": {"color": colour, "width": width, "shape": shape},
    }
