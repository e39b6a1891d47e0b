"""What is said of a study and of an attempt at a trial when they begin."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from dataclasses import dataclass

from hpo.outbox.outbox import Outbox
from hpo.outbox.records import (
    EndEarlierAttempts,
    LogDataset,
    OpenRun,
    Operation,
)
from hpo.tracking.identity import StudyIdentity
from hpo.tracking.keys import (
    ATTEMPT_TAG,
    CONFIRMS_TAG,
    REASON_TAG,
    STUDY_TAG,
    STUDY_UID_TAG,
    TRIAL_NUMBER_TAG,
    TRIAL_STATE_TAG,
    trial_run_name,
)
from hpo.tracking.trial_run import abandoned_tags, log_text, now_ms


@dataclass(frozen=True)
class DatasetInfo:
    """The labelled data of a study.

    Attributes:
        examples: Texts in each split, by its name.
    """

    name: str
    digest: str
    source: str
    examples: Mapping[str, int]


def open_study(
    outbox: Outbox,
    study: StudyIdentity,
    run_name: str,
    study_file: str,
    environment: Mapping[str, str],
    dataset: DatasetInfo | None,
) -> None:
    """Open the study's own run, or go on with it. See `StudyTracker.open`."""
    tags = {**_source_tags(), STUDY_TAG: study.name, STUDY_UID_TAG: study.uid}
    outbox.append(OpenRun(study.run, run_name, now_ms(), tags=tags, shared=True))
    log_text(outbox, study.run, study_file, "study.toml")
    shown = json.dumps(dict(environment), indent=2, sort_keys=True)
    log_text(outbox, study.run, shown, "environment.json")
    if dataset is not None:
        source = json.dumps({"source": dataset.source})
        profile = json.dumps({"examples": dict(dataset.examples), "digest": dataset.digest})
        outbox.append(LogDataset(study.run, dataset.name, dataset.digest, "hpo", source, profile))


def open_trial(
    study: StudyIdentity,
    number: int,
    attempt: int,
    params: Mapping[str, float | int | str | None],
    confirms: tuple[int, int] | None = None,
) -> list[Operation]:
    """What opens the run of an attempt at a trial, and ends what shows RUNNING of earlier ones.

    Args:
        confirms: The trial that this one trains again, and which of the new seeds it has, from 0.
    """
    run, start_ms = study.trial_run(number, attempt), now_ms()
    own_tags = {
        STUDY_TAG: study.name,
        TRIAL_NUMBER_TAG: str(number),
        TRIAL_STATE_TAG: "RUNNING",
        ATTEMPT_TAG: str(attempt),
    }
    name = trial_run_name(number)
    if confirms is not None:
        name = f"confirmation-{confirms[0]:04d}-seed-{confirms[1] + 1}"
        own_tags[CONFIRMS_TAG] = str(confirms[0])
    opening = OpenRun(
        run,
        name,
        start_ms,
        parent_key=study.key,
        tags={**_source_tags(), **own_tags},
        params={k: "none" if v is None else str(v) for k, v in params.items()},
        if_abandoned=abandoned_tags(),
    )
    if attempt == 1:
        return [opening]
    # A worker that died on another machine left an outbox there which nobody may ever empty.
    reason = f"attempt {attempt} goes on with the trial"
    ended = {**abandoned_tags(), REASON_TAG: reason}
    return [opening, EndEarlierAttempts(run, start_ms, ended)]


def _source_tags() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a user id without a name.
        user = "unknown"
    return {"mlflow.user": user, "mlflow.source.name": "hpo", "mlflow.source.type": "LOCAL"}
