"""The format of everything that is kept: another version's is gone on with or refused, and never misread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hpo.errors import HpoError, ModelError, OptionError, StorageError, TrackingError


@dataclass(frozen=True)
class Format:
    """How one kind of thing is kept.

    number: what this version writes, raised whenever an earlier version would misread it; place: where
    the number stands; newer: what becomes of one that a newer version wrote; way_out: for people, beside
    upgrading; error: what refuses it; oldest: the first number that this version reads.
    """

    what: str
    number: int
    place: str
    newer: str
    way_out: str
    error: type[HpoError] = OptionError
    oldest: int = 1


# What has no number was written by release 0.1, which noted it for outboxes and caches alone.
_FIRST: Final = 1

DATABASE: Final = Format(
    what="claims, memory and seals in the database",
    number=1,
    place="table `hpo_format`",
    newer="refused",
    way_out="name another database with --storage",
    error=StorageError,
)
STATE: Final = Format(
    what="the state folder",
    number=1,
    place="`.hpo/format`",
    newer="refused",
    way_out="set HPO_STATE to another folder",
)
OUTBOX: Final = Format(
    what="operations that wait for MLflow",
    number=1,
    place="fact `format` of `.hpo/outbox/*.db`",
    newer="refused",
    way_out="set HPO_STATE to another folder",
    error=TrackingError,
)
REJECTED: Final = Format(
    what="operations that MLflow refused",
    number=1,
    place="`format` of each line of `.hpo/outbox/rejected.jsonl`",
    newer="the line stays for the version that wrote it",
    way_out="remove the line",
    error=TrackingError,
)
CHECKPOINT: Final = Format(
    what="checkpoints",
    number=1,
    place="`format` in the header of `.hpo/studies/*/checkpoints/*.safetensors`",
    newer="one warning, the trial begins anew and ends the same",
    way_out="let its trial begin anew",
    error=ModelError,
)
TRAINED: Final = Format(
    what="kept models",
    number=1,
    place="`format` in `trial.json`",
    newer="refused where it is loaded; a study takes it for damaged, and trains it again",
    way_out="train that model again",
    error=ModelError,
)
DIGESTS: Final = Format(
    what="digests of a folder's files",
    number=1,
    place="`format` in `digests.json`, from 2 on: 0.1 would take it for a file",
    newer="the files are taken for damaged",
    way_out="make those files again",
    error=ModelError,
)
ENSEMBLE: Final = Format(
    what="ensembles",
    number=1,
    place="`format` in `ensemble.json`",
    newer="refused where it is loaded",
    way_out="publish that ensemble again",
    error=ModelError,
)
TOKENS: Final = Format(
    what="the token store",
    number=3,
    place="the name of each `tokens/*/`",
    newer="not seen; made again",
    way_out="remove the cache",
    oldest=3,
)
HIDDEN_STATES: Final = Format(
    what="hidden states of frozen blocks",
    number=2,
    place="the name of each `prefix/*/`",
    newer="not seen; made again",
    way_out="remove the cache",
    oldest=2,
)
DOWNLOADS: Final = Format(
    what="files from web servers",
    number=1,
    place="the name of each `downloads/*/`",
    newer="not seen; fetched again",
    way_out="remove the cache",
)
FORMATS: Final = (
    DATABASE,
    STATE,
    OUTBOX,
    REJECTED,
    CHECKPOINT,
    TRAINED,
    DIGESTS,
    ENSEMBLE,
    TOKENS,
    HIDDEN_STATES,
    DOWNLOADS,
)


def refusal(kept: Format, place: str, found: object) -> HpoError | None:
    """Why something that is kept cannot be read by this version; None where it can.

    Args:
        kept: The kind of thing that it is.
        place: The file or database at fault, for people.
        found: The number that stands there, as a number or in digits; None where there is none.
    """
    number = _FIRST if found is None else _number(found)
    if number is not None and kept.oldest <= number <= kept.number:
        return None
    newer = number is not None and number > kept.number
    cause = "This was written by a newer hpo: upgrade" if newer else "Restore a copy of it"
    return kept.error(
        place,
        found=f"{kept.what} in format {found}",
        expected=f"format {kept.number}" + (" or an earlier one" if kept.number > 1 else ""),
        hint=f"{cause}, or {kept.way_out}.",
    )


def check_format(kept: Format, place: str, found: object) -> None:
    """Raise the kind's error where something that is kept cannot be read by this version."""
    refused = refusal(kept, place, found)
    if refused is not None:
        raise refused


def _number(found: object) -> int | None:
    try:
        return int(str(found))
    except ValueError:
        return None
