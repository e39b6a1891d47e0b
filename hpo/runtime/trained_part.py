"""What the best trial trained: kept here, or in MLflow, or trained again where no whole copy is anywhere.

A trial is a pure function of data, model, parameters and seed, so that its weights can be made again.
One over folds has no weights of its own: its parameters are trained once on all the training texts.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import optuna
import torch
from optuna.trial import FrozenTrial

from hpo.errors import ModelError
from hpo.model.saved import damage_in_trained
from hpo.model.trial_facts import FACTS_FILE, read_facts
from hpo.results.champion_source import ChampionSource
from hpo.results.leaderboard import Entry
from hpo.runtime.events import TrialEnded, TrialEvaluated, TrialStarted
from hpo.runtime.kept_models import keep_trained
from hpo.runtime.outcomes import THREADS
from hpo.runtime.preparation import trial_params
from hpo.runtime.session import Session
from hpo.runtime.trial_report import TUNED
from hpo.search.samplers import seed_for
from hpo.spec.training import TrialParams
from hpo.training.evaluate import TrainingDiverged
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.micro_batches import BatchTooLarge
from hpo.training.refit import refit
from hpo.training.result import Evaluation, TrialResult, Verdict
from hpo.training.trial_context import TrialContext

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 60.0
# Threads and kernels may add up in another order on another day; a wrong bit tells much more than this.
_SAME = 1e-6
_COMPARED = ("accuracy", "f1_macro", "log_loss", "f1_micro", "rmse", "mae")


def trained_parts(
    session: Session, source: ChampionSource, entries: Sequence[Entry], download_to: Path
) -> list[Path]:
    """A folder of what was trained for each trial that a champion is made of, in their order.

    Args:
        session: Of the trials' study.
        source: What the champion is made of.
        entries: The study's leaderboard.
        download_to: As for `trained_part`, and what is raised.
    """
    by_number = {entry.number: entry for entry in entries}
    return [
        trained_part(session, by_number[number], download_to / str(number))
        for number in source.trials
    ]


def trained_part(session: Session, best: Entry, download_to: Path) -> Path:
    """A folder of what a trial trained, as it was written.

    Args:
        session: Of the trial's study.
        best: The trial.
        download_to: A folder for what MLflow has, where that is needed.

    Raises:
        TrackingError: MLflow is needed and away.
        ModelError: The trial has to be trained again and does not come out as it did.
        KeyboardInterrupt: That training was stopped.
    """
    models, number = session.models, best.number
    if models.whole(number):
        return models.path(number)
    if session.prepared.context.folds:
        return _refit(session, best)
    fetched = fetched_part(session, number, download_to)
    if fetched is not None:
        if not models.has(number):
            return fetched
        return models.keep(
            number, lambda folder: shutil.copytree(fetched, folder, dirs_exist_ok=True)
        )
    logger.warning(
        "no whole copy of what trial %d trained is here or in MLflow; it is trained again", number
    )
    return _train_again(session, best)


def fetched_part(session: Session, number: int, download_to: Path) -> Path | None:
    """What MLflow has of a trial, or what lies among its files; None where that is not whole, or another's.

    Raises:
        TrackingError: MLflow cannot be asked.
    """
    session.tracker.flush(_FLUSH_SECONDS)
    fetched = session.tracker.download_trial_model(number, download_to)
    if fetched is None:
        fetched = session.tracker.left_model(session.models.path(number) / FACTS_FILE)
    if fetched is None or not _is_of(fetched, session.study.names, number):
        return None
    return fetched


def _is_of(folder: Path, study_names: Collection[str], number: int) -> bool:
    """Whether what was fetched says itself that it is that trial's: MLflow's tags may be damaged.

    Args:
        folder: What was fetched.
        study_names: The study's, those that it had when the trial was trained among them.
        number: The trial's.
    """
    try:
        trial = read_facts(folder)["trial"]
        is_its_own = trial["study"] in study_names and trial["number"] == number
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return is_its_own and damage_in_trained(folder) is None


def _train_again(session: Session, best: Entry) -> Path:
    """Train a complete trial once more, unpruned, and keep it if it comes out as it did."""
    spec, work = session.study.spec, session.work
    stored, params, seed = _point(session, best.number)
    trial = TrialTraining(
        session.prepared.context, params, seed=seed, micro_batches=work.micro_batches
    )

    def on_evaluation(evaluation: Evaluation) -> Verdict:
        value = evaluation.metrics[f"val/{spec.study.metric}"]
        work.on_event(TrialEvaluated(best.number, evaluation.step / trial.steps, value))
        return Verdict.GO_ON

    try:
        with _shown(session, best.number), as_many_threads(stored.user_attrs.get(THREADS)):
            result = trial.run(on_evaluation, should_stop=work.should_stop)
    except (TrainingDiverged, BatchTooLarge) as error:
        raise _not_the_same(best, str(error)) from error
    for name, value in _scores(stored, best, spec.study.metric).items():
        found = _found(result, name)
        if not math.isclose(found, value, rel_tol=_SAME, abs_tol=_SAME):
            raise _not_the_same(best, f"{name} {found:.6g}, not {value:.6g}")
    return keep_trained(
        session.models,
        session.study.spec,
        best.number,
        trial,
        trial.tuned_task,
        result.value,
    )


def _refit(session: Session, best: Entry) -> Path:
    """Train the parameters of a trial over folds on all the training texts, and keep what comes of it.

    With as many threads as the trial had, it is the same classifier whenever it is done.
    """
    number = best.number
    stored, params, _ = _point(session, number)
    epochs = params.epochs if best.best_epoch is None else best.best_epoch
    logger.info("trial %d is trained on all the training texts for %.2f epochs", number, epochs)
    trial = train_on(
        session,
        best,
        session.prepared.context,
        epochs,
        on="all the training texts",
        hint="Search lower learning rates, or set validation.folds to 0.",
    )
    facts = {"folds": best.folds, "epochs_on_all_texts": epochs}
    # What was tuned on the texts that the folds left out; on texts that were trained on it would be wrong.
    task = trial.task.with_facts({**trial.task.facts, **stored.user_attrs.get(TUNED, {})})
    spec = session.study.spec
    return keep_trained(session.models, spec, number, trial, task, best.value, **facts)


def train_on(
    session: Session,
    best: Entry,
    context: TrialContext,
    epochs: float,
    *,
    on: str,
    hint: str,
) -> TrialTraining:
    """Train the parameters of a trial once more, on all the training texts of a context, unevaluated.

    Args:
        session: Of the study.
        best: The trial, whose seed and number of threads are taken too.
        context: With the texts.
        epochs: For how long.
        on: What the texts are called, should it fail.
        hint: What helps then.

    Raises:
        ModelError: It fails.
    """
    work, number = session.work, best.number
    stored, params, seed = _point(session, number)
    try:
        with _shown(session, number), as_many_threads(stored.user_attrs.get(THREADS)):
            return refit(
                context,
                params,
                seed=seed,
                epochs=epochs,
                micro_batches=work.micro_batches,
                on_step=lambda share: work.on_event(TrialEvaluated(number, share, best.value)),
                should_stop=work.should_stop,
            )
    except (TrainingDiverged, BatchTooLarge) as error:
        raise ModelError(
            f"trial {number}, trained on {on}",
            found=f"a training that failed: {error}",
            expected="a training as in its trial",
            hint=hint,
        ) from error


def _point(session: Session, number: int) -> tuple[FrozenTrial, TrialParams, int]:
    """A trial as the storage has it, its parameters and its seed."""
    study = session.study
    stored = study.read(lambda read: _trial(read, number))
    sampled = {name: stored.params[name] for name in study.space}
    return stored, trial_params(study.spec, sampled), seed_for(study.spec.study.seed, number)


@contextmanager
def _shown(session: Session, number: int) -> Iterator[None]:
    """Tell of a training of a trial that is over, which can be stopped and not given back."""
    started, tell, state = time.monotonic(), session.work.on_event, "RELEASED"
    tell(TrialStarted(number, 1))
    try:
        yield
        state = "RETRAINED"
    except TrialInterrupted as interrupted:
        raise KeyboardInterrupt from interrupted
    finally:
        tell(TrialEnded(number, state, None, time.monotonic() - started))


@contextmanager
def as_many_threads(count: object) -> Iterator[None]:
    """As many threads as the trial had, where that is known: with others, sums end in other digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count if isinstance(count, int) else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _trial(study: optuna.Study, number: int) -> FrozenTrial:
    return next(trial for trial in study.get_trials(deepcopy=False) if trial.number == number)


def _scores(stored: FrozenTrial, best: Entry, metric: str) -> dict[str, float]:
    """What the trial scored at its best evaluation: the more that agrees, the surer that it is the same."""
    noted = {name: value for name, value in stored.user_attrs.items() if name in _COMPARED}
    return {**noted, metric: best.value}


def _found(result: TrialResult, name: str) -> float:
    return float(result.best.metrics[f"val/{name}"])


def _not_the_same(best: Entry, found: str) -> ModelError:
    return ModelError(
        f"trial {best.number}, the best",
        found=f"its weights neither here nor in MLflow, and, trained again, {found}",
        expected=f"the trial that scored {best.value:.6g}",
        hint="Run this command where the trial ran, with the same HPO_STATE, versions and --workers.",
    )
