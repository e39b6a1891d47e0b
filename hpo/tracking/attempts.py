"""What the server believes to be at work, to be compared with the workers that are alive."""

from __future__ import annotations

from dataclasses import dataclass

from hpo.errors import TrackingError
from hpo.tracking.records import RUN_KEY_TAG
from hpo.tracking.trial_run import ATTEMPT_TAG, TRIAL_NUMBER_TAG
from hpo.tracking.uri import checked_uri, redacted


@dataclass(frozen=True)
class OpenAttempt:
    """A child run that the server shows as RUNNING."""

    run_key: str
    run_id: str
    trial_number: int | None
    attempt: int | None


def open_attempts(tracking_uri: str, study_name: str) -> list[OpenAttempt]:
    """The attempts of a study that the server shows as RUNNING.

    Imports MLflow and waits for the server. Raises TrackingError where it cannot be used.
    """
    from hpo.tracking.answers import Away, Refused
    from hpo.tracking.gateway import Gateway

    uri = checked_uri(tracking_uri)
    gateway = Gateway(uri)
    try:
        experiment_id = gateway.experiment_id(study_name, create=False)
        if experiment_id is None:
            return []
        runs = gateway.search_runs(experiment_id, "attributes.status = 'RUNNING'")
    except (Away, Refused) as answer:
        raise TrackingError(
            f"tracking server {redacted(uri)}",
            found=str(answer),
            expected="its list of runs",
            mend="Start it, or try again later.",
        ) from answer
    return [
        OpenAttempt(
            run.tags[RUN_KEY_TAG],
            run.run_id,
            _whole(run.tags.get(TRIAL_NUMBER_TAG)),
            _whole(run.tags.get(ATTEMPT_TAG)),
        )
        for run in runs
        if RUN_KEY_TAG in run.tags and ATTEMPT_TAG in run.tags
    ]


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
