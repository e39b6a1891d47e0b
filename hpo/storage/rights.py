"""Whether the user of a PostgreSQL database may do there what a study needs; told before anything is trained."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, bindparam, text

from hpo.errors import StorageError
from hpo.storage.optuna_tables import OPTUNA_METADATA
from hpo.storage.tables import HPO_FORMAT, METADATA

_STATE: Final = text(
    "SELECT current_user AS me, current_schema() AS schema, current_setting('search_path') AS path,"
    " current_setting('transaction_read_only') = 'on' AS read_only, pg_is_in_recovery() AS standby,"
    " has_schema_privilege(current_schema(), 'CREATE') AS may_create"
)
_LACKING: Final = text(
    "WITH ours AS (SELECT pg_class.oid FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE nspname = current_schema() AND relname IN :names)"
    " SELECT 'the table ' || relname FROM pg_class WHERE oid IN (SELECT oid FROM ours) AND NOT"
    " (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT') AND"
    "  has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))"
    " UNION ALL SELECT 'the sequence ' || relname FROM pg_class"
    " WHERE CASE relkind WHEN 'S' THEN NOT has_sequence_privilege(oid, 'USAGE') ELSE false END AND oid IN"
    " (SELECT objid FROM pg_depend WHERE deptype IN ('a', 'i') AND refobjid IN (SELECT oid FROM ours))"
).bindparams(bindparam("names", expanding=True))


def check_rights(probe: Engine, place: str, *, set_up: bool) -> None:
    """Look whether a study can be written; nothing is.

    Args:
        set_up: Whether all tables are there, so that none has to be created.

    Raises:
        StorageError: It cannot: a standby, a user who may only read or create nothing, no schema.
    """
    if probe.dialect.name != "postgresql":
        return
    with probe.connect() as connection:
        found, expected, hint = _fault(connection, set_up) or ("", "", "")
    if found:
        raise StorageError(place, found=found, expected=expected, hint=hint)


def _fault(connection: Connection, set_up: bool) -> tuple[str, str, str] | None:
    state = connection.execute(_STATE).one()
    if state.standby:
        return (
            "a standby, which can only be read",
            "the primary server",
            "Name the primary, or add target_session_attrs=read-write and all hosts to the URL.",
        )
    if state.read_only:
        return (
            f"a connection of {state.me} that can only read (default_transaction_read_only)",
            "one that can write",
            "Name another user, or turn that setting off for this one.",
        )
    if state.schema is None:
        return (
            f"no schema on the search_path {state.path}",
            "one that exists and that the user may use",
            "Create it (CREATE SCHEMA), or correct the search_path.",
        )
    if not set_up:
        return (
            None
            if state.may_create
            else (
                f"a user {state.me} without the right to create tables in the schema {state.schema}",
                "a user who may create them",
                f"GRANT CREATE ON SCHEMA {state.schema} TO {state.me}, or run once as its owner.",
            )
        )
    names = {*OPTUNA_METADATA.tables, *METADATA.tables} - {"version_info", HPO_FORMAT.name}
    lacking = connection.execute(_LACKING, {"names": sorted(names)}).scalars().all()
    if lacking:
        return (
            f"a user {state.me} who may not write {lacking[0]}",
            "one who may read and write all tables of the schema",
            f"GRANT ALL ON ALL TABLES, and on ALL SEQUENCES, IN SCHEMA {state.schema} TO {state.me}.",
        )
    return None
