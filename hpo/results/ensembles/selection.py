"""Members of a vote, chosen by the probabilities that trials gave the validation texts."""

from __future__ import annotations

from hpo.results.ensembles.judge import Judge, mean_of
from hpo.tasks.task import Labels, Probabilities


def top(judge: Judge, of_trials: Probabilities, labels: Labels, size: int) -> list[int]:
    """The best trials, each once.

    Args:
        judge: Says which are better.
        of_trials: (trials, texts, scores).
        labels: The texts'.
        size: How many, of which there may be fewer.

    Returns:
        Trials by their place in `of_trials`, best first.
    """
    return judge.best_first(of_trials, labels)[:size]


def greedy(judge: Judge, of_trials: Probabilities, labels: Labels, size: int) -> list[int]:
    """Ensemble selection with replacement (Caruana et al., 2004).

    The bag begins with the best trial. In each round the trial is added, again or for the first time,
    with which the mean of the bag is best, also where that is worse than before. The bag is then as it
    was in its best round, the earliest of equals.

    Args:
        judge: Says which are better.
        of_trials: (trials, texts, scores).
        labels: The texts'.
        size: Rounds, and so the most that a bag holds.

    Returns:
        Trials by their place in `of_trials`, one as often as it was chosen.
    """
    bag = top(judge, of_trials, labels, 1)
    best, best_rank = list(bag), judge.rank(of_trials[bag[0]], labels)
    for _ in range(size - 1):
        ranks = [
            judge.rank(mean_of(of_trials, [*bag, trial]), labels) for trial in range(len(of_trials))
        ]
        rank = max(ranks)
        bag.append(ranks.index(rank))
        if rank > best_rank:
            best, best_rank = list(bag), rank
    return best
