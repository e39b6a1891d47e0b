"""The champion of a study on its way into MLflow: handed in, looked for, refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import TrackingError
from hpo.model.combination import ENSEMBLE_FILE
from hpo.outbox.outbox import Outbox
from hpo.outbox.records import PublishModel
from hpo.tracking.download import look_for_champion
from hpo.tracking.identity import StudyIdentity
from hpo.tracking.keys import (
    ALIAS_TAG,
    CHAMPION_ALIAS,
    PUBLISHED_TAG,
    SOURCE_TAG,
    STUDY_TAG,
    STUDY_UID_TAG,
    TIMES_TESTED_TAG,
    TRIAL_NUMBER_TAG,
)
from hpo.tracking.trial_run import now_ms, points

if TYPE_CHECKING:
    from hpo.tracking.registry import Registered


def publish_champion(
    outbox: Outbox,
    study: StudyIdentity,
    folder: Path,
    card: str,
    metrics: Mapping[str, float],
    trial_number: int,
    *,
    times_tested: int,
    move: bool,
    source_key: str,
    alias: str,
) -> None:
    """Have a champion, or an ensemble beside it, registered. See `StudyTracker.publish_champion`."""
    _check_folder(folder)
    spooled = outbox.spool.add_folder(folder, move=move, bounded=False)
    operation = PublishModel(
        study.run,
        # The same for the same champion: published again, what is missing of it is made whole.
        f"{alias}:{study.key}:{trial_number}" + (f":{source_key}" if source_key else ""),
        spooled.path,
        study.model_names[0],
        alias,
        card,
        points(metrics, 0),
        {
            STUDY_TAG: study.name,
            STUDY_UID_TAG: study.uid,
            TRIAL_NUMBER_TAG: str(trial_number),
            TIMES_TESTED_TAG: str(times_tested),
            PUBLISHED_TAG: str(now_ms()),
            **({SOURCE_TAG: source_key} if source_key else {}),
            **({ALIAS_TAG: alias} if alias != CHAMPION_ALIAS else {}),
        },
    )
    # Its bytes are not counted against the limit either: it would shut out what comes after.
    outbox.append(operation)


def find_champion(
    tracking_uri: str,
    study: StudyIdentity,
    trial_number: int,
    known_name: str,
    source_key: str,
    alias: str,
) -> Registered:
    """What MLflow has of a champion. See `StudyTracker.find_champion`."""
    names = tuple(dict.fromkeys((known_name, *study.model_names)))
    return look_for_champion(tracking_uri, names, study.uid, trial_number, source_key, alias)


def refusal_of_champion(outbox: Outbox) -> str | None:
    """Why MLflow took no champion from this process; None where it did not refuse one."""
    refused = outbox.rejected()
    if not any(each.kind == PublishModel.__name__ for each in refused):
        return None
    return refused[0].reason  # what came after it was refused for want of it


def _check_folder(folder: Path) -> None:
    if (folder / ENSEMBLE_FILE).is_file():
        return
    for needed in ("config.json", "tokenizer_config.json"):
        if not (folder / needed).is_file():
            raise TrackingError(
                str(folder),
                found=f"no {needed}",
                expected="a model and its tokenizer as save_pretrained writes them, or an ensemble",
                hint="Save both there.",
            )
