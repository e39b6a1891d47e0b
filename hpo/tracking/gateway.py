"""MLflow's client behind typed calls that end in one of three ways (answers.py): done, PermanentError, RetryableError.

Imports MLflow when it is first used, on the draining thread. Every call that creates something can
be repeated after an unknown outcome, for what it creates carries a tag that is looked up first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.errors import TrackingError
from hpo.outbox.records import LogDataset, MetricPoint, OpenRun, RunStatus
from hpo.spec.names import file_name
from hpo.tracking.answers import BlockedError, PermanentError, RetryableError, answers
from hpo.tracking.found_run import FoundRun
from hpo.tracking.hidden_tags import name_in_mlflow, read, sent
from hpo.tracking.keys import OUTBOX_TAG, RUN_KEY_TAG, SETTLED_TAG, uid_in
from hpo.tracking.limits import (
    MAX_METRICS_PER_BATCH,
    MAX_PARAM_CHARACTERS,
    MAX_PARAMS_PER_BATCH,
    MAX_TAG_CHARACTERS,
    MAX_TAGS_PER_BATCH,
    characters_of,
    chunks,
    cut,
    upload_time,
)
from hpo.tracking.local_store import importing_mlflow, make_local_store, store_lock
from hpo.tracking.moved import repair_moves
from hpo.tracking.uri import artifact_location, artifact_root, database_file, run_url

logger = logging.getLogger(__name__)

# Two machines may create a shared run in the same instant: both look again after this time.
_SETTLE_SECONDS = 1.0


class Gateway:
    """One tracking server or store. Not for use by several threads at once."""

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri
        self._client: Any = None
        self._experiments: dict[str, str] = {}
        self._named_anew: set[tuple[str, str | None]] = set()  # studies, by experiment and uid

    @property
    def client(self) -> Any:
        """MLflow's client; the first use imports MLflow and sets an empty local store up."""
        if self._client is None:
            try:
                with importing_mlflow():
                    from mlflow.tracking import MlflowClient
            except (ImportError, AttributeError) as error:
                # A thread that is not ours may be in the middle of importing the same modules.
                raise RetryableError(f"MLflow cannot be imported: {error}") from error
            logging.getLogger("alembic").setLevel(logging.WARNING)
            try:
                said = repair_moves(self.tracking_uri)
            except TrackingError as error:
                raise BlockedError(str(error)) from error
            if said is not None:
                logger.warning("%s", said)
            with answers(), store_lock(self.tracking_uri):
                make_local_store(self.tracking_uri)
                self._client = MlflowClient(tracking_uri=self.tracking_uri)
        return self._client

    def url(self, experiment_id: str, run_id: str) -> str:
        return run_url(self.tracking_uri, experiment_id, run_id)

    def experiment_id(self, name: str, *, create: bool = True) -> str | None:
        """The experiment of this name.

        Args:
            create: Make it, or bring it back from deletion.
        """
        if name in self._experiments:
            return self._experiments[name]
        client = self.client
        with answers():
            found = client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage == "deleted":
            if not create:
                return None
            logger.warning("The MLflow experiment %s was deleted; it is brought back", name)
            with answers():
                client.restore_experiment(found.experiment_id)
        if found is None:
            if not create:
                return None
            experiment_id = self._create_experiment(name)
        else:
            experiment_id = str(found.experiment_id)
        self._experiments[name] = experiment_id
        return experiment_id

    def find_runs(self, experiment: str, run_key: str) -> list[FoundRun]:
        """All runs of this key that are not deleted, the oldest first.

        Those of a study that an earlier release wrote are named anew, once something new of it is looked for.
        """
        experiment_id = self.experiment_id(experiment, create=False)
        if experiment_id is None:
            return []
        now, before = (f"tags.`{name}`" for name in (name_in_mlflow(RUN_KEY_TAG), RUN_KEY_TAG))
        found, uid = self.search_runs(experiment_id, f"{now} = '{run_key}'"), uid_in(run_key)
        if found or (experiment_id, uid) in self._named_anew:
            return found
        anew = {run.run_id for run in self.search_runs(experiment_id, f"{now} LIKE '%:{uid}%'")}
        for run in self.search_runs(experiment_id, f"{before} LIKE '%:{uid}%'"):
            if run.run_id not in anew:
                self.log_batch(run.run_id, tags={RUN_KEY_TAG: run.tags[RUN_KEY_TAG]})
        self._named_anew.add((experiment_id, uid))
        return self.search_runs(experiment_id, f"{now} = '{run_key}'")

    def search_runs(self, experiment_id: str, condition: str) -> list[FoundRun]:
        """Runs that fit MLflow's filter, the oldest first, through all pages."""
        client, runs, token = self.client, [], None
        while True:
            with answers():
                page = client.search_runs(
                    [experiment_id], condition, max_results=1000, page_token=token
                )
            runs += [FoundRun.of(run) for run in page]
            token = page.token
            if not token:
                return sorted(runs, key=lambda run: (run.start_ms, run.run_id))

    def open_run(
        self,
        wanted: OpenRun,
        tags: Mapping[str, str],
        *,
        reopen: bool,
        before_creation: Callable[[], None],
    ) -> FoundRun:
        """Find the run by its key, or create it with the tags. Its parameters are not logged.

        Args:
            tags: Those that identify it, OUTBOX_TAG among them.
            reopen: A run that has ended becomes RUNNING. before_creation is called right before a
                creation is sent, so that the caller can note that its outcome may stay unknown.
        """

        def create() -> FoundRun:
            before_creation()
            return self._create_run(wanted, tags)

        # First, for both take the store's lock, and runs come back with a deleted experiment.
        client = self.client
        self.experiment_id(wanted.run.experiment)
        if wanted.shared and not database_file(self.tracking_uri):
            run = self._settle(wanted, tags[OUTBOX_TAG], create)
        elif wanted.shared:
            with store_lock(self.tracking_uri):
                run = self._find_or(wanted, create)
        else:
            run = self._find_or(wanted, create)
        if reopen and run.status != "RUNNING":
            with answers():
                client.update_run(run.run_id, status="RUNNING")
        return run

    def remove_doubles(self, experiment: str, run_key: str, outbox_key: str, kept: str) -> None:
        """Delete the runs of this key that this outbox created besides the kept one."""
        for run in self.find_runs(experiment, run_key):
            if run.run_id != kept and run.tags.get(OUTBOX_TAG) == outbox_key:
                self._delete_run(run)

    def log_batch(
        self,
        run_id: str,
        *,
        metrics: Sequence[MetricPoint] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        model_id: str | None = None,
    ) -> None:
        """Log in requests that keep to MLflow's limits; values beyond them are cut with a note."""
        from mlflow.entities import Metric, Param, RunTag

        shown = [
            Metric(
                p.key,
                p.value,
                p.timestamp_ms,
                p.step,
                model_id=model_id,
                run_id=run_id if model_id else None,
            )
            for p in metrics
        ]
        client = self.client
        for batch in chunks(shown, MAX_METRICS_PER_BATCH, lambda metric: 150 + len(metric.key)):
            with answers():
                client.log_batch(run_id, metrics=batch, synchronous=True)
        cut_params = [Param(k, cut(v, MAX_PARAM_CHARACTERS)) for k, v in (params or {}).items()]
        for batch in chunks(cut_params, MAX_PARAMS_PER_BATCH, characters_of):
            with answers():
                client.log_batch(run_id, params=batch, synchronous=True)
        cut_tags = [RunTag(k, cut(v, MAX_TAG_CHARACTERS)) for k, v in sent(tags or {}).items()]
        for batch in chunks(cut_tags, MAX_TAGS_PER_BATCH, characters_of):
            with answers():
                client.log_batch(run_id, tags=batch, synchronous=True)

    def log_artifact(self, run_id: str, path: Path, artifact_path: str | None) -> None:
        """Upload a file into the folder artifact_path of the run."""
        client = self.client
        with answers(), upload_time(path):
            client.log_artifact(run_id, str(path), artifact_path)

    def log_dataset(self, run_id: str, dataset: LogDataset) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        entity = Dataset(
            name=dataset.name[:500],
            digest=dataset.digest[:36],
            source_type=dataset.source_type,
            source=dataset.source,
            profile=dataset.profile,
        )
        context = InputTag("mlflow.data.context", dataset.context)
        client = self.client
        with answers():
            client.log_inputs(run_id, datasets=[DatasetInput(entity, [context])])

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        client = self.client
        for key, value in tags.items():
            with answers():
                client.set_experiment_tag(experiment_id, key, value)

    def experiment_tags(self, experiment_id: str) -> Mapping[str, str]:
        client = self.client
        with answers():
            return dict(client.get_experiment(experiment_id).tags)

    def end_run(self, run_id: str, status: RunStatus, end_ms: int) -> None:
        client = self.client
        with answers():
            client.set_terminated(run_id, status=status, end_time=end_ms)

    def run_end_ms(self, run_id: str) -> int | None:
        """When a run ended, ms since the epoch; None while it is RUNNING."""
        client = self.client
        with answers():
            info = client.get_run(run_id).info
        return None if info.status == "RUNNING" else int(info.end_time or 0)

    def run_tags(self, run_id: str) -> Mapping[str, str]:
        client = self.client
        with answers():
            return read(client.get_run(run_id).data.tags)

    def has_run(self, run_id: str) -> bool:
        """Whether a run is there, and not deleted."""
        client = self.client
        try:
            with answers():
                return bool(client.get_run(run_id).info.lifecycle_stage == "active")
        except PermanentError:
            return False

    def _find_or(self, wanted: OpenRun, create: Callable[[], FoundRun]) -> FoundRun:
        found = self.find_runs(wanted.run.experiment, wanted.run.key)
        return found[0] if found else create()

    def _settle(self, wanted: OpenRun, outbox_key: str, create: Callable[[], FoundRun]) -> FoundRun:
        """One run out of those that several machines may create in the same instant.

        Whoever sees no settled run creates one if there is none at all, waits until every creation
        that began without seeing it must have ended, takes the oldest and marks it settled. Losers
        delete what they created themselves.
        """
        runs = self.find_runs(wanted.run.experiment, wanted.run.key)
        winner = next((run for run in runs if SETTLED_TAG in run.tags), None)
        if winner is None:
            if not runs:
                create()
            time.sleep(_SETTLE_SECONDS)
            runs = self.find_runs(wanted.run.experiment, wanted.run.key)
            if not runs:
                raise RetryableError("the run that was just created is not listed yet")
            winner = next((run for run in runs if SETTLED_TAG in run.tags), runs[0])
            self.log_batch(winner.run_id, tags={SETTLED_TAG: "true"})
        # An earlier try whose answer was lost may have created one besides the one settled since.
        for run in runs:
            if run.run_id != winner.run_id and run.tags.get(OUTBOX_TAG) == outbox_key:
                self._delete_run(run)
        return winner

    def _create_run(self, wanted: OpenRun, tags: Mapping[str, str]) -> FoundRun:
        client = self.client
        shown = {k: cut(v, MAX_TAG_CHARACTERS) for k, v in sent({**wanted.tags, **tags}).items()}
        for last in (False, True):
            experiment_id = self.experiment_id(wanted.run.experiment)
            try:
                with answers():
                    return FoundRun.of(
                        client.create_run(experiment_id, wanted.start_ms, shown, wanted.name)
                    )
            except PermanentError:
                # The experiment may have been deleted since it was looked up.
                self._experiments.pop(wanted.run.experiment, None)
                if last:
                    raise
        raise AssertionError("the loop above returns or raises")

    def _create_experiment(self, name: str) -> str:
        file = database_file(self.tracking_uri)
        location = None
        if file is not None:
            # MLflow would take ./mlruns of whichever folder the draining process works in.
            location = artifact_location(artifact_root(file) / file_name(name))
        client = self.client
        try:
            with answers():
                return str(client.create_experiment(name, artifact_location=location))
        except PermanentError:
            with answers():
                found = client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _delete_run(self, run: FoundRun) -> None:
        client = self.client
        logger.debug("Deleting run %s, a double of another", run.run_id)
        with answers():
            client.delete_run(run.run_id)
