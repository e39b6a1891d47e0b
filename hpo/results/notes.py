"""A study and its trials in Markdown: the description of the MLflow run, the notes in the dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.data.reading import Reading
from hpo.results.appraisal import warnings
from hpo.results.baseline import baseline_in
from hpo.results.champion import Champion
from hpo.results.leaderboard import BEST_EPOCH, FOLDS, STD_OVER_FOLDS, Counts, Entry
from hpo.results.markdown_table import markdown_table
from hpo.results.noise import near_best_in_words, noise_of
from hpo.spec.space import Choice, Dimension, SearchSpace
from hpo.spec.study import Metric, StudySpec

_SHOWN = 5
_STOPPED = {
    "finished": "trained to its end",
    "early": "stopped early, as it no longer improved",
    "pruned": "pruned, as it fell behind the others",
}


@dataclass(frozen=True)
class TrialFacts:
    """What is known of a trial.

    Attributes:
        state: Optuna's name for it.
        attributes: Its user attributes.
    """

    number: int
    state: str
    metric: str
    value: float | None
    attributes: Mapping[str, Any]

    @staticmethod
    def of(
        number: int, state: str, metric: str, value: float | None, attributes: Mapping[str, Any]
    ) -> TrialFacts:
        """Those of a trial as the storage has it."""
        told = {"reason": attributes.get("hpo.reason"), **attributes}
        # A pruned trial has no value of its own; its best evaluation is what it reached.
        reached = attributes.get(metric) if value is None else value
        return TrialFacts(number, state, metric, reached, told)


def study_note(
    spec: StudySpec,
    space: SearchSpace,
    counts: Counts,
    entries: Sequence[Entry],
    champion: Champion | None,
    links: Mapping[str, str],
    reading: Reading | None = None,
    registered: str | None = None,
    why: Sequence[str] = (),
) -> str:
    """What was searched, what is the best and why, where to look.

    Args:
        links: Addresses by the words to click on.
        reading: What was read of the data, where it is known.
        registered: Where the champion loads from, if it was seen there.
        why: Why the champion is the best, as `why_best` says.
    """
    metric = spec.study.metric
    lines = [
        # First, for MLflow's page of an experiment shows one line of it until somebody unfolds it.
        _standing(spec, counts, entries, champion, registered),
        "",
        spec.study.description or f"Fine-tuning `{spec.model.name}` on `{spec.data.source}`.",
        *why_in_markdown(why),
        *_caveats(metric, entries, champion, reading),
    ]
    if links:
        lines += ["", " · ".join(f"[{words}]({address})" for words, address in links.items())]
    if entries:
        names = list(space)
        rows = [_row(entry, names) for entry in entries[:_SHOWN]]
        lines += ["", *markdown_table(("trial", metric, *names), rows)]
    lines += [
        "",
        f"Searched with {spec.search.sampler.name}, pruned by {spec.search.pruner.name}:",
        "",
        *markdown_table(
            ("parameter", "range"), [(name, _range(each)) for name, each in space.items()]
        ),
    ]
    return "\n".join(lines)


def trial_note(facts: TrialFacts, why: Sequence[str] = ()) -> str:
    """A trial's end in a sentence, and the link to its MLflow run; empty where neither is known yet.

    Args:
        why: Why it is the champion, if it is.
    """
    url = facts.attributes.get("mlflow_url")
    link = f"[MLflow run of trial {facts.number}]({url})" if url else ""
    return "\n\n".join(part for part in (link, described_end(facts, why)) if part)


def described_end(facts: TrialFacts, why: Sequence[str] = ()) -> str:
    """What came of a trial, and of a champion why it is that."""
    return "\n".join((trial_end(facts), *why_in_markdown(why)))


def why_in_markdown(why: Sequence[str]) -> list[str]:
    """Why a trial is the champion, as a list below a line."""
    return ["", "Why it is the champion:", "", *(f"- {line}" for line in why)] if why else []


def stopped_in_words(facts: TrialFacts) -> str:
    """`stopped early, as it no longer improved, after 2.50 epochs`; empty where that is not known."""
    stopped = _STOPPED.get(str(facts.attributes.get("stopped")), "")
    epochs = facts.attributes.get("epochs_run")
    return stopped + (f", after {epochs:.2f} epochs" if stopped and epochs is not None else "")


def trial_end(facts: TrialFacts) -> str:
    """What came of a trial, and why it stopped, in a sentence; empty where it has not ended."""
    attributes = facts.attributes
    if facts.state == "FAIL":
        reason = attributes.get("reason")
        return "**Failed**" + (f": {reason}" if reason else ".")
    if facts.state not in ("COMPLETE", "PRUNED"):
        return ""
    stopped = _STOPPED.get(str(attributes.get("stopped")), facts.state.lower())
    words = [f"{facts.metric} **{facts.value:.4f}**" if facts.value is not None else "", stopped]
    if STD_OVER_FOLDS in attributes:
        spread = f"± {attributes[STD_OVER_FOLDS]:.4f} over {attributes[FOLDS]} folds"
        words.insert(1, f"{spread}, the best after {attributes[BEST_EPOCH]:.2f} epochs of each")
    if "epochs_run" in attributes:
        words.append(
            f"{attributes['epochs_run']:.2f} epochs in {attributes.get('seconds', 0):.1f} s"
        )
    return "; ".join(word for word in words if word) + "."


def _standing(
    spec: StudySpec,
    counts: Counts,
    entries: Sequence[Entry],
    champion: Champion | None,
    registered: str | None,
) -> str:
    metric = spec.study.metric
    trials = (
        f"{counts.finished} of {spec.study.trials} trials finished, {counts.pruned} of them pruned"
    )
    if counts.failed:
        trials += f"; {counts.failed} failed"
    if champion is not None:
        low, high = champion.test.intervals[metric]
        place = "" if registered is None else f"Registered as `{registered}`. "
        if champion.confirmation is not None:
            place = f"{champion.confirmation.in_short()} {place}"
        return (
            f"**Best: {champion.source.words}**, validation {metric} **{champion.value:.4f}**, "
            f"test {metric} **{champion.test.metrics[metric]:.4f}** (95 % interval {low:.4f} to "
            f"{high:.4f}).\n\n{place}{trials}."
        )
    if entries:
        best = entries[0]
        return f"**Best so far: trial {best.number}**, validation {metric} **{best.score_in_words()}**. {trials}."
    return f"{trials}."


def _caveats(
    metric: Metric,
    entries: Sequence[Entry],
    champion: Champion | None,
    reading: Reading | None,
) -> list[str]:
    """What was read, what the scores are to be held against, and what speaks against the best."""
    names = () if reading is None else reading.classes
    lines = []
    if champion is not None:
        lines += warnings(champion.test, metric, names)
    if reading is not None:
        validation = baseline_in(reading, "validation", [metric])
        if entries:
            on = "On the validation folds" if reading.folds else "On the validation split"
            lines.append(f"{on}: {validation.in_words([metric])}")
        noise = noise_of([entry.value for entry in entries], metric, validation)
        if noise is not None and noise.near_best:
            lines.append(near_best_in_words(noise, len(entries)))
        lines.append(reading.in_words())
    return [line for each in lines for line in ("", each.replace("|", "\\|"))]


def _row(entry: Entry, names: Sequence[str]) -> tuple[str, ...]:
    trial = f"[{entry.number}]({entry.mlflow_url})" if entry.mlflow_url else str(entry.number)
    return (trial, entry.score_in_words(), *(_value(entry.params.get(name, "")) for name in names))


def _range(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        return ", ".join(_value(value) for value in dimension.values)
    words = f"{_value(dimension.low)} to {_value(dimension.high)}"
    if dimension.log:
        words += ", by its logarithm"
    if dimension.step not in (None, 1):
        words += f", in steps of {_value(dimension.step)}"
    return words


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
