"""What MLflow has, asked past the outbox and so with waiting: trials' models, the champion, runs."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.digests import damage_in
from hpo.errors import TrackingError
from hpo.outbox.records import DropModels, RunRef
from hpo.redaction import without_credentials
from hpo.tracking.keys import STUDY_KEY_TAG, TRIAL_NUMBER_TAG
from hpo.tracking.uri import artifact_root, checked_uri, database_file

if TYPE_CHECKING:
    from hpo.tracking.gateway import Gateway
    from hpo.tracking.registry import Registered

logger = logging.getLogger(__name__)


def download_trial_model(
    tracking_uri: str, study_name: str, study_key: str, number: int, target: Path
) -> Path | None:
    """Fetch what a trial trained into the folder `target`; the folder that holds it, or None.

    None where MLflow has no such model, or none that is whole. Imports MLflow and waits for the
    server.

    Raises:
        TrackingError: It cannot be used.
    """
    from hpo.tracking.gateway import Gateway
    from hpo.tracking.models import find_models

    uri = checked_uri(tracking_uri)
    gateway = Gateway(uri)
    tags = {STUDY_KEY_TAG: study_key, TRIAL_NUMBER_TAG: str(number)}
    with asking(uri, f"the model of trial {number}"):
        experiment_id = gateway.experiment_id(study_name, create=False)
        found = [] if experiment_id is None else find_models(gateway, experiment_id, tags)
        for model in reversed(found):
            folder = _fetched(uri, model.artifact_location, target / str(model.model_id))
            if folder is not None:
                return folder
    return None


def _fetched(uri: str, location: str, target: Path) -> Path | None:
    """Fetch a logged model; the folder of what the trial trained, or None where that is not whole."""
    from mlflow.artifacts import download_artifacts

    from hpo.tracking.answers import PermanentError, answers

    target.mkdir(parents=True, exist_ok=True)
    try:
        with answers():
            downloaded = download_artifacts(
                artifact_uri=location, dst_path=str(target), tracking_uri=uri
            )
        folder = Path(downloaded) / "data"
        damage = damage_in(folder) if folder.is_dir() else "its files are gone"
    except PermanentError as refusal:
        damage = str(refusal)
    if damage is None:
        return folder
    logger.warning("the model at %s is damaged: %s", without_credentials(location), damage)
    return None


def trials_with_models(tracking_uri: str, study_name: str, study_key: str) -> set[int]:
    """The numbers of the study's trials whose models MLflow has, whole.

    Raises:
        TrackingError: As above.
    """
    from hpo.tracking.gateway import Gateway
    from hpo.tracking.models import find_models

    uri = checked_uri(tracking_uri)
    gateway = Gateway(uri)
    with asking(uri, "a list of the study's models"):
        experiment_id = gateway.experiment_id(study_name, create=False)
        if experiment_id is None:
            return set()
        found = find_models(gateway, experiment_id, {STUDY_KEY_TAG: study_key})
    return {int(model.tags[TRIAL_NUMBER_TAG]) for model in found if str(model.status) == "READY"}


def delete_trial_models(
    tracking_uri: str, study_name: str, study_key: str, numbers: Collection[int]
) -> None:
    """Delete the models of these trials, files included.

    Raises:
        TrackingError: As above.
    """
    from hpo.tracking.gateway import Gateway
    from hpo.tracking.models import drop_models

    uri = checked_uri(tracking_uri)
    gateway = Gateway(uri)
    with asking(uri, "a deletion of models"):
        for number in sorted(numbers):
            tags = {STUDY_KEY_TAG: study_key, TRIAL_NUMBER_TAG: str(number)}
            drop_models(gateway, DropModels(RunRef(study_name, study_key), tags))


def look_for_champion(
    tracking_uri: str,
    names: Sequence[str],
    study_uid: str,
    number: int,
    source_key: str,
    alias: str,
) -> Registered:
    """What MLflow has of a study's champion, see registry.py.

    Raises:
        TrackingError: As above.
    """
    from hpo.tracking.gateway import Gateway
    from hpo.tracking.registry import find_champion

    uri = checked_uri(tracking_uri)
    with asking(uri, "a look at the champion"):
        return find_champion(Gateway(uri), names, study_uid, number, source_key, alias)


def missing_runs(tracking_uri: str, run_ids: Collection[str]) -> set[str]:
    """Those of the runs that MLflow does not have, or has as deleted.

    Raises:
        TrackingError: As above.
    """
    from hpo.tracking.gateway import Gateway

    uri = checked_uri(tracking_uri)
    gateway = Gateway(uri)
    with asking(uri, "a list of runs"):
        return {run_id for run_id in run_ids if not gateway.has_run(run_id)}


def left_trial_model(tracking_uri: str, facts: Path) -> Path | None:
    """The folder of a trial's model among a local store's files, whether or not the store knows of
    it.

    None where there is none.

    Args:
        facts: The trial's own `trial.json`, by which it is recognised.
    """
    from hpo.model.saved import TRAINED_FILE

    file = database_file(checked_uri(tracking_uri))
    if file is None or not facts.is_file():
        return None
    known = facts.read_bytes()
    for found in artifact_root(file).glob(f"*/models/*/artifacts/data/{facts.name}"):
        if (found.parent / TRAINED_FILE).is_file() and found.read_bytes() == known:
            return found.parent
    return None


@contextmanager
def store_that_is_there(tracking_uri: str, expected: str) -> Iterator[Gateway | None]:
    """The server or store, asked as by `asking`; None where it is a file that is not there, and stays so."""
    from hpo.tracking.gateway import Gateway

    uri = checked_uri(tracking_uri)
    file = database_file(uri)
    if file is not None and not file.exists():
        yield None
        return
    with asking(uri, expected):
        yield Gateway(uri)


@contextmanager
def asking(uri: str, expected: str) -> Iterator[None]:
    """Turn what the server says into TrackingError. expected: what it was asked for."""
    from hpo.tracking.answers import PermanentError, RetryableError

    try:
        yield
    except (RetryableError, PermanentError) as answer:
        raise TrackingError(
            f"tracking server {without_credentials(uri)}",
            found=str(answer),
            expected=expected,
            hint="Start it, and run the same command again.",
        ) from answer
