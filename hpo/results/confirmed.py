"""What came of training the best trials of a study again with new seeds, and which of them is the best so."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from hpo.spec.study import Direction

# A difference that chance gives less often than this is told as one.
_LEVEL: Final = 0.05

NOT_CONFIRMED: Final = (
    "Not confirmed (confirm.seeds is 0): the best of many trials is also the luckiest of them."
)


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

    The mean of a configuration over new seeds is free of the luck of the seed that made its trial one of
    the best, not of that of the validation texts: all trainings are scored on the same, and each takes
    its best evaluation there. The standard error is that of seeds. How sure a score is that has so few
    texts, the interval of the test says; `benchmarks/coverage.py` measures what is left.

    Attributes:
        direction: Whether more or less of the metric is better.
        found: The trial that the search had found best.
        ranked: Those of which a training came to something, the best mean first.
        failed: Those of which none did.
    """

    direction: Direction
    found: Confirmed
    ranked: tuple[Confirmed, ...]
    failed: tuple[Confirmed, ...] = ()

    @property
    def champion(self) -> Confirmed | None:
        """The one with the best mean; None where all trainings failed."""
        return self.ranked[0] if self.ranked else None

    @property
    def runner_up(self) -> Confirmed | None:
        return self.ranked[1] if len(self.ranked) > 1 else None

    @property
    def optimism(self) -> float | None:
        """By how much the search's best looked better than its mean over new seeds; None without one."""
        return self.gap_of(self.found) if self.found.runs else None

    def gap_of(self, each: Confirmed) -> float:
        """By how much the search had it better than its mean, positive whichever way the metric goes."""
        gap = each.found - each.mean
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
        champion = self.champion
        return {
            "direction": self.direction,
            "found": asdict(self.found),
            "ranked": [asdict(each) for each in self.ranked],
            "failed": [asdict(each) for each in self.failed],
            "mean": None if champion is None else champion.mean,
            "standard_error": None if champion is None else champion.standard_error,
            "optimism": self.optimism,
            "runner_up": None if self.runner_up is None else self.runner_up.number,
            "p_value": self.p_value,
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Confirmation:
        """The confirmation that `as_json` told of."""
        ranked, failed = (tuple(map(_read, document[key])) for key in ("ranked", "failed"))
        return Confirmation(document["direction"], _read(document["found"]), ranked, failed)

    def in_words(self, metric: str) -> list[str]:
        """What came of it, a sentence each, for people."""
        champion, lines = self.champion, []
        if champion is None:
            lines.append(
                "Confirmation: every training with a new seed failed; the search's best stands."
            )
        else:
            what = f"mean{'' if champion.standard_error is None else ' ± standard error'}"
            lines.append(
                f"Confirmed: trial {champion.number}, validation {metric} {champion.in_words()} "
                f"({what} of {_count(len(champion.runs), 'training')} with new seeds)."
            )
        lines += self._optimism_in_words()
        lines += self._runner_up_in_words()
        lines += [f"Trial {each.number} failed with every new seed." for each in self.failed]
        lines += [_failures(each) for each in self.ranked if len(each.runs) < len(each.values)]
        return lines

    def in_short(self) -> str:
        """`Confirmed at 0.9120 ± 0.0042 over 3 new seeds; optimism of the search +0.0151.`"""
        champion, optimism = self.champion, self.optimism
        if champion is None:
            return "Every training with a new seed failed."
        seeds = _count(len(champion.runs), "new seed")
        gap = "" if optimism is None else f"; optimism of the search {optimism:+.4f}"
        return f"Confirmed at {champion.in_words()} over {seeds}{gap}."

    @property
    def metrics(self) -> dict[str, float]:
        """The same as numbers, by name."""
        champion = self.champion
        found = {
            "confirmed_mean": None if champion is None else champion.mean,
            "confirmed_standard_error": None if champion is None else champion.standard_error,
            "optimism": self.optimism,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _optimism_in_words(self) -> list[str]:
        optimism = self.optimism
        if optimism is None:
            return []
        same = self.champion is not None and self.champion.number == self.found.number
        which = "It" if same else f"Trial {self.found.number}"
        mean = "" if same else f", and {self.found.in_words()} with new seeds"
        looked = "better" if optimism > 0 else "worse"
        by = f": {abs(optimism):.4f} {looked} than it is (optimism {optimism:+.4f})"
        return [f"{which} had {self.found.found:.4f} in the search{mean}{by}."]

    def _runner_up_in_words(self) -> list[str]:
        second, p = self.runner_up, self.p_value
        if second is None:
            return []
        can = "can" if self.told_apart else "cannot"
        how = "too few seeds" if p is None else f"p = {p:.2g}, paired t test over the same seeds"
        return [
            f"The next, trial {second.number} ({second.in_words()}), {can} be told from it ({how})."
        ]


def ranking(candidates: Sequence[Confirmed], direction: Direction) -> Confirmation:
    """Rank configurations by their means over new seeds.

    Args:
        candidates: In the search's own order, its best first; at least one.
        direction: Whether more or less of the metric is better.

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
        f"Trial {each.number} failed with {_count(failed, 'new seed')}; its mean is of the others."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
