"""The champion's parameters trained once more, on the validation texts as well or on all, and registered beside it."""

from __future__ import annotations

import hashlib
import json
import logging
import statistics
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from hpo.data.tokens import TokenizedSplit
from hpo.leases.once import Once, Turn, TurnLost
from hpo.model.saved import load_trained, save_trained
from hpo.results.champion import Champion
from hpo.results.leaderboard import leaderboard
from hpo.results.refitted import REFIT_KEY, Refit, known_refit, publish_refit
from hpo.runtime.preparation import Prepared, variants_of
from hpo.runtime.session import Session
from hpo.runtime.trained_part import train_on, trained_part
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
            known = known_refit(study)
            if known is None or (known.on, known.number) != (on, champion.number):
                _refit(session, champion, on, turn)
    except TurnLost as lost:
        logger.warning("study %s: %s", study.name, lost)


def _refit(session: Session, champion: Champion, on: str, turn: Turn) -> None:
    study, context = session.study, wider(session.prepared, on)
    epochs, texts = epochs_found(study, champion.number), len(context.data.train)
    made = Refit(on, champion.number, texts, epochs, champion.registered_name)
    logger.info("trial %d is trained on %s for %.2f epochs", made.number, on, epochs)
    with TemporaryDirectory(prefix="hpo-refit-") as folder:
        trained = _trained(session, context, made, Path(folder))
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


def wider(prepared: Prepared, on: str) -> TrialContext:
    """The study's context with more texts to train on.

    Args:
        prepared: Its data and model.
        on: "train+validation" or "all", which is the test split, too: to be called after the test.
    """
    context, data = prepared.context, prepared.data
    tokens, with_test = context.data, on == "all"
    splits = [tokens.train, tokens.validation]
    train = joined([*splits, tokens.test.unsealed()] if with_test else splits)
    texts = [*data.train.texts, *data.validation.texts, *(data.test.texts if with_test else ())]
    fingerprint = hashlib.sha256(f"{tokens.fingerprint}\n{on}".encode()).hexdigest()
    wide = replace(tokens, train=train, fingerprint=fingerprint)
    variants = variants_of(prepared.spec, texts, wide, context.model, prepared.table)
    return replace(context, data=wide, variants=variants)


def joined(splits: list[TokenizedSplit]) -> TokenizedSplit:
    """Splits as one, in their order."""
    ends = np.cumsum([len(split.tokens) for split in splits])
    starts = [0, *ends[:-1]]
    offsets = [split.offsets[:-1] + start for split, start in zip(splits, starts, strict=True)]
    return TokenizedSplit(
        tokens=np.concatenate([split.tokens for split in splits]),
        offsets=np.append(np.concatenate(offsets), ends[-1]),
        labels=np.concatenate([split.labels for split in splits]),
    )


def epochs_found(study: OpenStudy, number: int) -> float:
    """After how many epochs the trainings that confirmed a trial were best, on average, or the trial itself was."""
    of_study = study.read(lambda read: read.get_trials(deepcopy=False))
    again = [trial for trial in confirmation_trials(study) if run_key(trial)[0] == number]
    complete = [trial for trial in again if trial.state is TrialState.COMPLETE]
    steps = [_best_step(trial) for trial in complete or [of_study[number]]]
    return statistics.fmean(steps) / study.spec.training.evaluations_per_epoch


def _best_step(trial: FrozenTrial) -> int:
    """The evaluation at which it had the value that it ended with; the last where none did."""
    reports = sorted(trial.intermediate_values.items())
    return next((step for step, value in reports if value == trial.value), reports[-1][0])


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
