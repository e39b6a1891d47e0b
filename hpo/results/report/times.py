"""Where the time of a study went, as far as its storage tells."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.results.report.facts import StudyFacts, Trial


@dataclass(frozen=True)
class Times:
    """Seconds of a study's trials, all workers together.

    Attributes:
        complete: In the training loops of complete trials, evaluations included.
        pruned: The same of pruned trials.
        around: Between the begins and ends of those trials, outside the training loop: loading,
            writing, waiting, and interruptions.
        failed: From begin to end of trials that failed.
        saved: What pruned trials would have gone on to take at their pace; an estimate.
    """

    complete: float
    pruned: float
    around: float
    failed: float
    saved: float

    @property
    def spent(self) -> float:
        """All but what was saved."""
        return self.complete + self.pruned + self.around + self.failed


def times_of(facts: StudyFacts) -> Times | None:
    """Where the time went; None where no trial tells of its seconds."""
    timed = [trial for trial in facts.trials if trial.seconds is not None]
    if not timed:
        return None
    return Times(
        complete=_seconds(timed, "complete"),
        pruned=_seconds(timed, "pruned"),
        around=sum(max((each.span or 0.0) - (each.seconds or 0.0), 0.0) for each in timed),
        failed=sum(each.span or 0.0 for each in facts.trials if each.state == "failed"),
        saved=sum(_left(each, facts) for each in timed if each.state == "pruned"),
    )


def _seconds(trials: list[Trial], state: str) -> float:
    return sum(each.seconds or 0.0 for each in trials if each.state == state)


def _left(trial: Trial, facts: StudyFacts) -> float:
    """Seconds that a pruned trial had before it, at its pace."""
    planned = trial.params.get("epochs", facts.spec.training.epochs)
    if not trial.epochs_run or trial.seconds is None:
        return 0.0
    return trial.seconds * max(float(planned) / trial.epochs_run - 1, 0.0)
