"""Storages and tracking stores that are none."""

from __future__ import annotations

from tests.commands.bad_inputs.case import Case, damaged_database, database

PLACES = (
    Case(
        "a storage that is no URL",
        "--storage optuna.db",
        "optuna.db: found something that is not a URL; expected sqlite:///FILE or …. "
        "Write sqlite:///optuna.db for a file.",
    ),
    Case(
        "a storage of another kind",
        "--storage mysql://me:secret@host/studies",
        "mysql://me:***@host/studies: found a storage of kind mysql; expected sqlite:///FILE or "
        "postgresql://…. Use SQLite on one machine, and PostgreSQL for several.",
    ),
    Case(
        "a storage in a folder that there is not",
        "--storage sqlite:///no/optuna.db",
        "sqlite:///no/optuna.db: found no folder no; expected a file in a folder that exists. "
        "Create the folder, or name another file.",
    ),
    Case(
        "a storage that is a text",
        "--storage sqlite:///notes.txt",
        "sqlite:///notes.txt: found a file that is not a SQLite database, …; expected a SQLite "
        "database, …. Name another file, …",
        {"notes.txt": "some notes, which nobody would want to lose\n"},
    ),
    Case(
        "a storage that is a folder",
        "--storage sqlite:///folder",
        "sqlite:///folder: found a folder; expected a file. Write sqlite:///folder/optuna.db.",
        {"folder": None},
    ),
    *(
        Case(
            f"a storage on a host, for {command}",
            f"--storage sqlite://host/o.db {options}",
            "sqlite://host/o.db: found the host host; expected sqlite:///FILE, and nothing else. "
            "Write sqlite:///o.db.",
            command=command,
        )
        for command, options in (("run", ""), ("submit", "--no-check"), ("worker", ""))
    ),
    Case(
        "a storage with a query",
        "--storage sqlite:///o.db?timeout=5",
        "sqlite:///o.db?timeout=5: found a query, …; expected sqlite:///FILE, and nothing else. Write …",
    ),
    Case(
        "a storage in memory",
        "--storage sqlite://",
        "sqlite://: found no file; expected sqlite:///FILE, …. Write sqlite:///optuna.db, …",
    ),
    Case(
        "UIs of a storage that is a text",
        "--storage sqlite:///notes.txt",
        "sqlite:///notes.txt: found a file that is not a SQLite database, …; expected …. …",
        {"notes.txt": "some notes, which nobody would want to lose\n"},
        command="ui",
    ),
    Case(
        "UIs of no study",
        "",
        "sqlite:///optuna.db: found no file optuna.db; expected the storage of a study. …",
        command="ui",
    ),
    Case(
        "a flush of another program's storage",
        "--flush --storage sqlite:///mlflow.db",
        "sqlite:///mlflow.db: found the tables of an MLflow tracking store; expected …. …",
        {"mlflow.db": database("experiments", "runs", "alembic_version")},
        command="doctor",
    ),
    Case(
        "a storage that is MLflow's",
        "--storage sqlite:///mlflow.db",
        "sqlite:///mlflow.db: found the tables of an MLflow tracking store; expected a database "
        "of its own …. Use separate databases, …",
        {"mlflow.db": database("experiments", "runs", "alembic_version")},
    ),
    Case(
        "a storage that is damaged",
        "--storage sqlite:///o.db",
        "sqlite:///o.db: found a damaged database (row 1 missing from index by_name); expected a "
        "file …. Restore it from a copy, …, or use another --storage.",
        {"o.db": damaged_database()},
    ),
    Case(
        "a storage where nothing can be written",
        "--storage sqlite:////proc/o.db",
        "sqlite:////proc/o.db: found /proc, which cannot be written (…); expected a file and a "
        "folder that can be written. Change the rights, or use another --storage.",
    ),
    Case(
        "a database server that is not there",
        "--storage postgresql://me:secret@127.0.0.1:1/hpo",
        "postgresql://me:***@127.0.0.1:1/hpo: found no server that answers (…refused…); "
        "expected PostgreSQL at 127.0.0.1. Start the server, or check host and port.",
    ),
    Case(
        "a storage that a worker cannot use",
        "--storage mysql://host/studies",
        "mysql://host/studies: found a storage of kind mysql; expected …. Use SQLite …",
        command="worker",
    ),
    Case(
        "a storage that submit cannot use",
        "--storage optuna.db",
        "optuna.db: found something that is not a URL; expected …. Write sqlite:///optuna.db …",
        command="submit",
    ),
    Case(
        "a tracking URI of another scheme",
        "--tracking-uri ftp://host",
        "tracking URI ftp://host: found the scheme ftp; expected http(s)://host:port, …. "
        "Give one of those.",
    ),
    Case(
        "a file store",
        "--tracking-uri file:///tmp/mlruns",
        "tracking URI file:///tmp/mlruns: found a folder (the file store…); expected …. "
        "Write sqlite:///mlflow.db, …",
    ),
    Case(
        "a folder as tracking store",
        "",
        "tracking URI ./mlruns: found a folder (…); expected …. Write sqlite:///mlflow.db, …",
        environment={"MLFLOW_TRACKING_URI": "./mlruns"},
    ),
    Case(
        "a tracking store that is a text",
        "--tracking-uri sqlite:///notes.txt",
        "tracking URI sqlite:///…/notes.txt: found a file that is no SQLite database (…); "
        "expected …. Give another file.",
        {"notes.txt": "some notes, which nobody would want to lose\n"},
    ),
    Case(
        "a tracking store that is Optuna's",
        "--tracking-uri sqlite:///studies.db",
        "tracking URI sqlite:///…/studies.db: found an Optuna database; expected …. "
        "Give MLflow a file of its own: …",
        {"studies.db": database("studies", "trials")},
    ),
    Case(
        "a tracking store where nothing can be written",
        "--tracking-uri sqlite:////proc/m.db",
        "tracking URI sqlite:////proc/m.db: found /proc, where nothing can be written (…); "
        "expected …. Give a file elsewhere.",
    ),
    Case(
        "a cache of nobody",
        "",
        "HPO_CACHE (~no-such-user/c): found the home folder of a user that there is not; expected "
        "a folder, …. Set HPO_CACHE to another folder.",
        environment={"HPO_CACHE": "~no-such-user/c"},
    ),
    Case(
        "a state folder that is a file",
        "",
        "HPO_STATE (notes.txt): found …notes.txt, which is a file; expected a folder, …. "
        "Set HPO_STATE to another folder.",
        {"notes.txt": "some notes"},
        {"HPO_STATE": "notes.txt"},
    ),
    Case(
        "a state folder where nothing can be written",
        "",
        "HPO_STATE (/proc/state): found /proc, where nothing can be written (…); "
        "expected a folder, …. Set HPO_STATE to another folder.",
        environment={"HPO_STATE": "/proc/state"},
    ),
    Case(
        "a cache that is a file",
        "",
        "HPO_CACHE (notes.txt/inner): found …notes.txt, which is a file; expected a folder, …. "
        "Set HPO_CACHE to another folder.",
        {"notes.txt": "some notes"},
        {"HPO_CACHE": "notes.txt/inner"},
    ),
    Case(
        "a host that can be none",
        "--storage postgresql://../hpo",
        "postgresql://../hpo: found the host ..; expected a host's name or address. Write sqlite:///FILE or …",
    ),
    *(
        Case(
            f"{folder} that is a file",
            "",
            f"{variable} ({folder}): found …{folder}, which is a file; expected a folder, …. Set {variable} …",
            {folder: "some notes"},
            {variable: folder.partition("/")[0]},
        )
        for variable, folder in (
            ("HPO_STATE", "state/outbox"),
            ("HPO_STATE", "state/studies"),
            ("HPO_STATE", "state/studies/quickstart-1"),
            ("HPO_STATE", "state/studies/quickstart-1/models"),
            ("HPO_STATE", "state/studies/quickstart-1/checkpoints"),
            ("HPO_CACHE", "cache/tokens"),
            ("HPO_CACHE", "cache/prefix"),
            ("HPO_CACHE", "cache/downloads"),
        )
    ),
)
