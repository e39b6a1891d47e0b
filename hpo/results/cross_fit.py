"""What a choice among a few configurations is worth: made by some repetitions, scored with another.

The largest of several means is too large. So for each repetition the best is chosen by the means over
the others, and its value in this one counts, which the choice has not seen (cross-fitting: Chernozhukov
et al., Double/Debiased Machine Learning, 2018).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hpo.spec.study import Direction


@dataclass(frozen=True)
class Pick:
    """The configuration that the other repetitions choose, and its value in this one."""

    repetition: int
    number: int
    value: float


@dataclass(frozen=True)
class CrossFit:
    """The value that a choice among configurations is to be expected to have.

    Attributes:
        picks: One for each repetition that has one; not empty.
        is_held_out: Whether the values are of repetitions that chose nothing.
    """

    picks: tuple[Pick, ...]
    is_held_out: bool

    @property
    def mean(self) -> float:
        """Over repetitions."""
        return statistics.fmean(pick.value for pick in self.picks)

    @property
    def standard_error(self) -> float | None:
        """Of the mean, over repetitions; None where there is but one."""
        values = [pick.value for pick in self.picks]
        return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None

    def in_words(self) -> str:
        """`0.9120 ± 0.0042`, mean and standard error."""
        error = self.standard_error
        return f"{self.mean:.4f}" + ("" if error is None else f" ± {error:.4f}")


def cross_fit(
    values: Mapping[int, Sequence[float | None]], champion: int, direction: Direction
) -> CrossFit:
    """Choose by all repetitions but one and score with that one, for each.

    Args:
        values: Of each configuration by repetition, None where it failed; of equal means the
            configuration that stands first is chosen.
        champion: The choice of all repetitions, taken where these are too few to be divided.
        direction: Whether more or less is better.
    """
    repetitions = max(map(len, values.values()))
    picks = [pick for each in range(repetitions) for pick in _pick(values, each, direction)]
    if picks:
        return CrossFit(tuple(picks), is_held_out=True)
    own = enumerate(values[champion])
    chosen = [Pick(each, champion, value) for each, value in own if value is not None]
    return CrossFit(tuple(chosen), is_held_out=False)


def _pick(
    values: Mapping[int, Sequence[float | None]], repetition: int, direction: Direction
) -> Iterator[Pick]:
    """What the other repetitions choose among the configurations that have a value in this one."""
    sign, best = (-1 if direction == "maximize" else 1), math.inf
    found: Pick | None = None
    for number, row in values.items():
        value = row[repetition]
        others = [each for at, each in enumerate(row) if at != repetition and each is not None]
        if value is None or not others:
            continue
        # Rounded, for means that are equal as fractions may differ as floats.
        mean = sign * round(statistics.fmean(others), 12)
        if mean < best:
            best, found = mean, Pick(repetition, number, value)
    if found is not None:
        yield found
