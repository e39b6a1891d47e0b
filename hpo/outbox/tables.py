"""The tables in an outbox's file; how they are must stay, for earlier and later versions read them too."""

from __future__ import annotations

import sqlalchemy as sa

schema = sa.MetaData()
facts = sa.Table(
    "facts",
    schema,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)
operations = sa.Table(
    "operations",
    schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_key", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("spooled", sa.String),
    sa.Column("bytes", sa.Integer, nullable=False),
    sa.Column("attempted", sa.Boolean, nullable=False),
    # Ids must never be given twice, or a late deletion would take the wrong operation.
    sqlite_autoincrement=True,
)
runs = sa.Table(
    "runs",
    schema,
    sa.Column("run_key", sa.String, primary_key=True),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("experiment_id", sa.String, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("doubtful", sa.Boolean, nullable=False),
    sa.Column("ended", sa.Boolean, nullable=False),
    sa.Column("if_abandoned", sa.Text, nullable=False),
)
rejected = sa.Table(
    "rejected",
    schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_key", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
# Of its own, so that a file of an earlier version needs no change.
doubts = sa.Table(
    "doubts",
    schema,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("since_ms", sa.Integer, nullable=False),
)
