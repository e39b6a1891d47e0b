"""Seals: digests of what a storage keeps, beside what they are of, so that damage is noticed when it is read.

SQLite has no checksums: a bit that a disk turned is another value, read without a word. What decisions
are made from is sealed in the transaction that writes it, and looked at whenever it is read. What a
version without seals wrote has none, and is taken as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, select

from hpo.documents import parse_json
from hpo.errors import StorageError
from hpo.redaction import redacted
from hpo.storage.optuna_rows import ARTIFACTS, frozen_trial, set_attribute
from hpo.storage.optuna_tables import STUDIES, TRIAL_SYSTEM_ATTRIBUTES, TRIALS
from hpo.storage.tables import HPO_STUDIES

TRIAL_SEAL: Final = "hpo:seal"
POINT_SEAL: Final = "hpo:point_seal"
LINK_SEAL: Final = "hpo:link_seal"
SEALS: Final = frozenset({TRIAL_SEAL, POINT_SEAL, LINK_SEAL})
LINKS: Final = ("mlflow_run_id", "mlflow_url")
"""User attributes that come after a trial's end, when MLflow answers at last: sealed by themselves."""

_MARK: Final = "sha256:"
_SHOWN: Final = 12  # digits of a digest, enough to tell two apart
# Drawings are hung on finished trials, by us and by people in the dashboard.
_LATER: Final = (ARTIFACTS, TRIAL_SEAL, LINK_SEAL)
_HINT: Final = "Restore a copy of the storage from before, or begin again under another --name."


class Damaged(Exception):  # noqa: N818
    """What was read is not what was written. The message says what of it, for `damage`."""


def damage(place: str, what: str, found: object) -> StorageError:
    """The refusal of something that is damaged.

    Args:
        place: The storage.
        what: Of it.
        found: Stands there.
    """
    return StorageError(
        f"{place}, {what}",
        found=f"damage ({' '.join(str(found).split())[:300]})",
        expected="what was written there",
        hint=_HINT,
    )


def place_of(connection: Connection) -> str:
    """The storage of a connection, for people."""
    return redacted(connection.engine.url.render_as_string(hide_password=False))


def digest(*parts: object) -> str:
    """Of JSON values: equal just where all of them are, as they are written out."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def sealed_text(text: str, *context: object) -> str:
    """JSON text with a seal before it.

    Args:
        context: What it belongs to, so that it is taken for no other's.
    """
    return f"{_MARK}{digest(text, *context)}\n{text}"


def unsealed_text(stored: object, *context: object) -> str:
    """The text that `sealed_text` was given with that context.

    Raises:
        Damaged: It is another.
    """
    if not isinstance(stored, str):
        raise Damaged(f"{type(stored).__name__} in place of text")
    if not stored.startswith(_MARK):
        try:
            parse_json(stored)
        except ValueError as error:
            raise Damaged("neither a seal nor JSON") from error
        return stored
    seal, _, text = stored.removeprefix(_MARK).partition("\n")
    _compare(seal, digest(text, *context))
    return text


def spec_text(row: Any) -> str:
    """The study file of a row with uid, study_name, trials and spec_json. Raises Damaged."""
    return unsealed_text(row.spec_json, row.uid, row.study_name, row.trials)


def sealed_spec(spec_json: str, *, uid: str, name: str, trials: int) -> str:
    """A study file as it is stored, sealed together with the budget that stands beside it."""
    return sealed_text(spec_json, uid, name, trials)


def read_trial(connection: Connection, trial_id: int) -> FrozenTrial:
    """A trial as Optuna will read it, within a transaction of the caller's; its seals looked at.

    Raises:
        StorageError: It is damaged.
    """
    uid, name, number = _whose(connection, trial_id)
    try:
        trial = frozen_trial(connection, trial_id)
        if uid is not None:
            check_trial(uid, trial)
    except UNREADABLE as error:
        what = f"study {name}, trial {number}"
        raise damage(place_of(connection), what, error) from error
    return trial


def seal_trial(connection: Connection, trial_id: int) -> None:
    """Seal a trial that has just got its end, in the transaction that gave it that."""
    uid, _, _ = _whose(connection, trial_id)
    if uid is not None:
        # Of Optuna's own reading of the rows: of the very value that will be read later.
        seal = trial_digest(uid, frozen_trial(connection, trial_id))
        set_attribute(connection, TRIAL_SYSTEM_ATTRIBUTES, trial_id, TRIAL_SEAL, seal)


def seal_point(connection: Connection, uid: str, trial_id: int, trial: FrozenTrial) -> None:
    """Seal the parameters of a trial that is under way: it may lie there before it is gone on with."""
    seal = _point_digest(uid, trial)
    set_attribute(connection, TRIAL_SYSTEM_ATTRIBUTES, trial_id, POINT_SEAL, seal)


def seal_links(
    connection: Connection, uid: str, number: int, trial_id: int, links: Mapping[str, str]
) -> None:
    """Seal a trial's links to MLflow, in the transaction that writes them."""
    seal = _link_digest(uid, number, links)
    set_attribute(connection, TRIAL_SYSTEM_ATTRIBUTES, trial_id, LINK_SEAL, seal)


def check_trial(uid: str, trial: FrozenTrial) -> None:
    """Raise Damaged where a trial is not what was sealed of it.

    Args:
        uid: Its study's.
    """
    seals = trial.system_attrs
    if TRIAL_SEAL in seals:
        _compare(seals[TRIAL_SEAL], trial_digest(uid, trial))
    elif POINT_SEAL in seals:
        _compare(seals[POINT_SEAL], _point_digest(uid, trial))
    if LINK_SEAL in seals:
        _compare(seals[LINK_SEAL], _link_digest(uid, trial.number, trial.user_attrs))


def trial_digest(uid: str, trial: FrozenTrial) -> str:
    """Of all that a finished trial is, but for what may be hung on it later.

    Args:
        uid: Its study's.
    """
    return digest(
        uid,
        trial.number,
        trial.state.name,
        trial.values,
        _point(trial),
        sorted(trial.intermediate_values.items()),
        {key: value for key, value in trial.user_attrs.items() if key not in LINKS},
        {key: value for key, value in trial.system_attrs.items() if not key.startswith(_LATER)},
        [None if time is None else time.isoformat() for time in _times(trial)],
    )


def _point_digest(uid: str, trial: FrozenTrial) -> str:
    return digest(uid, trial.number, _point(trial))


def _link_digest(uid: str, number: int, links: Mapping[str, Any]) -> str:
    return digest(uid, number, [links.get(name) for name in LINKS])


def _point(trial: FrozenTrial) -> dict[str, list[object]]:
    return {
        name: [value, _shape(trial.distributions[name])] for name, value in trial.params.items()
    }


def _shape(distribution: BaseDistribution) -> dict[str, object]:
    # Not Optuna's own JSON, which its next version may write otherwise.
    if isinstance(distribution, CategoricalDistribution):
        return {"choices": list(distribution.choices)}
    return {name: getattr(distribution, name, None) for name in ("low", "high", "log", "step")}


def _times(trial: FrozenTrial) -> tuple[Any, Any]:
    return trial.datetime_start, trial.datetime_complete


def _compare(seal: object, now: str) -> None:
    if seal != now:
        raise Damaged(f"its digest {now[:_SHOWN]}… is not the one that was sealed")


def _whose(connection: Connection, trial_id: int) -> tuple[str | None, str, int]:
    """The uid and name of a trial's study, and the trial's number; no uid where it is not ours."""
    row = connection.execute(
        select(HPO_STUDIES.c.uid, STUDIES.c.study_name, TRIALS.c.number)
        .select_from(TRIALS)
        .join(STUDIES, STUDIES.c.study_id == TRIALS.c.study_id)
        .join(HPO_STUDIES, HPO_STUDIES.c.study_id == TRIALS.c.study_id, isouter=True)
        .where(TRIALS.c.trial_id == trial_id)
    ).one()
    return row.uid, row.study_name, row.number


# What the libraries raise over a value that is none: JSON, enumerations, dates, distributions, types.
UNREADABLE: Final = (
    Damaged,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
)
