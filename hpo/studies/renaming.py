"""The rows of a study that is renamed: its own and those of what confirms it, with the seals over its name."""

from __future__ import annotations

import json

from sqlalchemy import Connection, select, update

from hpo.documents import parse_json
from hpo.errors import StorageError
from hpo.spec.names import confirmed_study
from hpo.storage.optuna_rows import delete_study, rename_study
from hpo.storage.optuna_tables import STUDIES, TRIAL_USER_ATTRIBUTES, TRIALS
from hpo.storage.seals import LINKS, Damaged, damage, place_of, sealed_spec, spec_text
from hpo.storage.storage import Storage
from hpo.storage.tables import HPO_STUDIES
from hpo.studies.confirmation_rows import row_of_that_name
from hpo.studies.confirmations import description_of
from hpo.studies.progress import FINISHED


def refuse_taken(connection: Connection, name: str) -> None:
    """Raise StorageError where a study has this name, whoever made it."""
    query = select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
    if connection.execute(query).first() is not None:
        raise name_taken(place_of(connection), name)


def name_taken(place: str, name: str) -> StorageError:
    """The error for a name that a study in the storage has."""
    return StorageError(
        place,
        found=f"a study {name}",
        expected="a name that is free",
        hint="Take another, or delete that study.",
    )


def rename_rows(connection: Connection, study_id: int, name: str) -> None:
    """Give a study, or what confirms one, another name in the storage; all else is kept by its id.

    Args:
        connection: In a transaction that holds the study's row.
        study_id: Of the study.
        name: As the storage is to have it.
    """
    study = confirmed_study(name) or name
    row = connection.execute(
        select(HPO_STUDIES, STUDIES.c.study_name)
        .join(STUDIES, STUDIES.c.study_id == HPO_STUDIES.c.study_id)
        .where(HPO_STUDIES.c.study_id == study_id)
    ).one()
    try:
        # Not as a StudySpec: a key that it lacks means what an earlier release did.
        document = parse_json(spec_text(row))
    except Damaged as error:
        what = f"study {row.study_name}, its study file"
        raise damage(place_of(connection), what, error) from error
    document["study"]["name"] = study
    if study != name:
        document["study"]["description"] = description_of(study)
    sealed = sealed_spec(json.dumps(document), uid=row.uid, name=name, trials=row.trials)
    rename_study(connection, study_id, name)
    ours = HPO_STUDIES.c.study_id == study_id
    connection.execute(update(HPO_STUDIES).where(ours).values(spec_json=sealed))


def clear_confirmation(connection: Connection, name: str) -> None:
    """Delete what confirmed a study of this name that is gone."""
    # The dashboard, which deletes studies, knows nothing of it.
    left = row_of_that_name(connection, name)
    if left is not None:
        delete_study(connection, left[0])


def unlinked_trials(storage: Storage, study_id: int) -> list[int]:
    """The trials that are over and have no run in MLflow yet, as far as the storage was told."""
    link = TRIAL_USER_ATTRIBUTES
    query = (
        select(TRIALS.c.number)
        .join(link, (link.c.trial_id == TRIALS.c.trial_id) & (link.c.key == LINKS[0]), isouter=True)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state.in_(FINISHED))
        .where(link.c.trial_id.is_(None))
        .order_by(TRIALS.c.number)
    )

    def read() -> list[int]:
        with storage.read() as connection:
            return list(connection.execute(query).scalars())

    return storage.retry(read, "looking for trials without a run")
