"""Why a trial is a study's best, in a few lines: its score against the others, what the good ones share, its end."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from hpo.results.confirmed import Confirmation
from hpo.results.leaderboard import Entry
from hpo.results.noise import Noise
from hpo.spec.space import Choice, SearchSpace
from hpo.spec.study import Metric, direction_of

# Of two trials no further apart than so many standard errors of a score, neither is told to be the better.
_TOLD_APART: Final = 2.0
# With fewer good ones, or fewer to hold them against, parameters agree by chance.
_LEAST_GOOD: Final = 5
_LEAST_TRIALS: Final = 20
_GOOD_SHARE: Final = 4
# A value or a range tells good trials from the others where no larger share of the others has it.
_OF_OTHERS: Final = 0.3
_MOST_NAMED: Final = 3


def why_best(
    number: int,
    entries: Sequence[Entry],
    space: SearchSpace,
    metric: Metric,
    *,
    noise: Noise | None = None,
    confirmation: Confirmation | None = None,
    end: str = "",
) -> list[str]:
    """Why the trial is the best, a sentence or two each; none where no other is there.

    Args:
        number: The trial's.
        entries: The leaderboard, with the trial.
        space: What was searched.
        metric: The study's.
        noise: What chance makes of the leaderboard, where there is a rule for it.
        confirmation: How the trial was chosen among the best, where it was.
        end: How its training ended, in words.
    """
    numbers = [entry.number for entry in entries]
    if len(entries) < 2 or number not in numbers:
        return []
    place = numbers.index(number)
    lines = [_against_others(place, entries, metric, noise)]
    if confirmation is not None and confirmation.champion is not None:
        lines += _with_new_seeds(confirmation)
    lines.append(_in_common(place, entries, space))
    return [*lines, f"It {end}."] if end else lines


def _against_others(
    place: int, entries: Sequence[Entry], metric: Metric, noise: Noise | None
) -> str:
    """Its value beside the median and the nearest other, and whether that is more than chance."""
    own, sign = entries[place], 1 if direction_of(metric) == "maximize" else -1
    median = statistics.median(entry.value for entry in entries)
    other = entries[0 if place else 1]
    ahead, gap = sign * (own.value - median), abs(own.value - other.value)
    told = (
        f"Validation {metric} {own.value:.4f} is {abs(ahead):.4f} {'better' if ahead >= 0 else 'worse'} "
        f"than the median of {len(entries)} complete trials, and {gap:.4f} "
        f"{'worse than the best of the search' if place else 'better than the next'}, trial {other.number}"
    )
    if noise is None:
        return f"{told}."
    error = f"(standard error {noise.standard_error:#.2g})"
    if gap <= _TOLD_APART * noise.standard_error:
        return f"{told}; that is no more than chance gives {error}, so the search alone does not tell the two apart."
    return f"{told}; that is more than chance gives {error}."


def _with_new_seeds(confirmation: Confirmation) -> list[str]:
    second = confirmation.runner_up
    if second is None:
        return []
    can = "can" if confirmation.told_apart else "cannot"
    return [
        f"Trained again with new seeds it has the best mean; the next there, trial {second.number}, {can} be "
        "told from it."
    ]


def _in_common(place: int, entries: Sequence[Entry], space: SearchSpace) -> str:
    """What sets the good trials, this one among them, apart from the others."""
    if len(entries) < _LEAST_TRIALS:
        return (
            f"{len(entries)} complete trials are too few to say what the good ones have in common "
            f"({_LEAST_TRIALS} or more)."
        )
    count = max(_LEAST_GOOD, len(entries) // _GOOD_SHARE)
    good = [entry for at, entry in enumerate(entries) if at < count or at == place]
    others = [entry for at, entry in enumerate(entries) if at >= count and at != place]
    found = sorted(
        (
            shared
            for name in space
            if (shared := _shared(name, space, good, others, entries[place]))
        ),
        key=lambda each: each[0],
    )
    if not found:
        return f"No parameter sets the best {len(good)} trials apart from the others."
    named = ", ".join(words for _, words in found[:_MOST_NAMED])
    return f"The best {len(good)} trials, this one among them, have in common: {named}."


def _shared(
    name: str, space: SearchSpace, good: Sequence[Entry], others: Sequence[Entry], own: Entry
) -> tuple[float, str] | None:
    """The share of the others that have of a parameter what the good ones have, and that in words."""
    if not all(name in entry.params for entry in (*good, *others)):
        return None
    values, rest = ([entry.params[name] for entry in each] for each in (good, others))
    if isinstance(space[name], Choice):
        value = own.params[name]
        having = values.count(value)
        if having < len(values) - 1:
            return None
        share = rest.count(value) / len(rest)
        words = f"`{name}` {value}" + (f" ({having} of {len(values)})" * (having < len(values)))
    else:
        low, high = min(values), max(values)
        share = sum(low <= value <= high for value in rest) / len(rest)
        words = f"`{name}` {low:.3g}" + (f" to {high:.3g}" * (low < high))
    return (share, words) if share <= _OF_OTHERS else None
