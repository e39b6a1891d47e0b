"""What the best trial trained: kept here, or in MLflow, or trained again where no whole copy is anywhere.

A trial is a pure function of data, model, parameters and seed, so that its weights can be made again.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import optuna
import torch

from hpo.errors import ModelError
from hpo.model.saved import FACTS_FILE, damage_in_trained, save_trained
from hpo.results.champion_source import ChampionSource
from hpo.results.leaderboard import Entry
from hpo.runtime.events import TrialEnded, TrialEvaluated, TrialStarted
from hpo.runtime.outcomes import THREADS
from hpo.runtime.preparation import told_params, trial_params
from hpo.runtime.session import Session
from hpo.search.samplers import seed_for
from hpo.training.evaluate import TrainingDiverged
from hpo.training.loop import TrialInterrupted, TrialTraining
from hpo.training.micro_batches import BatchTooLarge
from hpo.training.result import Evaluation, TrialResult, Verdict

logger = logging.getLogger(__name__)

_FLUSH_SECONDS = 60.0
# Threads and kernels may add up in another order on another day; a wrong bit tells much more than this.
_SAME = 1e-6


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
    if fetched is None or not _is_of(fetched, session.study.name, number):
        return None
    return fetched


def _is_of(folder: Path, study_name: str, number: int) -> bool:
    """Whether what was fetched says itself that it is that trial's: MLflow's tags may be damaged."""
    try:
        trial = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))["trial"]
        is_its_own = (trial["study"], trial["number"]) == (study_name, number)
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return is_its_own and damage_in_trained(folder) is None


def _train_again(session: Session, best: Entry) -> Path:
    """Train a complete trial once more, unpruned, and keep it if it comes out as it did."""
    spec, work, context = session.study.spec, session.work, session.prepared.context
    stored = session.study.read(lambda study: _trial(study, best.number))
    params = trial_params(spec, {name: stored.params[name] for name in session.study.space})
    trial = TrialTraining(
        context,
        params,
        seed=seed_for(spec.study.seed, best.number),
        micro_batches=work.micro_batches,
    )

    def on_evaluation(evaluation: Evaluation) -> Verdict:
        value = evaluation.metrics[f"val/{spec.study.metric}"]
        work.on_event(TrialEvaluated(best.number, evaluation.step / trial.steps, value))
        return Verdict.GO_ON

    started = time.monotonic()
    work.on_event(TrialStarted(best.number, 1))
    try:
        with _threads(stored.user_attrs.get(THREADS)):
            result = trial.run(on_evaluation, should_stop=work.should_stop)
    except TrialInterrupted as interrupted:
        raise KeyboardInterrupt from interrupted  # nothing is left to give back: the trial is over
    except (TrainingDiverged, BatchTooLarge) as error:
        raise _not_the_same(best, str(error)) from error
    finally:
        work.on_event(TrialEnded(best.number, "RELEASED", None, time.monotonic() - started))
    for name, value in _scores(stored, best, spec.study.metric).items():
        found = _found(result, name)
        if not math.isclose(found, value, rel_tol=_SAME, abs_tol=_SAME):
            raise _not_the_same(best, f"{name} {found:.6g}, not {value:.6g}")
    facts = {
        "study": session.study.name,
        "number": best.number,
        "params": told_params(spec, params),
        "value": result.value,
    }
    data = context.data
    return session.models.keep(
        best.number,
        lambda folder: save_trained(
            folder,
            trial.classifier,
            trial.tuned_task,
            data.label_names,
            data.max_length,
            facts,
            context.data.preprocessing,
        ),
    )


@contextmanager
def _threads(count: object) -> Iterator[None]:
    """As many threads as the trial had, where that is known: with others, sums end in other digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count if isinstance(count, int) else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _trial(study: optuna.Study, number: int) -> optuna.trial.FrozenTrial:
    return next(trial for trial in study.get_trials(deepcopy=False) if trial.number == number)


def _scores(stored: optuna.trial.FrozenTrial, best: Entry, metric: str) -> dict[str, float]:
    """What the trial scored at its best evaluation: the more that agrees, the surer that it is the same."""
    noted = {
        n: v for n, v in stored.user_attrs.items() if n in ("accuracy", "f1_macro", "log_loss")
    }
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
