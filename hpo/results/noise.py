"""How much of the differences between scores is chance: of one score, and among the trials of a study."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hpo.spec.study import Metric, direction_of
from hpo.tasks.metrics import constant_answer

# PED-ANOVA compares the best tenth of the trials with all: of fewer it compares one or two.
LEAST_TRIALS_FOR_IMPORTANCES: Final = 10
# The best of dozens of trials at chance, each the best of its evaluations, lies two or three standard
# errors above chance.
_CLEARLY: Final = 3.0


@dataclass(frozen=True)
class Noise:
    """What chance makes of a study's leaderboard.

    Attributes:
        standard_error: Of the best trial's score on the validation split.
        near_best: How many other complete trials are no further from it than that.
    """

    standard_error: float
    near_best: int


def standard_error(metric: Metric, value: float, counts: Sequence[int]) -> float | None:
    """How far a score lies from what it would be on all texts, about.

    Accuracy is binomial. Only scores are kept of a trial, so the others get a rule that leans to
    more noise: balanced accuracy and macro F1 are means of recalls which are all taken for `value`,
    each binomial over the texts of its class; a Matthews correlation v is 2a - 1 for the accuracy a
    of two even classes; of a log loss v, few texts cost much, so that its variance is about v + v².

    Args:
        metric: A metric by name.
        value: The score.
        counts: Texts by class.

    Returns:
        The standard error; None for a metric that there is no rule for.
    """
    present = [count for count in counts if count]
    texts = sum(present)
    match metric:
        case "accuracy":
            return math.sqrt(_spread(value, texts) / texts)
        case "balanced_accuracy" | "f1_macro":
            recalls = sum(_spread(value, texts) / count for count in present)
            return math.sqrt(recalls) / len(present)
        case "mcc":
            return 2 * math.sqrt(_spread((1 + value) / 2, texts) / texts)
        case "log_loss":
            return math.sqrt(value * (1 + value) / texts)
        case _:
            return None


def noise_of(values: Sequence[float], metric: Metric, counts: Sequence[int]) -> Noise | None:
    """What chance makes of a study's leaderboard.

    Args:
        values: The complete trials' scores, best first.
        metric: What they are of.
        counts: Validation texts by class.

    Returns:
        None where there are no scores, or no rule for their metric.
    """
    if not values or not any(counts):
        return None
    best, *others = values
    error = standard_error(metric, best, counts)
    if error is None:
        return None
    return Noise(error, sum(abs(value - best) <= error for value in others))


def near_best_in_words(noise: Noise, complete: int) -> str:
    """`11 of the other 18 complete trials lie within one standard error (0.011) of the best.`"""
    others = complete - 1
    which = f"{noise.near_best} of the other {others} complete trials lie"
    if others == 1:
        which = "The other complete trial lies"
    elif noise.near_best == others:
        which = f"All {others} other complete trials lie"
    elif noise.near_best == 1:
        which = f"1 of the other {others} complete trials lies"
    return f"{which} within one standard error ({noise.standard_error:#.2g}) of the best."


def why_no_importances(
    values: Sequence[float], metric: Metric, counts: Sequence[int] | None
) -> str | None:
    """Why importances would explain nothing, or None where they may.

    Args:
        values: Of the complete trials, best first.
        counts: Validation texts by class, None where they are not known.
    """
    if len(values) < LEAST_TRIALS_FOR_IMPORTANCES:
        trials = f"{len(values)} complete trial" + ("s are" if len(values) != 1 else " is")
        return f"{trials} too few to tell ({LEAST_TRIALS_FOR_IMPORTANCES} or more)"
    if len(set(values)) == 1:
        return "all trials have the same score"
    if counts is None or not any(counts):
        return None
    error = standard_error(metric, values[0], counts)
    if error is None:
        return None
    gain = values[0] - constant_answer(counts, [metric])[metric]
    if direction_of(metric) == "minimize":
        gain = -gain
    if gain <= _CLEARLY * error:
        return "no trial is clearly better than the same answer for every text"
    if statistics.pstdev(values) <= error:
        return f"the trials differ by no more than chance (standard error {error:#.2g})"
    return None


def _spread(share: float, texts: int) -> float:
    """The variance of a text's being right. Nothing is certain, whatever a sample says (Laplace)."""
    share = (min(max(share, 0.0), 1.0) * texts + 1) / (texts + 2)
    return share * (1 - share)
