"""What a report tells of a study: its trials, champion and data, as the storage has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from hpo.data.reading import Reading
from hpo.results.baseline import Baseline, baseline_in
from hpo.results.champion import Champion
from hpo.results.hard_texts import HARD_TEXTS_KEY, HardTexts
from hpo.results.leaderboard import STD_OVER_FOLDS, importances
from hpo.results.noise import Noise, noise_of, why_no_importances
from hpo.results.presentation import CHAMPION_KEY, trial_runs
from hpo.results.refitted import known_refit
from hpo.spec.study import Metric, StudySpec, direction_of
from hpo.storage.storage import Storage
from hpo.studies.confirmations import confirmation_trials_of
from hpo.studies.memory import recall
from hpo.studies.reading import known_reading
from hpo.studies.studies import load_spec
from hpo.training.result import TimeParts

State = Literal["complete", "pruned", "failed", "running"]
_STATES: Final[Mapping[TrialState, State]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


@dataclass(frozen=True)
class Trial:
    """One trial that was begun.

    Attributes:
        value: Of the study's metric; of a pruned trial the best that it reached.
        std: Its standard deviation over folds, where there are folds.
        curve: The metric at each evaluation, by epochs.
        seconds: In the training loop, evaluations included.
        parts: On what else than training these went, as far as it was noted.
        span: Seconds from its begin to its end, waiting and interruptions included.
        note: Why it stopped.
    """

    number: int
    state: State
    value: float | None
    std: float | None
    params: Mapping[str, Any]
    curve: tuple[tuple[float, float], ...]
    epochs_run: float | None
    seconds: float | None
    parts: TimeParts
    span: float | None
    note: str
    url: str | None


@dataclass(frozen=True)
class StudyFacts:
    """A study as a report shows it.

    Attributes:
        trials: Those that were begun, by number.
        importances: Each searched parameter's share of the differences, the largest first.
        no_importances: Why they would explain nothing, where they would not.
        validation: What the same answer for every text gives, where the data's reading is known.
        noise: What chance makes of the leaderboard, where there is a rule for it.
        hard_texts: The champion's validation texts that people should see, where they were kept.
        confirming: The trainings that confirmed its best trials, as far as they are over.
        refit_seconds: That the champion's parameters took to train once more; 0 where they were not.
    """

    name: str
    spec: StudySpec
    trials: tuple[Trial, ...]
    champion: Champion | None
    reading: Reading | None
    importances: Mapping[str, float]
    no_importances: str | None
    validation: Baseline | None
    noise: Noise | None
    hard_texts: HardTexts | None = None
    confirming: tuple[Trial, ...] = ()
    refit_seconds: float = 0.0

    @property
    def metric(self) -> Metric:
        return self.spec.study.metric

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if direction_of(self.metric) == "maximize" else -1

    @property
    def label_names(self) -> tuple[str, ...]:
        return () if self.reading is None else self.reading.classes

    @property
    def parameters(self) -> list[str]:
        """The searched ones, the most important first."""
        searched = dict.fromkeys(name for trial in self.trials for name in trial.params)
        return sorted(searched, key=lambda name: -self.importances.get(name, 0.0))

    @property
    def scored(self) -> list[Trial]:
        """Complete trials, the best first, then pruned ones likewise; of equals the earlier."""
        kinds: tuple[State, ...] = ("complete", "pruned")
        ranked = [each for each in self.trials if each.value is not None and each.state in kinds]
        return sorted(
            ranked,
            key=lambda each: (kinds.index(each.state), -self.sign * score(each), each.number),
        )

    @property
    def complete(self) -> list[Trial]:
        """Complete trials, the best first."""
        return [each for each in self.scored if each.state == "complete"]

    def count(self, state: State) -> int:
        """How many trials are in the state."""
        return sum(trial.state == state for trial in self.trials)


def score(trial: Trial) -> float:
    """The value of a trial that has one."""
    assert trial.value is not None
    return trial.value


def read_facts(storage: Storage, name: str) -> StudyFacts:
    """Look a study up. Nothing is written.

    Raises:
        StudyGoneError: There is none of this name.
        StorageError: What is stored of it is damaged.
    """
    spec = load_spec(storage, name)
    study = storage.retry(
        lambda: optuna.load_study(study_name=name, storage=storage.optuna), "reading the study"
    )
    study_id = storage.optuna.get_study_id_from_name(name)
    reading = known_reading(storage, study_id)
    told = recall(storage, study_id, CHAMPION_KEY)
    found = storage.retry(lambda: study.get_trials(deepcopy=False), "reading the trials")
    runs = trial_runs(storage, study_id)
    trials = [_trial(each, spec, runs) for each in found if each.state in _STATES]
    values = _complete_values(trials, spec)
    metric = spec.study.metric
    validation = None if reading is None else baseline_in(reading, "validation", [metric])
    reason = why_no_importances(values, metric, validation)
    champion = Champion.from_json(told) if isinstance(told, dict) else None
    again = confirmation_trials_of(storage, study_id, name)
    refit = known_refit(storage, study_id)
    return StudyFacts(
        name=name,
        spec=spec,
        trials=tuple(trials),
        champion=champion,
        reading=reading,
        importances={} if reason else importances(study),
        no_importances=reason,
        validation=validation,
        noise=None if validation is None else noise_of(values, metric, validation),
        hard_texts=_hard_texts(storage, study_id, champion) if spec.tracking.shown_texts else None,
        confirming=tuple(_trial(each, spec, {}) for each in again if each.state.is_finished()),
        refit_seconds=(refit.seconds or 0.0) if refit else 0.0,
    )


def _hard_texts(storage: Storage, study_id: int, champion: Champion | None) -> HardTexts | None:
    """Those that were kept, unless they are of an earlier champion, or of one of an earlier release."""
    kept = recall(storage, study_id, HARD_TEXTS_KEY)
    if champion is None or not isinstance(kept, dict):
        return None
    found = HardTexts.from_json(kept)
    return found if found.source == champion.source.as_json() else None


def _complete_values(trials: Sequence[Trial], spec: StudySpec) -> list[float]:
    """Those of the complete trials, best first."""
    values = [score(each) for each in trials if each.state == "complete"]
    return sorted(values, reverse=spec.direction == "maximize")


def _trial(trial: FrozenTrial, spec: StudySpec, runs: Mapping[int, tuple[str, str]]) -> Trial:
    attributes, an_epoch = trial.user_attrs, spec.training.evaluations_per_epoch
    state = _STATES[trial.state]
    curve = sorted(trial.intermediate_values.items())
    value = trial.value if state == "complete" else attributes.get(spec.study.metric)
    if value is None and state == "pruned" and curve:
        best = max if spec.direction == "maximize" else min
        value = best(each for _, each in curve)
    return Trial(
        number=trial.number,
        state=state,
        value=value,
        std=attributes.get(STD_OVER_FOLDS),
        params=dict(trial.params),
        curve=tuple((step / an_epoch, each) for step, each in curve),
        epochs_run=attributes.get("epochs_run"),
        seconds=attributes.get("seconds"),
        parts=TimeParts.of_attributes(attributes),
        span=None if trial.duration is None else trial.duration.total_seconds(),
        note=str(attributes.get("hpo.reason") or attributes.get("stopped") or ""),
        url=runs[trial.number][1] if trial.number in runs else None,
    )
