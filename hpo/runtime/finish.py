"""The end of a study: its budget met, the best trial becomes its champion, once, by whoever sees it first."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from optuna.trial import TrialState

from hpo.data.reading import Reading
from hpo.errors import TrackingError
from hpo.leases.once import Once, Turn, TurnLost
from hpo.outbox.outbox import waiting_in
from hpo.results.appraisal import appraise
from hpo.results.baseline import baseline_in
from hpo.results.champion import Champion, promote
from hpo.results.champion_source import ChampionSource, champion_source
from hpo.results.ensembles.known import made_ensembles, times_tested
from hpo.results.ensembles.made import Ensemble
from hpo.results.leaderboard import Counts, Entry, counts, importances, leaderboard, top_numbers
from hpo.results.noise import Noise, noise_of, why_no_importances
from hpo.results.presentation import CHAMPION_KEY, linked_leaderboard, present_study
from hpo.runtime.calibrating import calibrated
from hpo.runtime.ensembling import make_ensemble
from hpo.runtime.session import Session
from hpo.runtime.study_drawings import show_drawings
from hpo.runtime.trained_part import trained_parts
from hpo.spec.study import Metric
from hpo.studies.memory import recall
from hpo.studies.reading import known_reading
from hpo.studies.studies import OpenStudy
from hpo.tracking.registry import Registered

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Summary:
    """A study as it stands.

    Attributes:
        registered: What MLflow has of the champion, where that was looked at.
        ensembles: Those that were made of it, by method.
    """

    name: str
    metric: Metric
    counts: Counts
    entries: list[Entry]
    importances: Mapping[str, float]
    importances_left_out: str | None
    noise: Noise | None
    reading: Reading | None
    champion: Champion | None
    registered: Registered | None
    ensembles: Mapping[str, Ensemble]
    study_url: str
    waiting_for_mlflow: int

    def as_json(self) -> dict[str, Any]:
        """One JSON document for programs."""
        best = self.entries[0] if self.entries else None
        return {
            "study": self.name,
            "metric": self.metric,
            "trials": {**vars(self.counts), "finished": self.counts.finished},
            "best": None if best is None else _entry_json(best),
            "leaderboard": [_entry_json(entry) for entry in self.entries[:10]],
            "importances": dict(self.importances),
            "importances_left_out": self.importances_left_out,
            "noise": None if self.noise is None else asdict(self.noise),
            "champion": None if self.champion is None else self._champion_json(self.champion),
            "ensembles": {name: each.as_json() for name, each in self.ensembles.items()},
            "data": None if self.reading is None else self.reading.as_json(),
            "baseline": None if self.reading is None else self._baselines(self.reading),
            "study_url": self.study_url,
            "waiting_for_mlflow": self.waiting_for_mlflow,
        }

    @property
    def label_names(self) -> tuple[str, ...]:
        """The classes, as far as they are known."""
        return () if self.reading is None else self.reading.classes

    def _champion_json(self, champion: Champion) -> dict[str, Any]:
        """Its facts; registered: where it loads from, or null and why that is so."""
        appraisal = appraise(champion.test, self.metric, self.label_names)
        seen = self.registered or Registered(None, "nobody has looked")
        return {
            **champion.as_json(),
            **appraisal.as_json(),
            "registered": seen.uri,
            "registered_note": seen.words or None,
        }

    def _baselines(self, reading: Reading) -> dict[str, dict[str, float]]:
        """What the same answer for every text would give, by split and metric."""
        return {
            split: dict(baseline_in(reading, split, [self.metric]).scores)
            for split in ("validation", "test")
        }


def finish_study(session: Session) -> Champion | None:
    """Promote the best trial of a study whose budget is met, unless it is the champion already.

    Returns:
        The champion; None where no trial is complete.

    Raises:
        ModelError: The best trial's weights are nowhere, and another training does not bring them back.
    """
    study = session.study
    entries = study.read(leaderboard)
    if not entries:
        return None
    known = known_champion(study)
    return crown(
        session, entries, champion_source(entries, None if known is None else known.source)
    )


def crown(
    session: Session, entries: list[Entry], source: ChampionSource, value: float | None = None
) -> Champion:
    """Promote what the champion of a study is to be, unless it is the champion already.

    Args:
        session: Of the study.
        entries: Its leaderboard.
        source: What the champion is made of.
        value: As for `promote`.

    Raises:
        ModelError: Weights are nowhere, and another training does not bring them back.
    """
    study, known = session.study, known_champion(session.study)
    promotion = Once(study.storage, study.study_id, promotion_of(source))
    while known is None or known.source != source:
        known = _promote_in_turn(session, entries, source, promotion, value)
        if known is None:
            time.sleep(_LOOK_SECONDS)
            known = known_champion(study)
    if study.spec.ensemble.method != "none":
        make_ensemble(session, study.spec.ensemble.method, size=study.spec.ensemble.size)
    return known


def promotion_of(source: ChampionSource) -> str:
    """What the study calls the promotion of a champion, which it wants done once."""
    if source.key:
        return f"crowning {source.how} {source.key}"
    return (
        f"crowning trial {source.lead}"  # stored: workers of earlier releases know it by this name
    )


def _promote_in_turn(
    session: Session,
    entries: list[Entry],
    source: ChampionSource,
    promotion: Once,
    value: float | None,
) -> Champion | None:
    """The champion; None while another process is at it, for the test split is to be looked at by one."""
    turn = promotion.begin()
    if turn is None:
        return None
    try:
        with turn:
            known = known_champion(session.study)
            if known is not None and known.source == source:
                return known  # by whoever had the turn before
            return _promote(session, entries, source, turn, value)
    except TurnLost as lost:
        logger.warning("study %s: %s", session.study.name, lost)
        return None


def _promote(
    session: Session,
    entries: list[Entry],
    source: ChampionSource,
    turn: Turn,
    value: float | None,
) -> Champion:
    study, context, best = session.study, session.prepared.context, source.lead_entry(entries)
    with TemporaryDirectory(prefix="hpo-download-") as folder:
        trained = trained_parts(session, source, entries, Path(folder))
        turn.check()
        champion = promote(
            source,
            best,
            trained,
            model=context.model,
            test=context.data.test,
            tracker=session.tracker,
            study_name=study.name,
            metric=study.spec.study.metric,
            seed=study.spec.study.seed,
            times_tested_before=times_tested(study),
            value=value,
            calibrated=lambda predictor: calibrated(session, predictor, source.lead),
            before_publishing=turn.check,
        )
    turn.end_with(CHAMPION_KEY, champion.as_json())
    kept = _kept_numbers(study, entries, champion)
    session.models.drop(session.models.numbers() - kept)
    show_drawings(session, entries, champion)
    present_study(study, session.tracker, champion)
    return champion


def tidy(session: Session) -> None:
    """Once a study is done and MLflow has everything, drop what is twice on the disk, or outdone.

    To be called with the session over. Does nothing where MLflow is not there to say what it has.
    """
    if waiting_in(session.work.state):
        return
    study = session.study
    kept = _kept_numbers(study, study.read(leaderboard), known_champion(study))
    try:
        logged = session.tracker.trials_with_models()
        # A worker that was killed in the middle of keeping to the policy may have left some.
        session.tracker.delete_models(logged - kept)
    except TrackingError as error:
        logger.info("Nothing is tidied up: %s", error)
        return
    for number in session.models.numbers() & logged:
        session.models.drop_weights(number)
    states = session.study.read(_states)
    for number, state in states.items():
        if state.is_finished():
            # What a worker left that was killed right after its trial's end.
            session.work.checkpoint_of(number).remove()


def _kept_numbers(study: OpenStudy, entries: list[Entry], champion: Champion | None) -> set[int]:
    """The trials whose models stay: the best, and all that an ensemble is made of."""
    kept = top_numbers(entries, study.spec.kept_models)
    return (
        kept
        if champion is None or champion.made_of is None
        else kept | set(champion.made_of.trials)
    )


def _states(study: optuna.Study) -> dict[int, TrialState]:
    return {trial.number: trial.state for trial in study.get_trials(deepcopy=False)}


def known_champion(study: OpenStudy) -> Champion | None:
    """The champion that the study has, if it has one."""
    document = recall(study.storage, study.study_id, CHAMPION_KEY)
    return Champion.from_json(document) if isinstance(document, dict) else None


def summarise(
    study: OpenStudy,
    champion: Champion | None,
    study_url: str,
    waiting_for_mlflow: int,
    registered: Registered | None = None,
) -> Summary:
    """The study as it stands, for people and programs."""
    metric, entries = study.spec.study.metric, linked_leaderboard(study)
    reading = known_reading(study.storage, study.study_id)
    validation = None if reading is None else baseline_in(reading, "validation", [metric])
    values = [entry.value for entry in entries]
    unexplained = why_no_importances(values, metric, validation)
    return Summary(
        name=study.name,
        metric=metric,
        counts=study.read(counts),
        entries=entries,
        importances={} if unexplained else study.read(importances),
        importances_left_out=unexplained,
        noise=None if validation is None else noise_of(values, metric, validation),
        reading=reading,
        champion=champion,
        registered=registered,
        ensembles=made_ensembles(study),
        study_url=study_url,
        waiting_for_mlflow=waiting_for_mlflow,
    )


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "value": entry.value,
        "params": dict(entry.params),
        "folds": entry.folds,
        "std_over_folds": entry.std_over_folds,
        "epochs_run": entry.epochs_run,
        "seconds": entry.seconds,
        "mlflow_url": entry.mlflow_url,
    }
