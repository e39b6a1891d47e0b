"""Where the time of a study went, as far as its storage tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hpo.results.report.facts import StudyFacts, Trial


@dataclass(frozen=True)
class Times:
    """Seconds of a study's trainings, all workers together.

    Attributes:
        complete: Of training, in complete trials; evaluations too where they were not timed.
        pruned: The same of pruned trials.
        evaluation: Of the evaluations of both.
        waiting: That both stood still at evaluations, until storage, pruner and MLflow had taken them.
        around: Between the begins and ends of those trials, outside the training loop: loading,
            writing, waiting, and interruptions.
        failed: From begin to end of trials that failed.
        confirmation: From begin to end of the trainings with new seeds.
        refit: Of training the champion's parameters once more.
        saved_by_pruning: What pruned trials would have gone on to take at their pace; an estimate.
        saved_by_cache: What frozen blocks would have taken for what was read of the cache; an estimate.
    """

    complete: float
    pruned: float
    evaluation: float
    waiting: float
    around: float
    failed: float
    confirmation: float
    refit: float
    saved_by_pruning: float
    saved_by_cache: float

    @property
    def spent(self) -> float:
        """All but what was saved."""
        in_loop = self.complete + self.pruned + self.evaluation + self.waiting
        return in_loop + self.around + self.failed + self.confirmation + self.refit


def times_of(facts: StudyFacts) -> Times | None:
    """Where the time went; None where no trial tells of its seconds."""
    over = [trial for trial in facts.trials if trial.state in ("complete", "pruned")]
    timed = [trial for trial in over if trial.seconds is not None]
    if not timed:
        return None
    return Times(
        complete=sum(_training(each) for each in timed if each.state == "complete"),
        pruned=sum(_training(each) for each in timed if each.state == "pruned"),
        evaluation=sum(each.parts.evaluation for each in timed),
        waiting=sum(each.parts.waiting for each in timed),
        around=sum(max((each.span or 0.0) - (each.seconds or 0.0), 0.0) for each in timed),
        failed=_spans(each for each in facts.trials if each.state == "failed"),
        confirmation=_spans(facts.confirming),
        refit=facts.refit_seconds,
        saved_by_pruning=sum(_left(each, facts) for each in timed if each.state == "pruned"),
        saved_by_cache=sum(each.parts.cache_saved for each in (*timed, *facts.confirming)),
    )


def _training(trial: Trial) -> float:
    """Seconds of the training loop that went on nothing else."""
    return (trial.seconds or 0.0) - trial.parts.evaluation - trial.parts.waiting


def _spans(trials: Iterable[Trial]) -> float:
    return sum(each.span or 0.0 for each in trials)


def _left(trial: Trial, facts: StudyFacts) -> float:
    """Seconds that a pruned trial had before it, at its pace."""
    planned = trial.params.get("epochs", facts.spec.training.epochs)
    if not trial.epochs_run or trial.seconds is None:
        return 0.0
    return trial.seconds * max(float(planned) / trial.epochs_run - 1, 0.0)
