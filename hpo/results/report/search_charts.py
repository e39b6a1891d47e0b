"""Charts of a search: its history, learning curves, and what the parameters had to do with the scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from hpo.results.report.facts import StudyFacts, Trial, score
from hpo.results.report.parts import (
    ACCENT,
    BEST,
    MUTED,
    Chart,
    axis,
    left_out,
    line,
    points,
    score_axis,
    shown,
)

_AXES: Final = 8
_MANY: Final = 150
_BARS: Final = 12
_TICKS: Final = 6
_APART: Final = (
    20  # of the axis one part at least between two labels: less runs them into each other
)
_SEVERAL_POWERS: Final = 100


def history(facts: StudyFacts) -> Chart:
    """Each trial's score in the order in which they were begun, and the best so far."""
    complete = sorted(facts.complete, key=lambda each: each.number)
    best = best_so_far(facts)
    traces = [
        points("pruned", [t for t in facts.scored if t.state == "pruned"], MUTED, 0.45),
        points("complete", complete, ACCENT, 0.9),
        line("best so far", [x for x, _ in best], [y for _, y in best], BEST, shape="hv"),
    ]
    scores = [score(trial) for trial in facts.scored]
    upright = score_axis(f"validation {facts.metric}", scores, facts.sign)
    few = {"dtick": 1} if len(facts.trials) <= _TICKS else {}
    layout = {"xaxis": axis("trial", **few), "yaxis": upright}
    note = "Pruned trials stand at the best that they reached." + left_out(upright, scores)
    return Chart("How the search went", note, traces, layout)


def best_so_far(facts: StudyFacts) -> list[tuple[int, float]]:
    """The best score of the complete trials up to each of them, by number."""
    found: list[tuple[int, float]] = []
    for trial in sorted(facts.complete, key=lambda each: each.number):
        value = score(trial)
        if found and facts.sign * (found[-1][1] - value) > 0:
            value = found[-1][1]
        found.append((trial.number, value))
    return found


def curves(facts: StudyFacts) -> Chart:
    """The metric over the epochs of all trials; a trace for each kind, for plotly is slow with many."""
    best = facts.complete[0].number if facts.complete else None
    pruned = [trial for trial in facts.trials if trial.state == "pruned"]
    others = [trial for trial in facts.complete if trial.number != best]
    thin = len(others) + len(pruned) > _MANY
    traces = [
        _curves("pruned", pruned, MUTED, 0.2 if thin else 0.3, 0.5 if thin else 1),
        _curves("complete", others, ACCENT, 0.3 if thin else 0.55, 0.5 if thin else 1),
    ]
    if best is not None:
        traces.append(_curves(f"trial {best}, the best", facts.complete[:1], BEST, 1.0, 3))
    epochs = "epochs" + " of one fold after another" * bool(facts.spec.validation.folds)
    values = [value for trial in facts.trials for _, value in trial.curve]
    upright = score_axis(f"validation {facts.metric}", values, facts.sign)
    layout = {"xaxis": axis(epochs), "yaxis": upright}
    note = "The metric at each evaluation. Faded lines end where their trial was pruned."
    note += " A double-click shows all." * ("range" in upright)
    return Chart("Learning curves", note, traces, layout)


def _curves(
    name: str, trials: Sequence[Trial], colour: str, opacity: float, width: float
) -> dict[str, Any]:
    """Several curves as one line with gaps."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    names: list[str] = []
    for trial in trials:
        xs += [*(x for x, _ in trial.curve), None]
        ys += [*(y for _, y in trial.curve), None]
        names += [f"trial {trial.number}"] * (len(trial.curve) + 1)
    template = "%{text}<br>%{x:.2f} epochs: %{y:.4f}<extra></extra>"
    trace = line(name, xs, ys, colour, width=width)
    return trace | {"opacity": opacity, "text": names, "hovertemplate": template}


def importance(facts: StudyFacts) -> Chart:
    """The most important parameters' shares of the differences, the largest on top, and the others' sum."""
    found = list(facts.importances.items())
    rest = sum(share for _, share in found[_BARS:])
    bars = [(shown(name), share) for name, share in found[:_BARS]]
    bars += [(f"the other {len(found) - _BARS}", rest)] if len(found) > _BARS else []
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [share for _, share in bars],
        "y": [name for name, _ in bars],
        "marker": {"color": ACCENT},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    upright = {"automargin": True, "dtick": 1, "autorange": "reversed"}
    layout = {"xaxis": axis("", tickformat=".0%"), "yaxis": upright}
    note = "How much of the differences between scores each searched parameter accounts for (PED-ANOVA)."
    return Chart("What made the difference", note, [trace], layout)


def slices(facts: StudyFacts, name: str) -> Chart:
    """The score against one parameter."""
    having = [trial for trial in facts.scored if name in trial.params]
    across = axis(name)
    if is_log(facts, name):
        across |= _log_axis([trial.params[name] for trial in having])
    elif not is_numeric(facts, name):
        kinds = _in_order([trial.params[name] for trial in having])
        across |= {"type": "category", "categoryarray": [shown(kind) for kind in kinds]}
    traces = []
    for state, colour, opacity in (("pruned", MUTED, 0.45), ("complete", ACCENT, 0.9)):
        trials = [trial for trial in having if trial.state == state]
        values = [trial.params[name] for trial in trials]
        xs = values if is_numeric(facts, name) else [shown(value) for value in values]
        traces.append(points(state, trials, colour, opacity, xs=xs))
    upright = score_axis("", [score(trial) for trial in facts.scored], facts.sign)
    layout = {"xaxis": across, "yaxis": upright, "showlegend": False}
    return Chart(name, "", traces, layout, 240)


def _log_axis(values: Sequence[float]) -> dict[str, Any]:
    """Over several powers of ten these alone have a number: those between would run into them."""
    wide = values and max(values) > _SEVERAL_POWERS * min(values)
    return {"type": "log", "exponentformat": "power", **({"dtick": 1} if wide else {})}


def parallel(facts: StudyFacts) -> Chart:
    """All scored trials as lines over the most important parameters and the score; the best stand out."""
    trials = facts.scored
    names = [name for name in facts.parameters if all(name in t.params for t in trials)][:_AXES]
    scores = [score(trial) for trial in trials]
    dimensions = [_dimension(facts, name, trials) for name in names]
    dimensions.append({"label": shown(facts.metric), "values": scores, "tickformat": ".3~f"})
    lines = {
        "type": "parcoords",
        "ids": [str(trial.number) for trial in trials],
        "labelfont": {"color": "@text"},
        "tickfont": {"color": "@text"},
        "rangefont": {"color": "@panel"},
        "dimensions": dimensions,
        "line": {
            "color": list(range(len(trials), 0, -1)),
            "colorscale": [[0, "@faint"], [0.6, "@faint"], [0.85, ACCENT], [1, BEST]],
        },
        "labelangle": -12,
    }
    layout = {"margin": {"l": 60, "r": 50, "t": 80, "b": 24}}
    note = (
        "Drag along an axis to pick a range, click beside it to let go; "
        "the leaderboard then shows the picked trials alone."
    )
    if len(names) < len(facts.parameters):
        note += f" The {len(names)} most important of {len(facts.parameters)} parameters."
    return Chart("Parameters together", note, [lines], layout, 400, wide=True, kind="parallel")


def _dimension(facts: StudyFacts, name: str, trials: list[Trial]) -> dict[str, Any]:
    values = [trial.params[name] for trial in trials]
    shape: dict[str, Any] = {"label": shown(name, 22)}
    kinds = _in_order(values)
    if not is_numeric(facts, name):
        texts = [shown(kind, 14) for kind in kinds]
        places = list(range(len(kinds)))
        return shape | {
            "values": [kinds.index(value) for value in values],
            "tickvals": places,
            "ticktext": texts,
        }
    if is_log(facts, name) and all(value > 0 for value in values):
        logs = [math.log10(value) for value in values]
        ticks_at = _ticks(logs)
        texts = [f"{10**tick:.3g}" for tick in ticks_at]
        return shape | {"values": logs, "tickvals": ticks_at, "ticktext": texts}
    if len(kinds) <= _TICKS:
        ticks_at = _ticks(values)
        texts = [f"{tick:.3g}" for tick in ticks_at]
        return shape | {"values": values, "tickvals": ticks_at, "ticktext": texts}
    return shape | {"values": values, "tickformat": ".3~g"}


def _ticks(values: Sequence[float]) -> list[float]:
    """The values themselves where few stand apart from each other, else places at even distances."""
    kinds = sorted(set(values))
    low, high = kinds[0], kinds[-1]
    apart = (high - low) / _APART
    if len(kinds) <= _TICKS and all(b - a >= apart for a, b in pairwise(kinds)):
        return kinds
    return [low + (high - low) * step / (_TICKS - 1) for step in range(_TICKS)]


def is_log(facts: StudyFacts, name: str) -> bool:
    """Whether a parameter is searched by its logarithm."""
    entry = facts.spec.search.space.get(name)
    return isinstance(entry, dict) and bool(entry.get("log"))


def is_numeric(facts: StudyFacts, name: str) -> bool:
    values = [trial.params[name] for trial in facts.trials if name in trial.params]
    return isinstance(facts.spec.search.space.get(name), dict) and all(
        isinstance(each, int | float) for each in values
    )


def _in_order(values: Sequence[Any]) -> list[Any]:
    """Each value once, numbers before words."""
    return sorted(set(values), key=lambda value: (isinstance(value, str), value))
