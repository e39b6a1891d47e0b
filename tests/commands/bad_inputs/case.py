"""A bad input, what must be said about it, and short ways of writing one down."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field

Content = str | bytes | None


@dataclass(frozen=True)
class Case:
    """One bad input. name: in words; line: the arguments, parted by spaces; says: the error;
    files: what the folder holds (None: a folder)."""

    name: str
    line: str
    says: str
    files: Mapping[str, Content] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    command: str = "run"


def study_file(name: str, toml: str | bytes, says: str) -> Case:
    return Case(name, "bad.toml", says, {"bad.toml": toml})


def space(name: str, entry: str, says: str) -> Case:
    return study_file(name, f"[search.space]\n{entry}\n", f"bad.toml: search.space.{says}")


def data(name: str, file: str, content: str | bytes, says: str, options: str = "") -> Case:
    return Case(name, f"--data {file} {options}", says, {file: content})


def model(name: str, config: str | None, says: str, options: str = "", **files: Content) -> Case:
    named = {
        f"model/{key}" if "." in key else f"model/{key}.safetensors": content
        for key, content in files.items()
    }
    written = {} if config is None else {"model/config.json": config}
    return Case(name, f"--model model {options}", says, {"model/notes": "", **written, **named})


def database(*tables: str) -> bytes:
    """A SQLite file with tables of these names."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for table in tables:
            connection.execute(f"CREATE TABLE {table} (id INTEGER)")
        connection.commit()
        return connection.serialize()


def damaged_database() -> bytes:
    """A SQLite file in which one letter of a name is another than in the index over it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE names (name TEXT)")
        connection.execute("CREATE INDEX by_name ON names (name)")
        connection.execute("INSERT INTO names VALUES ('as it was')")
        connection.commit()
        return connection.serialize().replace(b"as it was", b"as it wat", 1)


# Told before anything heavy is imported.
