"""What the search layer sees: a study and its trials in MLflow, written without ever waiting.

Every call here stores its operation on disk and returns; a background thread sends it. What MLflow
shows:

    experiment <study>                 one for each study name
      run <study>                      the parent: study file, environment, data, champion, report
        run trial-0007                 a child for each attempt at a trial

A child ends FINISHED, KILLED (pruned) or FAILED. An attempt whose worker died or was interrupted
ends KILLED with the tag `hpo.abandoned`, for the trial goes on in another attempt. The parent is
RUNNING while a worker has the study open and FINISHED (or as `close` says) once the last has closed
it; a worker that dies leaves that to whoever empties its outbox.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hpo.outbox.outbox import Outbox, waits_in
from hpo.outbox.quota import DEFAULT_LIMIT_BYTES
from hpo.outbox.records import (
    DropModels,
    EndRun,
    LogMetrics,
    PublishModel,
    RunStatus,
    TagExperiment,
)
from hpo.redaction import without_credentials
from hpo.tracking.champion import find_champion, publish_champion, refusal_of_champion
from hpo.tracking.channel import RunListener
from hpo.tracking.descriptions import descriptions, trial_description
from hpo.tracking.download import (
    delete_trial_models,
    download_trial_model,
    left_trial_model,
    missing_runs,
    trials_with_models,
)
from hpo.tracking.drain import Drainer, drain_abandoned
from hpo.tracking.identity import StudyIdentity
from hpo.tracking.keys import (
    CHAMPION_ALIAS,
    STUDY_KEY_TAG,
    TRIAL_NUMBER_TAG,
    trial_model_tags,
    trial_run_name,
)
from hpo.tracking.opening import DatasetInfo, open_study, open_trial
from hpo.tracking.system_metrics import SystemMetrics
from hpo.tracking.trial_run import OutcomeOf, TrialRun, log_text, now_ms, outcome_tags, points
from hpo.tracking.uri import browser_url, checked_uri, run_url
from hpo.tracking.views import TrialsTable, experiment_tags, table_url
from hpo.waiting import Deadline

if TYPE_CHECKING:
    from hpo.tracking.registry import Registered

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5


class StudyTracker(AbstractContextManager["StudyTracker"]):
    """A study in MLflow, as one process sees it. Use as a context manager, or call `close`."""

    def __init__(
        self,
        outbox: Outbox,
        drainer: Drainer,
        study: StudyIdentity,
        tracking_uri: str,
        drain_others: Callable[..., object],
        system_metrics: SystemMetrics | None,
    ) -> None:
        """See `open`. drain_others: sends what dead processes left here, for so many seconds."""
        self._outbox = outbox
        self._drainer = drainer
        self._drain_others = drain_others
        self._study = study
        self._tracking_uri = tracking_uri
        self._system_metrics = system_metrics
        self._trials: list[TrialRun] = []
        self._closed = False

    @classmethod
    def open(
        cls,
        tracking_uri: str,
        study_name: str,
        state_dir: Path,
        *,
        study_uid: str,
        registered_as: str | None = None,
        study_file: str,
        environment: Mapping[str, str],
        run_name: str | None = None,
        dataset: DatasetInfo | None = None,
        table: TrialsTable | None = None,
        on_run_opened: RunListener | None = None,
        outcome_of: OutcomeOf | None = None,
        system_metrics: bool = False,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> Self:
        """Open the study's parent run, or go on with it; returns at once, server or no server.

        Args:
            tracking_uri: The server or store.
            study_name: Names the experiment.
            state_dir: Where the outbox lies (`state_dir/outbox`); the same for all workers of a machine.
            study_uid: Tells studies of one name apart. registered_as: As in `StudyIdentity`.
            study_file: The study as TOML text.
            environment: Versions and devices, logged as environment.json. run_name: Left out, the study's.
            dataset: The labelled data, an input of the run.
            table: How the experiment's page is to show the trials.
            on_run_opened: Told of every run once the server has it.
            outcome_of: How a trial ended whose worker died before it could say so here.
            system_metrics: Whether `TrialRun.log_system` logs anything.
            limit_bytes: How much may wait in the outboxes of `state_dir` together.

        Raises:
            TrackingError: The URI is wrong, or `state_dir` cannot be written.
        """
        uri, study = checked_uri(tracking_uri), StudyIdentity(study_name, study_uid, registered_as)
        outbox = Outbox.create(state_dir, uri, limit_bytes)
        drainer = Drainer(
            outbox, uri, state_dir=state_dir, on_run_opened=on_run_opened, outcome_of=outcome_of
        )
        drain_others = partial(
            drain_abandoned, state_dir, on_run_opened=on_run_opened, outcome_of=outcome_of
        )
        metrics = SystemMetrics() if system_metrics else None
        tracker = cls(outbox, drainer, study, uri, drain_others, metrics)
        open_study(outbox, study, run_name or study_name, study_file, environment, dataset)
        if table is not None:
            outbox.append(TagExperiment(study.run, experiment_tags(table, study_uid, now_ms())))
        drainer.start()
        return tracker

    @property
    def study_url(self) -> str:
        """The page of the study's parent run, or of the server as long as the run is not there yet."""
        uri, run = self._tracking_uri, self._outbox.run(self._study.key)
        return browser_url(uri) if run is None else run_url(uri, run.experiment_id, run.run_id)

    @property
    def table_url(self) -> str:
        """The page of the study's trials as a table, or of the server as `study_url`."""
        server = browser_url(self._tracking_uri)
        run = self._outbox.run(self._study.key)
        return server if run is None else table_url(server, run.experiment_id)

    @property
    def waiting(self) -> int:
        """Operations that have not arrived at the server."""
        return self._outbox.waiting

    def start_trial(
        self,
        number: int,
        attempt: int,
        params: Mapping[str, float | int | str | None],
        confirms: tuple[int, int] | None = None,
    ) -> TrialRun:
        """Open the run of an attempt at a trial, a child of the study's run; as `open_trial`."""
        self._outbox.append(*open_trial(self._study, number, attempt, params, confirms))
        model_tags = trial_model_tags(self._study.name, self._study.uid, number, attempt)
        if self._system_metrics is not None:
            self._system_metrics.read()  # What was before the trial is not the trial's.
        run, name = self._study.trial_run(number, attempt), trial_run_name(number)
        trial = TrialRun(self._outbox, run, name, model_tags, self._system_metrics)
        self._trials = [t for t in self._trials if not t.ended or t.left] + [trial]
        return trial

    def fail_attempt(self, number: int, attempt: int, reason: str) -> None:
        """End the run of an attempt by another worker, which died, as that of a failed trial."""
        ref = self._study.trial_run(number, attempt)
        tags = outcome_tags("FAIL", reason)
        self._outbox.append(EndRun(ref, "FAILED", now_ms(), tags, only_if_there=True))

    def publish_champion(
        self,
        folder: Path,
        card: str,
        metrics: Mapping[str, float],
        trial_number: int,
        *,
        times_tested: int = 1,
        move: bool = False,
        source_key: str = "",
        alias: str = CHAMPION_ALIAS,
    ) -> None:
        """Register a model under the study's name, or beside that where the name is another study's.

        The version gets the alias, `champion` by default; the one that had it keeps its number.

        Args:
            folder: What `save_pretrained` or `save_ensemble` wrote. It is what the study was for, and
                held to the disk's free space only, not to the outbox's limit.
            card: The model card, Markdown.
            metrics: Those of the final test.
            trial_number: The trial that the model is of, or the first of an ensemble's.
            times_tested: A later champion has more; the alias stays with the latest, whenever it arrives.
            move: Whether the folder may go.
            source_key: Tells it from what else the trial leads; empty: it is the trial itself.

        Raises:
            TrackingError: The folder is incomplete, or the disk is full.
        """
        publish_champion(
            self._outbox,
            self._study,
            folder,
            card,
            metrics,
            trial_number,
            times_tested=times_tested,
            move=move,
            source_key=source_key,
            alias=alias,
        )

    def find_champion(
        self, number: int, known_name: str, source_key: str = "", alias: str = CHAMPION_ALIAS
    ) -> Registered:
        """Look whether what `publish_champion` got is registered and whole. Waits for the server.

        Raises:
            TrackingError: MLflow does not answer.
        """
        return find_champion(self._tracking_uri, self._study, number, known_name, source_key, alias)

    def champion_waits(self, seconds: float) -> bool:
        """Whether a champion waits for MLflow in an outbox here, after so long a try to send it."""
        deadline = Deadline(seconds)
        self.flush(seconds)
        while waits_in(self._outbox.state_dir, PublishModel):
            if deadline.is_over:
                return True
            # What a process that died has left; another thread may be at it already.
            self._drain_others(timeout_seconds=deadline.seconds_left)
            time.sleep(min(deadline.seconds_left, _LOOK_SECONDS))
        return False

    def refusal(self) -> str | None:
        """Why MLflow took no champion from this process; None where it did not refuse one."""
        return refusal_of_champion(self._outbox)

    def runs_that_are_gone(self, run_ids: Collection[str]) -> set[str]:
        """Those of the runs that MLflow does not have. Waits for the server, and raises as above."""
        return missing_runs(self._tracking_uri, run_ids)

    def left_model(self, facts: Path) -> Path | None:
        """What the trial of this `trial.json` trained, in files that MLflow's database has forgotten."""
        return left_trial_model(self._tracking_uri, facts)

    def drop_model(self, trial_number: int) -> None:
        """Delete the logged models of a trial, of all its attempts, files included."""
        tags = {STUDY_KEY_TAG: self._study.key, TRIAL_NUMBER_TAG: str(trial_number)}
        self._outbox.append(DropModels(self._study.run, tags))

    def download_trial_model(self, trial_number: int, target: Path) -> Path | None:
        """Fetch what a trial of this study trained; None where MLflow does not have it.

        Raises:
            TrackingError: The server, which is waited for, cannot be used.
        """
        return download_trial_model(
            self._tracking_uri, self._study.name, self._study.key, trial_number, target
        )

    def trials_with_models(self) -> set[int]:
        """The trials of this study whose models MLflow has. Waits for the server, as above."""
        return trials_with_models(self._tracking_uri, self._study.name, self._study.key)

    def delete_models(self, trial_numbers: Collection[int]) -> None:
        """Delete the logged models of these trials now, past the outbox. Waits for the server."""
        delete_trial_models(self._tracking_uri, self._study.name, self._study.key, trial_numbers)

    def describe(self, markdown: str) -> None:
        """Set the description of the study's run, and of its experiment."""
        self._outbox.append(*descriptions(self._study.run, markdown))

    def describe_trial(self, number: int, attempt: int, markdown: str) -> None:
        """Set the description of the run of an attempt at a trial, if MLflow has it."""
        self._outbox.append(trial_description(self._study.trial_run(number, attempt), markdown))

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of the study as a whole, e.g. the best value so far by finished trials."""
        if metrics:
            self._outbox.append(LogMetrics(self._study.run, points(metrics, step)))

    def log_study_text(self, text: str, file: str) -> None:
        """Log a text as the file `file` of the study's run."""
        log_text(self._outbox, self._study.run, text, file)

    def flush(self, timeout_seconds: float = 30.0) -> int:
        """Wait for everything to arrive, no longer than the time given. Returns what still waits."""
        return self._drainer.flush(timeout_seconds)

    def close(self, timeout_seconds: float = 30.0, status: RunStatus = "FINISHED") -> int:
        """End this process's part in the study. Returns how many operations still wait.

        Trials that were not finished end as abandoned. What waits stays on disk, and the next
        process with this state_dir sends it. Nothing may be logged afterwards.
        """
        if self._closed:
            return self._outbox.waiting
        self._closed = True
        if self._system_metrics is not None:
            self._system_metrics.close()
        for trial in self._trials:
            trial.abandon("its worker stopped")
        deadline = Deadline(timeout_seconds)
        # First, for whether this process has the study's run open is known once it is at the server.
        self._drainer.flush(timeout_seconds)
        self._outbox.end_shared(EndRun(self._study.run, status, now_ms()))
        waiting = self._drainer.flush(max(1.0, deadline.seconds_left))
        # A request ends within its time-out; a longer upload is cut by our exit and repeated.
        stopped = self._drainer.stop(timeout_seconds=15.0)
        if waiting and not self._outbox.is_blocked:  # which was told, with its reason
            logger.warning(
                "%d operations wait in %s for %s; the next run here sends them",
                waiting,
                self._outbox.folder,
                without_credentials(self._tracking_uri),
            )
        if stopped:
            # The run of a trial that ended unsaid is closed below, by what the storage says of it.
            unsaid = any(trial.left for trial in self._trials)
            self._outbox.close(remove=self._outbox.waiting == 0 and not unsaid)
        if stopped and not waiting and not deadline.is_over:
            # What earlier processes left would otherwise wait for a run that has idle moments.
            self._drain_others(timeout_seconds=deadline.seconds_left)
        return waiting

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self.close()
        else:
            # An interrupt is nobody's failure.
            self.close(status="FAILED" if isinstance(error, Exception) else "KILLED")
