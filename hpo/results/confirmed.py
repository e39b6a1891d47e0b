"""What came of training the best trials of a study again with new seeds, and which of them is the best so."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

from hpo.results.cross_fit import CrossFit, cross_fit
from hpo.spec.confirm import ConfirmedOn
from hpo.spec.numbers import counted
from hpo.spec.study import Direction

# A difference that chance gives less often than this is told as one.
_LEVEL: Final = 0.05


def not_confirmed(trials: int) -> str:
    """What is to be said where the best of so many trials is not trained again."""
    why = ": the best of many trials is also the luckiest of them" if trials > 1 else ""
    return f"Not confirmed (confirm.seeds is 0){why}."


@dataclass(frozen=True)
class Confirmed:
    """A trial whose configuration was trained again.

    Attributes:
        number: Of the trial, whose parameters these are.
        found: What the search had it at.
        values: Of the study's metric on validation, by seed; None where that training failed.
    """

    number: int
    found: float
    values: tuple[float | None, ...]

    @property
    def runs(self) -> list[float]:
        """The values of the trainings that did not fail."""
        return [value for value in self.values if value is not None]

    @property
    def mean(self) -> float:
        """Of the trainings that did not fail; there is one at least."""
        return statistics.fmean(self.runs)

    @property
    def standard_error(self) -> float | None:
        """Of the mean, over seeds; None with one training."""
        runs = self.runs
        return statistics.stdev(runs) / math.sqrt(len(runs)) if len(runs) > 1 else None

    def in_words(self) -> str:
        """`0.9120 ± 0.0042`, mean and standard error."""
        error = self.standard_error
        return f"{self.mean:.4f}" + ("" if error is None else f" ± {error:.4f}")


@dataclass(frozen=True)
class Confirmation:
    """The configurations that were trained again, the best mean first, and what the search had said.

    Each training on a split is scored at the evaluation at which the search's trial was best, with a seed of its own,
    so that its value owes nothing to the luck of the search's seed or evaluation and, on new validation
    texts, nothing to that of the texts. `benchmarks/coverage.py` measures what is left.

    Attributes:
        direction: Whether more or less of the metric is better.
        found: The trial that the search had found best.
        ranked: Those of which a training came to something, the best mean first.
        failed: Those of which none did.
        on: The validation texts on which they were scored.
    """

    direction: Direction
    found: Confirmed
    ranked: tuple[Confirmed, ...]
    failed: tuple[Confirmed, ...] = ()
    on: ConfirmedOn = "same"

    @property
    def champion(self) -> Confirmed | None:
        """The one with the best mean; None where all trainings failed."""
        return self.ranked[0] if self.ranked else None

    @property
    def runner_up(self) -> Confirmed | None:
        return self.ranked[1] if len(self.ranked) > 1 else None

    @cached_property
    def expected(self) -> CrossFit | None:
        """What is to be expected of the champion's parameters; None where all trainings failed."""
        if self.champion is None:
            return None
        sign = -1 if self.direction == "maximize" else 1
        # In the search's order, which says nothing of the new seeds.
        by_search = sorted(self.ranked, key=lambda each: (sign * each.found, each.number))
        values = {each.number: each.values for each in by_search}
        return cross_fit(values, self.champion.number, self.direction)

    @property
    def optimism(self) -> float | None:
        """By how much the search had its best too good, positive whichever way the metric goes."""
        if self.expected is None:
            return None
        gap = self.found.found - self.expected.mean
        return gap if self.direction == "maximize" else -gap

    @property
    def p_value(self) -> float | None:
        """How often chance alone would part champion and runner-up by so much or more.

        The two-sided paired t test (Student, 1908) over the seeds that both were trained with: a seed
        orders the texts and draws the head for both alike, so that much of its luck cancels out. It has
        seeds - 1 degrees of freedom, and with three seeds finds only what is large beside the scatter.

        Returns:
            None with fewer than two seeds of both, or without a runner-up.
        """
        if self.champion is None or self.runner_up is None:
            return None
        return paired_p_value(self.champion.values, self.runner_up.values)

    @property
    def told_apart(self) -> bool:
        """Whether the runner-up can be told from the champion."""
        p = self.p_value
        return p is not None and p < _LEVEL

    @property
    def seeds(self) -> int:
        """Trainings of each."""
        return len(self.found.values)

    def as_json(self) -> dict[str, Any]:
        """Facts for programs, and for `from_json`."""
        expected = self.expected
        return {
            "direction": self.direction,
            "validation": self.on,
            "found": asdict(self.found),
            "ranked": [asdict(each) for each in self.ranked],
            "failed": [asdict(each) for each in self.failed],
            "mean": None if expected is None else expected.mean,
            "standard_error": None if expected is None else expected.standard_error,
            "optimism": self.optimism,
            "runner_up": None if self.runner_up is None else self.runner_up.number,
            "p_value": self.p_value,
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Confirmation:
        """The confirmation that `as_json` told of."""
        ranked, failed = (tuple(map(_read, document[key])) for key in ("ranked", "failed"))
        found, on = _read(document["found"]), document.get("validation", "same")
        return Confirmation(document["direction"], found, ranked, failed, on)

    def in_words(self, metric: str) -> list[str]:
        """What came of it, a sentence each, for people."""
        if self.champion is None or self.expected is None:
            lines = [
                "Confirmation: every training with a new seed failed; the search's best stands."
            ]
        else:
            lines = [
                f"Confirmed: trial {self.champion.number}, validation {metric} "
                f"{self.expected.in_words()} ({self._how_in_words(self.expected)}).",
                *self._optimism_in_words(),
            ]
        lines += self._runner_up_in_words()
        lines += [f"Trial {each.number} failed with every new seed." for each in self.failed]
        lines += [_failures(each) for each in self.ranked if len(each.runs) < len(each.values)]
        return lines

    def in_short(self) -> str:
        """`Confirmed at 0.9120 ± 0.0042 over 3 new seeds on new texts; optimism of the search +0.0151.`"""
        if self.expected is None:
            return "Every training with a new seed failed."
        return f"Confirmed at {self.expected_in_words}."

    @property
    def expected_in_words(self) -> str:
        """`0.9120 ± 0.0042 over 3 new seeds on new texts; optimism of the search +0.0151`."""
        if self.expected is None:
            return "by none of the new seeds, with which every training failed"
        return (
            f"{self.expected.in_words()} over {self.seeds_in_words}; "
            f"optimism of the search {_signed(self.optimism or 0.0)}"
        )

    @property
    def seeds_in_words(self) -> str:
        """`3 new seeds on new texts`."""
        seeds = 0 if self.expected is None else len(self.expected.picks)
        return f"{counted(seeds, 'new seed')} on {'new' if self.on == 'new' else 'the same'} texts"

    @property
    def metrics(self) -> dict[str, float]:
        """The same as numbers, by name."""
        expected = self.expected
        found = {
            "confirmed_mean": None if expected is None else expected.mean,
            "confirmed_standard_error": None if expected is None else expected.standard_error,
            "optimism": self.optimism,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _how_in_words(self, expected: CrossFit) -> str:
        """What the number is: `mean ± standard error over 3 new seeds on new texts, …`."""
        chosen = len(self.ranked) + len(self.failed) > 1
        if not expected.is_held_out:
            mean = "the mean of" if len(expected.picks) > 1 else "of"
            return f"{mean} {self.seeds_in_words}" + ", which also chose it" * chosen
        what = "mean" if expected.standard_error is None else "mean ± standard error"
        over = f"{what} over {self.seeds_in_words}"
        return over + ", chosen each time by the other seeds" * chosen

    def _optimism_in_words(self) -> list[str]:
        optimism = self.optimism or 0.0
        gap, looked = _signed(optimism), "better" if optimism > 0 else "worse"
        by = f"{gap[1:]} {looked}" if float(gap) else "the same"
        return [
            f"The search had its best, trial {self.found.number}, at {self.found.found:.4f}: "
            f"{by} (optimism {gap})."
        ]

    def _runner_up_in_words(self) -> list[str]:
        first, second, p = self.champion, self.runner_up, self.p_value
        if first is None or second is None:
            return []
        can = "can" if self.told_apart else "cannot"
        how = "too few seeds" if p is None else f"p = {p:.2g}, paired t test over the same seeds"
        return [
            f"The next, trial {second.number}, {can} be told from it (means {second.in_words()} and "
            f"{first.in_words()}; {how})."
        ]


def _signed(gap: float) -> str:
    """`+0.0151`; what rounds to nothing is `+0.0000`, whatever its sign."""
    return f"{round(gap, 4) + 0.0:+.4f}"


def ranking(
    candidates: Sequence[Confirmed], direction: Direction, on: ConfirmedOn = "same"
) -> Confirmation:
    """Rank configurations by their means over new seeds.

    Args:
        candidates: In the search's own order, its best first; at least one.
        direction: Whether more or less of the metric is better.
        on: The validation texts on which they were scored.

    Returns:
        The confirmation; of equal means the search's order stands.
    """
    sign = -1 if direction == "maximize" else 1
    alive = [each for each in candidates if each.runs]
    return Confirmation(
        direction=direction,
        found=candidates[0],
        # Rounded, for means that are equal as fractions may differ as floats.
        ranked=tuple(sorted(alive, key=lambda each: sign * round(each.mean, 12))),
        failed=tuple(each for each in candidates if not each.runs),
        on=on,
    )


def paired_p_value(first: Sequence[float | None], second: Sequence[float | None]) -> float | None:
    """Student's paired t test, two-sided, over the places where both have a value; None for fewer than two."""
    gaps = [a - b for a, b in zip(first, second, strict=False) if a is not None and b is not None]
    if len(gaps) < 2:
        return None
    mean, spread = statistics.fmean(gaps), statistics.stdev(gaps)
    if spread == 0:
        return 0.0 if mean else 1.0
    from scipy.stats import t  # not for all who import this: it takes a second

    return float(2 * t.sf(abs(mean) / (spread / math.sqrt(len(gaps))), len(gaps) - 1))


def _read(document: Mapping[str, Any]) -> Confirmed:
    return Confirmed(document["number"], document["found"], tuple(document["values"]))


def _failures(each: Confirmed) -> str:
    failed = len(each.values) - len(each.runs)
    return (
        f"Trial {each.number} failed with {counted(failed, 'new seed')}; its mean is of the others."
    )
