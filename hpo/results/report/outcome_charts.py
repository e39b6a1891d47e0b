"""Charts of what came out: what a score costs, where the time went, and what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hpo.results.report.facts import StudyFacts, Trial, score
from hpo.results.report.parts import (
    ACCENT,
    BAD,
    BEST,
    GOOD,
    MUTED,
    Chart,
    axis,
    left_out,
    line,
    points,
    score_axis,
    shown,
)
from hpo.results.report.times import Times
from hpo.spec.numbers import duration

_CLASSES: Final = 60
_NUMBERED_CLASSES: Final = 12
_UNITS: Final = ((7200, 3600, "hours"), (120, 60, "minutes"), (0, 1, "seconds"))


def against_seconds(facts: StudyFacts) -> Chart:
    """The score against what it took, with the trials that no other beats in both."""
    timed = [trial for trial in facts.complete if trial.seconds]
    front = pareto_front(timed, facts.sign)
    xs = [trial.seconds for trial in front]
    edge = line("Pareto front", xs, [score(trial) for trial in front], BEST, shape="hv")
    seconds, scores = [trial.seconds for trial in timed], [score(trial) for trial in timed]
    traces = [points("complete", timed, ACCENT, 0.9, xs=seconds), edge]
    upright = score_axis(f"validation {facts.metric}", scores, facts.sign)
    layout = {"xaxis": axis("seconds of training", type="log"), "yaxis": upright}
    note = (
        "On the line lie the trials that no other beats in both score and time. All are of one model, and so "
        "equally large."
    )
    return Chart("What a score costs", note + left_out(upright, scores), traces, layout)


def pareto_front(trials: Sequence[Trial], sign: int) -> list[Trial]:
    """The trials that no faster one equals in score, the fastest first.

    Args:
        trials: With their seconds.
        sign: 1 where more of the score is better, else -1.
    """
    front: list[Trial] = []
    for trial in sorted(trials, key=lambda each: (each.seconds or 0.0, -sign * score(each))):
        if not front or sign * (score(trial) - score(front[-1])) > 0:
            front.append(trial)
    return front


def time_spent(times: Times) -> Chart:
    """Where the time of the workers went, and what pruning spared them."""
    parts = [
        ("trained to the end", times.complete, ACCENT),
        ("trained, then pruned", times.pruned, MUTED),
        ("evaluating", times.evaluation, BEST),
        ("waiting at evaluations", times.waiting, MUTED),
        ("around the training", times.around, BEST),
        ("trials that failed", times.failed, BAD),
        ("confirmation", times.confirmation, ACCENT),
        ("refit", times.refit, ACCENT),
        ("saved by pruning", times.saved_by_pruning, GOOD),
        ("saved by the cache", times.saved_by_cache, GOOD),
    ]
    parts = [part for part in parts if part[1] > 0]
    longest = max(seconds for _, seconds, _ in parts)
    unit, words = next((unit, words) for least, unit, words in _UNITS if longest >= least)
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [name for name, _, _ in parts],
        "x": [seconds / unit for _, seconds, _ in parts],
        "marker": {"color": [colour for _, _, colour in parts]},
        "text": [duration(seconds) for _, seconds, _ in parts],
        "textposition": "auto",
        "textangle": 0,
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }
    layout = {
        "xaxis": axis(f"{words}, all workers together"),
        "yaxis": {"automargin": True, "autorange": "reversed"},
    }
    return Chart("Where the time went", _told_of(times), [bars], layout, 120 + 40 * len(parts))


def _told_of(times: Times) -> str:
    """What the parts mean that are there."""
    told = (
        "At evaluations a training waits until storage, pruner and MLflow have taken them. "
        if times.evaluation
        else "Training includes its evaluations. "
    )
    told += "Around it lie loading, writing, waiting and interruptions."
    estimates = ["the epochs that pruned trials had left, at their pace"] * bool(
        times.saved_by_pruning
    )
    estimates += ["the frozen blocks that were not run again, at the pace of one"] * bool(
        times.saved_by_cache
    )
    return told + f" What was saved is an estimate: {'; '.join(estimates)}." * bool(estimates)


def confusion(facts: StudyFacts) -> Chart | None:
    """The champion's on the test split; None where a text is not of one class."""
    if facts.champion is None or not facts.champion.test.confusion:
        return None
    counts = facts.champion.test.confusion
    names = facts.label_names or [f"class {number}" for number in range(len(counts))]
    kept = sorted(sorted(range(len(counts)), key=lambda each: -sum(counts[each]))[:_CLASSES])
    cells = [[counts[row][column] for column in kept] for row in kept]
    heat = {
        "type": "heatmap",
        "z": [
            [n / max(sum(counts[row]), 1) for n in given]
            for row, given in zip(kept, cells, strict=True)
        ],
        "text": [[f"{count:,}" for count in given] for given in cells],
        "hovertext": [[_confused(names, counts, row, column) for column in kept] for row in kept],
        "hoverinfo": "text",
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "@panel"], [1, ACCENT]],
        "showscale": False,
        "texttemplate": "%{text}" if len(kept) <= _NUMBERED_CLASSES else "",
    }
    labels = [shown(names[each], 18) for each in kept]
    ticks = {"tickmode": "array", "tickvals": list(range(len(kept))), "ticktext": labels}
    layout = {
        "xaxis": axis("answered") | ticks,
        "yaxis": axis("true label") | ticks | {"autorange": "reversed"},
    }
    note = f"{facts.champion.test.texts:,} texts of the test split; the shade is the share of the true label."
    if len(kept) < len(counts):
        note += f" The {len(kept)} largest of {len(counts)} classes."
    return Chart(
        "What is taken for what", note, [heat], layout, min(760, max(320, 180 + 44 * len(kept)))
    )


def _confused(names: Sequence[str], counts: Sequence[Sequence[int]], row: int, column: int) -> str:
    share = counts[row][column] / max(sum(counts[row]), 1)
    pair = f"true {shown(names[row])}, answered {shown(names[column])}"
    return f"{pair}:<br>{counts[row][column]:,} texts, {share:.1%}"
