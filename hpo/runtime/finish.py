"""The end of a study: its budget met, the best trial becomes its champion, once, by whoever sees it first."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hpo.data.reading import Reading
from hpo.errors import TrackingError
from hpo.leases.once import Once, Turn, TurnLost
from hpo.outbox.outbox import waiting_in
from hpo.results.appraisal import appraise
from hpo.results.baseline import baseline_in
from hpo.results.champion import Champion, promote
from hpo.results.champion_model import load_champion
from hpo.results.champion_source import ChampionSource, champion_source
from hpo.results.confirmed import Confirmation, not_confirmed
from hpo.results.ensembles.known import made_ensembles, times_tested
from hpo.results.ensembles.made import Ensemble
from hpo.results.leaderboard import Counts, Entry, counts, importances, leaderboard, top_numbers
from hpo.results.noise import Noise, noise_of, why_no_importances
from hpo.results.presentation import CHAMPION_KEY, linked_leaderboard, present_champion
from hpo.results.refitted import Refit, known_refit
from hpo.runtime.calibrating import calibrated, keep_hard_texts, validated
from hpo.runtime.course import StudyCourse, confirmation_of, is_unconfirmed
from hpo.runtime.ensembling import make_ensemble
from hpo.runtime.refitting import refit_champion
from hpo.runtime.session import Session
from hpo.runtime.study_drawings import log_report, show_drawings
from hpo.runtime.trained_part import trained_parts
from hpo.spec.study import Metric
from hpo.studies.memory import recall, remember
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
        is_confirmed: Whether its best are trained again before one is chosen.
        blocked: Why MLflow does not take what waits before somebody mends it.
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
    is_confirmed: bool = True
    refit: Refit | None = None
    blocked: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """One JSON document for programs."""
        best = self.entries[0] if self.entries else None
        return {
            "study": self.name,
            "metric": self.metric,
            "trials": {**vars(self.counts), "finished": self.counts.finished},
            "best": None if best is None else best.as_json(),
            "leaderboard": [entry.as_json() for entry in self.entries[:10]],
            "importances": dict(self.importances),
            "importances_left_out": self.importances_left_out,
            "noise": None if self.noise is None else asdict(self.noise),
            "champion": None if self.champion is None else self._champion_json(self.champion),
            "refit": None if self.refit is None else self.refit.as_json(),
            "ensembles": {name: each.as_json() for name, each in self.ensembles.items()},
            "data": None if self.reading is None else self.reading.as_json(),
            "baseline": None if self.reading is None else self._baselines(self.reading),
            "study_url": self.study_url,
            "waiting_for_mlflow": self.waiting_for_mlflow,
            "blocked": list(self.blocked),
        }

    @property
    def best(self) -> Entry:
        """The trial that was chosen, or the best of the search as long as nothing is confirmed."""
        chosen = self.champion if self.champion and self.champion.confirmation else None
        return chosen.source.lead_entry(self.entries) if chosen else self.entries[0]

    @property
    def confirmation_in_words(self) -> list[str]:
        """How the champion was chosen among the best, a sentence each."""
        known = None if self.champion is None else self.champion.confirmation
        if known is None:
            unconfirmed = self.champion is not None and not self.is_confirmed
            return [not_confirmed(len(self.entries))] if unconfirmed else []
        return known.in_words(self.metric)

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

    Where the best are to be confirmed and that is not over, this process does what is left of it.

    Returns:
        The champion; None where no trial is complete.

    Raises:
        ModelError: The best trial's weights are nowhere, and another training does not bring them back.
        KeyboardInterrupt: The confirmation was stopped.
    """
    study = session.study
    with StudyCourse(session) as course:
        if is_unconfirmed(study) and not course.until_done():
            raise KeyboardInterrupt
    entries = study.read(leaderboard)
    if not entries:
        return None
    known, confirmation = known_champion(study), confirmation_of(study, entries)
    source = champion_source(entries, None if known is None else known.source, confirmation)
    champion = crown(session, entries, source, confirmation=confirmation)
    champion = _with_its_confirmation(session, champion, confirmation)
    refit_champion(session, champion)
    return champion


def crown(
    session: Session,
    entries: list[Entry],
    source: ChampionSource,
    value: float | None = None,
    confirmation: Confirmation | None = None,
) -> Champion:
    """Promote what the champion of a study is to be, unless it is the champion already.

    Args:
        session: Of the study.
        entries: Its leaderboard.
        source: What the champion is made of.
        value: As for `promote`.
        confirmation: Likewise.

    Raises:
        ModelError: Weights are nowhere, and another training does not bring them back.
    """
    study, known = session.study, known_champion(session.study)
    promotion = Once(study.storage, study.study_id, promotion_of(source))
    while known is None or known.source != source:
        known = _promote_in_turn(session, entries, source, promotion, value, confirmation)
        if known is None:
            time.sleep(_LOOK_SECONDS)
            known = known_champion(study)
    if study.spec.ensemble.method != "none":
        make_ensemble(session, study.spec.ensemble.method, size=study.spec.ensemble.size)
    return known


def _with_its_confirmation(
    session: Session, champion: Champion, confirmation: Confirmation | None
) -> Champion:
    """The champion with the confirmation as it is now, of more trials perhaps."""
    if champion.confirmation == confirmation or champion.source.how == "ensemble":
        return champion
    champion, study = replace(champion, confirmation=confirmation), session.study
    remember(study.storage, study.study_id, CHAMPION_KEY, champion.as_json())
    present_champion(study, session.tracker, champion, former=champion)
    return champion


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
    confirmation: Confirmation | None,
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
            return _promote(session, entries, source, turn, value, confirmation)
    except TurnLost as lost:
        logger.warning("study %s: %s", session.study.name, lost)
        return None


def _promote(
    session: Session,
    entries: list[Entry],
    source: ChampionSource,
    turn: Turn,
    value: float | None,
    confirmation: Confirmation | None,
) -> Champion:
    study, context, best = session.study, session.prepared.context, source.lead_entry(entries)
    with TemporaryDirectory(prefix="hpo-download-") as folder:
        trained = trained_parts(session, source, entries, Path(folder))
        turn.check()
        plain = load_champion(source, trained, context.model)
        known = validated(session, plain, source.lead)
        predictor = calibrated(plain, known)
        champion = promote(
            source,
            best,
            trained,
            predictor=predictor,
            test=context.data.test,
            tracker=session.tracker,
            study_name=study.name,
            registered_name=study.registered_name,
            metric=study.spec.study.metric,
            seed=study.spec.study.seed,
            times_tested_before=times_tested(study),
            value=value,
            confirmation=confirmation,
            before_publishing=turn.check,
        )
    keep_hard_texts(session, source, predictor.task, known)
    former = known_champion(study)
    turn.end_with(CHAMPION_KEY, champion.as_json())
    kept = _kept_numbers(study, entries, champion)
    session.models.drop(session.models.numbers() - kept)
    show_drawings(session, entries, champion)
    present_champion(study, session.tracker, champion, former)
    log_report(session)
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
    for trial in session.study.read(lambda known: known.get_trials(deepcopy=False)):
        if trial.state.is_finished():
            # What a worker left that was killed right after its trial's end.
            session.work.checkpoint_of(trial.number).remove()


def _kept_numbers(study: OpenStudy, entries: list[Entry], champion: Champion | None) -> set[int]:
    """The trials whose models stay: the best, and all that the champion is made of."""
    kept = top_numbers(
        entries, 0 if study.spec.validation.folds else study.spec.tracking.kept_models
    )
    return kept if champion is None else kept | set(champion.source.trials)


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
        is_confirmed=study.spec.confirm.seeds > 0,
        refit=known_refit(study.storage, study.study_id),
    )
