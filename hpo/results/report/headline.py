"""What came out of a study in words: its best, the test score, and what that is to be held against."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.results.appraisal import appraise
from hpo.results.baseline import baseline_of
from hpo.results.champion import Champion
from hpo.results.confirmed import Confirmation
from hpo.results.noise import near_best_in_words
from hpo.results.report.facts import StudyFacts, score
from hpo.results.report.times import Times, times_of
from hpo.spec.numbers import duration


@dataclass(frozen=True)
class Figure:
    """One number that people look for first: what it is of, the number, and what it means."""

    label: str
    number: str
    meaning: str


def headline(facts: StudyFacts) -> str:
    """The outcome in a sentence or two."""
    best = facts.complete[0] if facts.complete else None
    champion = facts.champion
    if champion is not None:
        chosen = "" if champion.confirmation is None else f" {champion.confirmation.in_short()}"
        return f"{_tested(facts, champion)} {_gap(facts, champion)}{chosen}"
    if best is not None:
        spread = "" if best.std is None else f" ± {best.std:.4f}"
        return (
            f"Trial {best.number} is the best so far: validation {facts.metric} "
            f"{score(best):.4f}{spread}. The test split has not been looked at."
        )
    return "No trial is complete yet."


def caveats(facts: StudyFacts) -> list[str]:
    """What speaks against the best, how much of the leaderboard is chance, and what was read."""
    lines = []
    if facts.champion is not None:
        appraisal = appraise(facts.champion.test, facts.metric, facts.label_names)
        lines += [f"Beware: {remark}." for remark in appraisal.remarks]
        lines += [appraisal.hint] if appraisal.hint else []
    if facts.noise is not None and facts.noise.near_best:
        lines.append(near_best_in_words(facts.noise, len(facts.complete)))
    if facts.reading is not None:
        lines.append(facts.reading.in_words())
    return lines


def figures(facts: StudyFacts) -> list[Figure]:
    """The numbers that people look for first."""
    shown = []
    if facts.champion is not None:
        shown += _of_champion(facts, facts.champion)
    if facts.complete:
        best = facts.complete[0]
        value = score(best) if facts.champion is None else facts.champion.value
        name = facts.champion.source.words if facts.champion else f"trial {best.number}"
        shown.append(Figure(f"Validation {facts.metric}", f"{value:.4f}", f"of {name}"))
    shown.append(_trials(facts))
    times = times_of(facts)
    if times is not None:
        shown.append(Figure("Time", duration(times.spent), _timed(times)))
    return shown


def _timed(times: Times) -> str:
    """Whose time it is."""
    beyond = ["confirmation"] * bool(times.confirmation) + ["refit"] * bool(times.refit)
    return "of all workers together" + f", {' and '.join(beyond)} included" * bool(beyond)


def _of_champion(facts: StudyFacts, champion: Champion) -> list[Figure]:
    metric, test = facts.metric, champion.test
    low, high = test.intervals[metric]
    baseline = baseline_of(test, facts.label_names, [metric])
    gap = test.metrics[metric] - baseline.scores[metric]
    means = [] if champion.confirmation is None else _confirmed(champion.confirmation, metric)
    return [
        Figure(f"Test {metric}", f"{test.metrics[metric]:.4f}", f"95 %: {low:.4f} to {high:.4f}"),
        *means,
        Figure(
            "Against the baseline",
            f"{gap:+.4f}",
            f"{baseline.scores[metric]:.4f}, one answer for all",
        ),
    ]


def _confirmed(confirmation: Confirmation, metric: str) -> list[Figure]:
    expected = confirmation.expected
    if expected is None:
        return []
    error = "" if expected.standard_error is None else f"± {expected.standard_error:.4f}, "
    how = f"{error}{confirmation.seeds_in_words}"
    return [Figure(f"Confirmed {metric}", f"{expected.mean:.4f}", how)]


def _trials(facts: StudyFacts) -> Figure:
    finished = facts.count("complete") + facts.count("pruned")
    parts = [f"{facts.count('pruned')} pruned"]
    parts += [f"{facts.count('failed')} failed"] if facts.count("failed") else []
    parts += [f"{facts.count('running')} under way"] if facts.count("running") else []
    return Figure("Trials", f"{finished:,} of {facts.spec.study.trials:,}", ", ".join(parts))


def _tested(facts: StudyFacts, champion: Champion) -> str:
    metric, test = facts.metric, champion.test
    low, high = test.intervals[metric]
    words = champion.source.words
    best = "is the best of" if champion.confirmation is None else "was chosen out of"
    trials = len(facts.scored)
    place = f"{best} {trials:,} trials" if trials > 1 else "is the only trial"
    return (
        f"{words[0].upper()}{words[1:]} {place}: test {metric} "
        f"{test.metrics[metric]:.4f} (95 % interval {low:.4f} to {high:.4f}, {test.texts:,} texts)."
    )


def _gap(facts: StudyFacts, champion: Champion) -> str:
    """How far it lies from the same answer for every text, and from what the search had said."""
    metric, test = facts.metric, champion.test
    baseline = baseline_of(test, facts.label_names, [metric])
    constant, tested = baseline.scores[metric], test.metrics[metric]
    gap = tested - constant
    side = "above" if gap > 0 else "below"
    found = (
        f"That is {abs(gap):.4f} {side} {baseline.answer(metric)} ({constant:.4f})"
        if gap
        else f"That is no more than {baseline.answer(metric)}"
    )
    drop = facts.sign * (champion.value - tested)
    compared = f"{abs(drop):.4f} {'better' if drop > 0 else 'worse'} than the test"
    return f"{found}; validation had said {champion.value:.4f}, {compared}."
