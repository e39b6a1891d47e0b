"""What things are called in MLflow: tags, keys of runs and how they are read again, registered models."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hpo.spec.names import former_model_name, key_part, model_name

# Of runs, for people to filter by.
STUDY_TAG = "optuna.study_name"
TRIAL_NUMBER_TAG = "optuna.trial_number"
TRIAL_STATE_TAG = "optuna.trial_state"
ATTEMPT_TAG = "hpo.attempt"
ABANDONED_TAG = "hpo.abandoned"
REASON_TAG = "hpo.reason"
CONFIRMS_TAG = "hpo.confirms_trial"
STUDY_UID_TAG = "hpo.study_uid"
# Of runs and logged models, by which they are found again.
RUN_KEY_TAG = "hpo.run_key"
OUTBOX_TAG = "hpo.outbox"
SETTLED_TAG = "hpo.settled"
OPERATION_TAG = "hpo.operation"
STUDY_KEY_TAG = "hpo.study_key"
# Of versions of registered models: how often the test split had been looked at, which the study's storage
# counts, and when a worker asked for it, ms since the epoch of its own clock.
TIMES_TESTED_TAG = "hpo.times_tested"
PUBLISHED_TAG = "hpo.published_ms"
# And what it is made of, where that is not its trial alone.
SOURCE_TAG = "hpo.champion_source"
# Of a version that was not made to be the champion: the alias that it was given.
ALIAS_TAG = "hpo.alias"
# MLflow's own.
PARENT_TAG = "mlflow.parentRunId"
NOTE_TAG = "mlflow.note.content"
# Of the description that we wrote last. MLflow's pages do not show tags that are named as its own.
NOTE_DIGEST_TAG = "mlflow.note.hpo_digest"

CHAMPION_ALIAS = "champion"
ENSEMBLE_ALIAS = "ensemble"
REFIT_ALIAS = "refit"

_TRIAL_KEY = re.compile(r"trial:(?P<study>[^:]*):(?P<uid>[^:]+):(?P<number>\d+):(?P<attempt>\d+)")


@dataclass(frozen=True)
class TrialRunKey:
    """What the key of an attempt's run says.

    Attributes:
        study: The study's name as far as a key can hold it.
    """

    study: str
    study_uid: str
    number: int
    attempt: int

    def comes_before(self, other: TrialRunKey) -> bool:
        """Whether this is an earlier attempt at the same trial."""
        same = (self.study_uid, self.number) == (other.study_uid, other.number)
        return same and self.attempt < other.attempt


def trial_run_key(study_name: str, study_uid: str, number: int, attempt: int) -> str:
    """The key of the run of one attempt at a trial."""
    return f"trial:{study_in_keys(study_name, study_uid)}:{number}:{attempt}"


def parse_trial_run_key(key: str) -> TrialRunKey | None:
    """What `trial_run_key` wrote, read again; None for the key of any other run."""
    match = _TRIAL_KEY.fullmatch(key)
    if match is None:
        return None
    return TrialRunKey(match["study"], match["uid"], int(match["number"]), int(match["attempt"]))


def uid_in(run_key: str) -> str | None:
    """The uid of the study that a run belongs to, as its key holds it: `key_part` of it."""
    match = re.match(r"(?:trial|study):[^:]*:(?P<uid>[^:]+)", run_key)
    return None if match is None else match["uid"]


def study_run_key(study_name: str, study_uid: str) -> str:
    """The key of a study's parent run; the uid tells studies of one name apart."""
    return f"study:{study_in_keys(study_name, study_uid)}"


def study_in_keys(study_name: str, study_uid: str) -> str:
    """What all keys of a study's runs have in common, and those of its models."""
    return f"{key_part(study_name)}:{key_part(study_uid)}"


def trial_run_name(number: int) -> str:
    """What the runs of a trial's attempts are called: `trial-0007`."""
    return f"trial-{number:04d}"


def trial_model_tags(study_name: str, study_uid: str, number: int, attempt: int) -> dict[str, str]:
    """The tags of the logged model of one attempt at a trial."""
    return {
        STUDY_TAG: study_name,
        STUDY_KEY_TAG: study_run_key(study_name, study_uid),
        TRIAL_NUMBER_TAG: str(number),
        ATTEMPT_TAG: str(attempt),
    }


def registered_name(study_name: str) -> str:
    """The study's name as MLflow takes it for a registered model."""
    return model_name(study_name)


def names_from(name: str, study_uid: str) -> tuple[str, ...]:
    """Where a study registers its champion: under this name, or, where that is another's, the next one."""
    uids = dict.fromkeys((key_part(study_uid[:8]), key_part(study_uid)))
    return (name, *(f"{name}-{uid}" for uid in uids if uid))


def former_registered_name(study_name: str) -> str:
    """The name that a study begun by an earlier version registered its champion under."""
    return former_model_name(study_name)
