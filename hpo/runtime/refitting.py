"""The champion's parameters trained once more, on the validation texts as well or on all, and registered beside it."""

from __future__ import annotations

import json
import logging
import statistics
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from optuna.trial import FrozenTrial, TrialState

from hpo.leases.once import Once, Turn, TurnLost
from hpo.model.saved import load_trained, save_trained
from hpo.results.champion import Champion
from hpo.results.leaderboard import leaderboard
from hpo.results.refitted import REFIT_KEY, Refit, known_refit, publish_refit
from hpo.runtime.session import Session
from hpo.runtime.trained_part import train_on, trained_part
from hpo.runtime.wider import wider
from hpo.spec.study import Direction
from hpo.studies.confirmations import confirmation_trials, run_key
from hpo.studies.studies import OpenStudy
from hpo.training.trial_context import TrialContext

logger = logging.getLogger(__name__)


def refit_champion(session: Session, champion: Champion) -> None:
    """Train the champion's parameters on what the study file says, unless that is done, and register it.

    Raises:
        ModelError: That training fails.
        KeyboardInterrupt: It was stopped.
    """
    study, on = session.study, session.study.spec.confirm.refit
    if on == "none" or champion.source.how != "single":
        return
    once = Once(study.storage, study.study_id, "training the champion once more")
    try:
        with once.wait(session.work.should_stop) as turn:
            known = known_refit(study.storage, study.study_id)
            if known is None or (known.on, known.number) != (on, champion.number):
                _refit(session, champion, on, turn)
    except TurnLost as lost:
        logger.warning("study %s: %s", study.name, lost)


def _refit(session: Session, champion: Champion, on: str, turn: Turn) -> None:
    study, context = session.study, wider(session.prepared, on)
    texts = context.trained_on.count(context.data)
    epochs = epochs_found(study, champion.number)
    made = Refit(on, champion.number, texts, epochs, champion.registered_name)
    logger.info("trial %d is trained on %s for %.2f epochs", made.number, on, epochs)
    with TemporaryDirectory(prefix="hpo-refit-") as folder:
        began = time.monotonic()
        trained = _trained(session, context, made, Path(folder))
        made = replace(made, seconds=round(time.monotonic() - began, 3))
        turn.check()
        publish_refit(
            made,
            champion,
            trained,
            model=context.model,
            tracker=session.tracker,
            study_name=study.name,
            metric=study.spec.study.metric,
        )
    turn.end_with(REFIT_KEY, json.loads(json.dumps(made.as_json())))


def epochs_found(study: OpenStudy, number: int) -> float:
    """After how many epochs the trainings that confirmed a trial were best, on average, or the trial itself was."""
    [entry] = [each for each in study.read(leaderboard) if each.number == number]
    again = [trial for trial in confirmation_trials(study) if run_key(trial).trial == number]
    complete = [trial for trial in again if trial.state is TrialState.COMPLETE]
    steps = [_best_step(trial, study.spec.direction) for trial in complete]
    found = statistics.fmean(steps or entry.best_evaluations or [1])
    return found / study.spec.training.evaluations_per_epoch


def _best_step(trial: FrozenTrial, direction: Direction) -> int:
    """The evaluation at which a training was best, which need not be the one that it was scored at."""
    best = max if direction == "maximize" else min
    return best(sorted(trial.intermediate_values.items()), key=lambda report: report[1])[0]


def _trained(session: Session, context: TrialContext, made: Refit, folder: Path) -> Path:
    """The training; where it is then. What was tuned on validation is the champion's."""
    study = session.study
    [best] = [each for each in study.read(leaderboard) if each.number == made.number]
    champion = load_trained(
        trained_part(session, best, folder / "champion"), lambda _name, _revision: context.model
    )
    hint = 'Set confirm.refit to "none".'
    trial = train_on(session, best, context, made.epochs, on=made.on, hint=hint)
    data, path = context.data, folder / "refit"
    facts = {"study": study.name, "number": made.number, "refit": made.on, "epochs": made.epochs}
    save_trained(
        path,
        trial.classifier,
        champion.task,
        data.label_names,
        data.max_length,
        facts,
        data.preprocessing,
    )
    return path
