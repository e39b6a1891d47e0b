"""What a study left in its two stores, Optuna's and MLflow's."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from tests.commands.shell import Shell
from tests.tracking.reading import runs

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
STATUS_OF_STATE = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAIL: "FAILED",
}


@dataclass(frozen=True)
class Facts:
    """A study as its two stores have it. runs: MLflow's status of each run, by its name."""

    trials: list[optuna.trial.FrozenTrial]
    runs: dict[str, str]

    @property
    def finished(self) -> int:
        return sum(trial.state in FINISHED for trial in self.trials)


def embedded_uri(shell: Shell) -> str:
    return f"sqlite:///{shell.folder}/mlflow.db"


def facts(shell: Shell, uri: str, name: str = "tiny") -> Facts:
    """What Optuna and MLflow hold of a study. Runs of further attempts count by their number."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{shell.folder}/optuna.db")
    named: dict[str, str] = {}
    for run in runs(uri, name):
        attempt = run.data.tags.get("hpo.attempt", "1")
        suffix = "" if attempt == "1" else f", attempt {attempt}"
        named[run.info.run_name + suffix] = run.info.status
    return Facts(study.trials, named)


def assert_whole(found: Facts, *, trials: int, name: str | None = None) -> None:
    """Exactly so many finished trials, each with one run that ended as it did, and none at work."""
    assert found.finished == trials
    assert not [trial for trial in found.trials if not trial.state.is_finished()]
    assert "RUNNING" not in found.runs.values()
    parents = [run for run in found.runs if not run.startswith("trial-")]
    assert len(parents) == 1
    assert name in (None, *parents)
    assert found.runs[parents[0]] == "FINISHED"
    for trial in found.trials:
        attempts = [run for run in found.runs if run.startswith(f"trial-{trial.number:04d}")]
        ended = [found.runs[run] for run in attempts]
        assert ended.count(STATUS_OF_STATE[trial.state]) == 1, (trial.number, ended)
        # Earlier attempts were cut short.
        assert len(ended) - 1 == sum(status == "KILLED" for status in ended), ended
