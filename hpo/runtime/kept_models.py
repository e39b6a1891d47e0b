"""What complete trials trained, kept beside the checkpoints until the study's champion is chosen."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence, Set
from glob import escape
from pathlib import Path

from pydantic import JsonValue

from hpo.atomic import remove_partial, whole_folder
from hpo.errors import TrackingError
from hpo.model.saved import TRAINED_FILE, damage_in_trained, save_trained
from hpo.results.leaderboard import Entry
from hpo.runtime.preparation import told_params
from hpo.spec.names import file_name
from hpo.spec.study import StudySpec
from hpo.tasks.task import Task
from hpo.tracking.tracker import StudyTracker
from hpo.tracking.trial_run import TrialRun
from hpo.training.loop import TrialTraining

logger = logging.getLogger(__name__)


class KeptModels:
    """Folders `trial-0007` of one study, each there whole or not at all."""

    def __init__(self, state: Path, study_name: str, study_uid: str) -> None:
        self.folder = study_folder(state, study_name, study_uid) / "models"

    def path(self, number: int) -> Path:
        """Where the trained part of a trial is, if it is."""
        return self.folder / f"trial-{number:04d}"

    def keep(self, number: int, write: Callable[[Path], object]) -> Path:
        """Keep what a trial trained, in place of what is here.

        Args:
            number: The trial's.
            write: Writes the trained part to the empty folder that it is called with.

        Returns:
            Where the trained part is now.

        Raises:
            OSError: It cannot be kept.
        """
        path = self.path(number)
        remove_partial(path)  # by a worker that was killed
        with whole_folder(path, durable=True, replace=True) as folder:
            write(folder)
        return path

    def has(self, number: int) -> bool:
        """Whether the trained part of a trial is here with its weights."""
        return (self.path(number) / TRAINED_FILE).is_file()

    def whole(self, number: int) -> bool:
        """Whether the trained part of a trial is here as it was written; one that is damaged is told of."""
        if not self.has(number):
            return False
        damage = damage_in_trained(self.path(number))
        if damage is not None:
            logger.warning("the kept model %s is damaged: %s", self.path(number), damage)
        return damage is None

    def drop_weights(self, number: int) -> None:
        """Keep the facts alone of a trial whose model is in MLflow, so that it still counts as kept."""
        (self.path(number) / TRAINED_FILE).unlink(missing_ok=True)

    def log(self, number: int, run: TrialRun) -> None:
        """Log a trial's model in its run; without room in the outbox, whoever closes the run does."""
        try:
            run.log_model(self.path(number))
        except TrackingError as error:
            # The weights stay here until then.
            logger.warning("the model of trial %d is not logged yet: %s", number, error)
            run.leave()

    def drop_outdone(
        self, entries: Sequence[Entry], kept: Set[int], ended: int, tracker: StudyTracker
    ) -> None:
        """Drop the models that are no longer among the best, here and in MLflow.

        Args:
            entries: The leaderboard: another worker's model may be written and not yet be on it.
            kept: The trials on it whose models are to be kept.
            ended: The trial that has just ended, whose model MLflow was never given unless it is kept.
            tracker: Drops the models in MLflow.
        """
        outdone = ({entry.number for entry in entries} - kept) & self.numbers()
        self.drop(outdone)
        for number in outdone - {ended}:
            tracker.drop_model(number)

    def numbers(self) -> set[int]:
        """The trials whose trained part is here, or was until MLflow had it."""
        return {int(path.name.removeprefix("trial-")) for path in self.folder.glob("trial-*")}

    def drop(self, numbers: set[int]) -> None:
        """Remove what these trials trained."""
        for number in numbers:
            shutil.rmtree(self.path(number), ignore_errors=True)


def keep_trained(
    models: KeptModels,
    spec: StudySpec,
    number: int,
    trial: TrialTraining,
    task: Task,
    value: float,
    **facts: JsonValue,
) -> Path:
    """Keep a trial's classifier as it is now; where it is then.

    Args:
        models: Where.
        spec: The study.
        number: The trial's.
        trial: Its training, at its end.
        task: As it is answered.
        value: Of the study's metric.
        facts: What else is to stand in `trial.json`.
    """
    data = trial.context.data
    told = {
        "study": spec.name,
        "number": number,
        "params": told_params(spec, trial.params, trial.context.task.name),
        "value": value,
        **facts,
    }
    return models.keep(
        number,
        lambda folder: save_trained(
            folder,
            trial.classifier,
            task,
            data.label_names,
            data.max_length,
            told,
            data.preprocessing,
        ),
    )


def study_folder(state: Path, study_name: str, study_uid: str) -> Path:
    """Where a study's checkpoints and models are; another study of the same name has another folder.

    The uid names it: a folder whose name an earlier version made otherwise is gone on with.
    """
    folder, uid = state / "studies", study_uid[:12]
    named = folder / f"{file_name(study_name)}-{uid}"
    if named.exists():
        return named
    return min(folder.glob(f"*-{escape(uid)}"), default=named)
