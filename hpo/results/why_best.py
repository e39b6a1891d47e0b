"""Why a trial is a study's best, in a few lines: its score against the others, what the good ones share, its end."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hpo.results.confirmed import Confirmation
from hpo.results.leaderboard import Entry
from hpo.results.noise import Noise
from hpo.spec.numbers import counted
from hpo.spec.space import Choice, SearchSpace
from hpo.spec.study import Metric, direction_of

# Of two trials no further apart than so many standard errors of a score, neither is told to be the better.
_TOLD_APART: Final = 2.0
# Of fewer, the best quarter agree by chance.
_LEAST_TRIALS: Final = 20
_GOOD_SHARE: Final = 4
# A value or a range tells good trials from the others where no larger share of the others has it.
_OF_OTHERS: Final = 0.3
_MOST_NAMED: Final = 3


@dataclass(frozen=True)
class Reached:
    """What a finished trial came to: a complete one its value, a pruned one the best that it reached."""

    number: int
    value: float
    params: Mapping[str, Any]


def why_best(
    number: int,
    entries: Sequence[Entry],
    finished: Sequence[Reached],
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
        finished: Those trials, and the pruned ones.
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
    lines.append(_in_common(number, finished, space, metric))
    return [*lines, f"It {end}."] if end else lines


def _against_others(
    place: int, entries: Sequence[Entry], metric: Metric, noise: Noise | None
) -> str:
    """Its value beside the median and the nearest other, and whether that is more than chance."""
    own, sign = entries[place], 1 if direction_of(metric) == "maximize" else -1
    median = statistics.median(entry.value for entry in entries)
    other = entries[0 if place else 1]
    ahead, gap = sign * (own.value - median), abs(own.value - other.value)
    compared = f"{gap:.4f} {'worse than' if place else 'better than'}" if gap else "as good as"
    told = (
        f"Validation {metric} {own.value:.4f} is {abs(ahead):.4f} {'better' if ahead >= 0 else 'worse'} "
        f"than the median of {len(entries)} complete trials and {compared} "
        f"{'the best of the search' if place else 'the next'}, trial {other.number}"
    )
    if noise is None:
        return f"{told}."
    error = f"one standard error is {noise.standard_error:#.2g}"
    if gap <= _TOLD_APART * noise.standard_error:
        return f"{told}. The search alone does not tell these two apart: {error}."
    return f"{told}. These two are further apart than chance brings them: {error}."


def _with_new_seeds(confirmation: Confirmation) -> list[str]:
    second = confirmation.runner_up
    if second is None:
        return []
    can = "can" if confirmation.told_apart else "cannot"
    return [
        f"Trained again with new seeds it has the best mean; the next there, trial {second.number}, {can} be "
        "told from it."
    ]


def _in_common(number: int, finished: Sequence[Reached], space: SearchSpace, metric: Metric) -> str:
    """What sets the good trials, this one among them, apart from the others."""
    if len(finished) < _LEAST_TRIALS:
        be = "is" if len(finished) == 1 else "are"
        return (
            f"{counted(len(finished), 'finished trial')} {be} too few to say what the good ones have in common "
            f"({_LEAST_TRIALS} or more)."
        )
    sign = -1 if direction_of(metric) == "maximize" else 1
    ranked = sorted(finished, key=lambda each: (each.number != number, sign * each.value))
    count = len(ranked) // _GOOD_SHARE
    good, others = ranked[:count], ranked[count:]
    shares = (_shared(name, space, good, others) for name in space)
    found = sorted((each for each in shares if each), key=lambda each: each[0])
    if not found:
        return f"No parameter sets the best {count} trials apart from the others."
    named = ", ".join(words for _, words in found[:_MOST_NAMED])
    return f"What the best {count} trials have in common, and few of the others: {named}."


def _shared(
    name: str, space: SearchSpace, good: Sequence[Reached], others: Sequence[Reached]
) -> tuple[float, str] | None:
    """The share of the others that have of a parameter what the good ones have, and that in words.

    Args:
        name: The parameter's.
        space: What was searched.
        good: The trial that is explained first.
        others: The other trials.
    """
    if not all(name in each.params for each in (*good, *others)):
        return None
    values, rest = ([each.params[name] for each in part] for part in (good, others))
    if isinstance(space[name], Choice):
        having = values.count(values[0])
        if having < len(values) - 1:
            return None
        share = rest.count(values[0]) / len(rest)
        words = f"`{name}` {values[0]}" + f" ({having} of {len(values)})" * (having < len(values))
    else:
        low, high = min(values), max(values)
        share = sum(low <= value <= high for value in rest) / len(rest)
        words = f"`{name}` {low:.3g}" + f" to {high:.3g}" * (low < high)
    return (share, words) if share <= _OF_OTHERS else None
