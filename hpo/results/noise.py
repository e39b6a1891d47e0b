"""How much of the differences between scores is chance: of one score, and among the trials of a study."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hpo.results.baseline import Baseline
from hpo.spec.study import Metric, direction_of

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


def standard_error(metric: Metric, value: float, counts: Sequence[int], texts: int) -> float | None:
    """How far a score lies from what it would be on all texts, about.

    Accuracy is binomial. Only scores are kept of a trial, so the others get a rule that leans to
    more noise: balanced accuracy and macro F1 are means of recalls which are all taken for `value`,
    each binomial over the texts of its class; a Matthews correlation v is 2a - 1 for the accuracy a
    of two even classes; of a log loss v, few texts cost much, so that its variance is about v + v².

    Of several labels a text, what is a mean over texts is taken for a share of them, micro F1 for a
    share of all labels that texts have, and mean average precision for a mean over labels. Errors of
    numbers are taken for normal, with the error of a rank correlation by Bonett and Wright, 2000.

    Args:
        metric: A metric by name.
        value: The score.
        counts: Texts by class or label.
        texts: All of them.

    Returns:
        The standard error; None for a metric that there is no rule for.
    """
    present = [count for count in counts if count]
    match metric:
        case "accuracy" | "subset_accuracy" | "f1_samples":
            return math.sqrt(_spread(value, texts) / texts)
        case "f1_micro":
            return math.sqrt(_spread(value, sum(present)) / sum(present))
        case "balanced_accuracy" | "f1_macro" | "mean_average_precision":
            recalls = sum(_spread(value, texts) / count for count in present)
            return math.sqrt(recalls) / len(present)
        case "mcc":
            return 2 * math.sqrt(_spread((1 + value) / 2, texts) / texts)
        case "log_loss":
            return math.sqrt(value * (1 + value) / texts)
        case "rmse":
            return value / math.sqrt(2 * texts)
        case "mae":
            return value * math.sqrt((math.pi / 2 - 1) / texts)
        case "r2":  # one less the squared error in units of the variance
            return (1 - value) * math.sqrt(2 / texts)
        case "spearman":
            return (1 - value**2) * math.sqrt((1 + value**2 / 2) / max(texts - 3, 1))
        case _:
            return None


def noise_of(values: Sequence[float], metric: Metric, validation: Baseline) -> Noise | None:
    """What chance makes of a study's leaderboard.

    Args:
        values: The complete trials' scores, best first.
        metric: What they are of.
        validation: What is known of the split that they were scored on.

    Returns:
        None where there are no scores, or no rule for their metric.
    """
    if not values or not any(validation.counts):
        return None
    best, *others = values
    error = standard_error(metric, best, validation.counts, validation.texts)
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
    values: Sequence[float], metric: Metric, validation: Baseline | None
) -> str | None:
    """Why importances would explain nothing, or None where they may.

    Args:
        values: Of the complete trials, best first.
        validation: What is known of the split that they were scored on, if anything is.
    """
    if len(values) < LEAST_TRIALS_FOR_IMPORTANCES:
        trials = f"{len(values)} complete trial" + ("s are" if len(values) != 1 else " is")
        return f"{trials} too few to tell ({LEAST_TRIALS_FOR_IMPORTANCES} or more)"
    if len(set(values)) == 1:
        return "all trials have the same score"
    if validation is None or not any(validation.counts):
        return None
    error = standard_error(metric, values[0], validation.counts, validation.texts)
    if error is None:
        return None
    gain = values[0] - validation.scores[metric]
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
