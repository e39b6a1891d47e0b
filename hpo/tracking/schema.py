"""The schema of a local MLflow store against those that the installed MLflow knows, without importing it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from hpo.tracking.uri import wrong_uri


def check_schema(uri: str, versions: Sequence[str], *, has_experiments: bool) -> None:
    """Raise TrackingError where a store has a schema that MLflow does not know, and so will never open.

    An older one is no fault: MLflow brings it up to date, or says how.

    Args:
        uri: Of the store.
        versions: What its table `alembic_version` holds; none in a store that is still to be made.
        has_experiments: Whether it has MLflow's tables.
    """
    known = _known_schemas()
    if not known or known.issuperset(versions):
        return
    schema = ", ".join(versions)
    if has_experiments:
        found = (
            f"a store of a newer MLflow (schema {schema}, which the installed one does not know)"
        )
        raise wrong_uri(uri, found, "Install the MLflow that wrote it, or give another file.")
    found = f"the tables of another program (alembic_version {schema})"
    raise wrong_uri(uri, found, "Give MLflow a file of its own.")


def _known_schemas() -> set[str]:
    """The installed MLflow's, by the names of its migrations: `0584bdc529eb_add_cascading_….py`."""
    mlflow = find_spec("mlflow")
    places = (mlflow.submodule_search_locations if mlflow else None) or ()
    folders = [Path(place, "store", "db_migrations", "versions") for place in places]
    return {file.name.partition("_")[0] for each in folders for file in each.glob("[0-9a-f]*_*.py")}
