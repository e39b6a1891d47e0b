"""Documents nested beyond reason or of another shape: study files, options, models, data and databases."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hpo.storage.storage import open_storage
from tests.commands.bad_inputs.case import Case, Content, data, study_file
from tests.commands.bad_inputs.model_files import TOKENIZER, config, weights

DEEP = 5_000
LISTS = "[" * DEEP + "]" * DEEP
TABLES = '{"a":' * DEEP + "1" + "}" * DEEP


@cache
def _as_made() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "optuna.db"
        open_storage(f"sqlite:///{file}").close()
        with closing(sqlite3.connect(file)) as connection:
            # What lies in memory has no log beside it.
            connection.execute("PRAGMA journal_mode = DELETE")
            return connection.serialize()


def storage(name: str, statement: str, found: str, command: str = "run", line: str = "") -> Case:
    """A storage as it is made, but for what one statement changes."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(_as_made())
        connection.execute("PRAGMA legacy_alter_table = 1")
        connection.execute(statement)
        connection.commit()
        content = connection.serialize()
    return Case(
        name, line, f"sqlite:///optuna.db: found {found}", {"optuna.db": content}, command=command
    )


def parquet(name: str, label: Any, indices: list[int], says: str) -> Case:
    """A parquet file with such metadata of its label column."""
    import pyarrow
    import pyarrow.parquet

    metadata = json.dumps({"info": {"features": {"label": label}}})
    rows = [f"text {number}" for number in range(len(indices))]
    table = pyarrow.table({"text": rows, "label": indices})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": metadata}), file)
    return Case(name, "--data my.parquet", says, {"my.parquet": file.getvalue()})


def model(name: str, says: str, **files: str) -> Case:
    whole: dict[str, Content] = {
        "config.json": config(),
        "tokenizer.json": TOKENIZER,
        "model.safetensors": weights(),
    }
    spoilt = {**whole, **{file.replace("_json", ".json"): text for file, text in files.items()}}
    return Case(
        name, "--model model", says, {f"model/{file}": text for file, text in spoilt.items()}
    )


_TOO_DEEP = "nested more than 100 levels deep"
_MADE = "expected the tables as hpo and Optuna … make them. Restore the database from a copy, or name another."
_OTHER = "tables of another version of Optuna"
_KNOWN = "expected those of the installed one (…). Run `optuna storage upgrade …"
_COLUMN = "no column {} in the table {}; " + _MADE

EARLY_DOCUMENTS = (
    study_file(
        "lists in a study file",
        f"a = {LISTS}\n",
        "bad.toml: found tables or arrays nested more than 100 levels deep; expected a …",
    ),
    study_file(
        "tables in a study file",
        "a = " + "{a = " * DEEP + "1" + "}" * DEEP,
        "bad.toml: found tables or arrays nested more than 100 levels deep; expected a …",
    ),
    study_file(
        "a dotted key of thousands",
        ".".join("a" * DEEP) + " = 1\n",
        "bad.toml: found tables or arrays nested more than 100 levels deep; expected a …",
    ),
    study_file(
        "a table's name of thousands",
        "[" + ".".join("a" * DEEP) + "]\n",
        "bad.toml: found tables or arrays nested more than 100 levels deep; expected a …",
    ),
    study_file(
        "lists in a range",
        f"[search.space]\nbatch_size = {LISTS}\n",
        "bad.toml: found tables or arrays nested more than 100 levels deep; expected a …",
    ),
    study_file(
        "a hundred lists in an option",
        "[training]\nepochs = " + "[" * 99 + "]" * 99,
        "bad.toml: found tables or arrays nested more than 100 levels deep; expected a …",
    ),
    study_file(
        "a study that is a list",
        "study = []\n",
        "bad.toml: study: found []; expected a table. Write [study] and its keys below it.",
    ),
    study_file(
        "a space that is a list",
        "[search]\nspace = [[[]]]\n",
        "bad.toml: search.space: found [[[]]]; expected a table. Write [search.space] and its keys below it.",
    ),
    Case(
        "lists in --set",
        f"--set training.epochs={LISTS}",
        "--set training.epochs: found a value nested more than 100 levels deep; expected a …",
    ),
    Case(
        "a dotted key in --set",
        "--set " + ".".join("a" * DEEP) + "=1",
        "--set: found 'a.a…; expected key=value …",
    ),
    Case(
        "tables in --set",
        "--set training.epochs=" + "{a=" * DEEP + "1" + "}" * DEEP,
        "--set training.epochs: found a value nested more than 100 levels deep; expected a …",
    ),
    storage(
        "two revisions",
        "INSERT INTO alembic_version VALUES ('v9')",
        f"{_OTHER} (…, v9, 12); {_KNOWN}",
    ),
    storage(
        "an unknown revision",
        "UPDATE alembic_version SET version_num = 'v9'",
        f"{_OTHER} (v9, 12); {_KNOWN}",
    ),
    storage(
        "an unknown schema",
        "UPDATE version_info SET schema_version = 99",
        f"{_OTHER} (…, 99); {_KNOWN}",
    ),
    storage("no values", "DROP TABLE trial_values", f"no table trial_values; {_MADE}"),
    storage("no claims", "DROP TABLE hpo_claims", f"no table hpo_claims; {_MADE}"),
    *(
        storage(
            f"no {table}.{column} for {command}",
            f"ALTER TABLE {table} RENAME {column} TO other",
            _COLUMN.format(column, table),
            command,
            line,
        )
        for table, column, command, line in (
            ("trial_params", "param_value", "run", ""),
            ("trials", "state", "submit", "--no-check"),
            ("trial_user_attributes", "value_json", "worker", "--exit-when-done"),
            ("hpo_memory", "key", "ui", ""),
            ("hpo_studies", "spec_json", "ensemble", "tiny"),
            ("hpo_format", "number", "run", ""),
        )
    ),
)

LATE_DOCUMENTS = (
    data(
        "lists in jsonl",
        "my.jsonl",
        LISTS,
        "my.jsonl, line 1: found broken JSON (nested more than 100 levels deep); expected one …",
    ),
    data(
        "tables in a row of jsonl",
        "my.jsonl",
        '{"text": "a", "label": ' + TABLES + "}\n",
        "my.jsonl, line 1: found broken JSON (nested more than 100 levels deep); expected one …",
    ),
    data(
        "lists in json",
        "my.json",
        LISTS,
        "my.json, line 1: found broken JSON (nested more than 100 levels deep); expected an …",
    ),
    data(
        "open lists in json",
        "my.json",
        "[" * DEEP,
        "my.json, line 1: found broken JSON (nested more than 100 levels deep); expected an …",
    ),
    data(
        "null for json",
        "my.json",
        "null",
        "my.json: found nothing; expected an array of objects or lists, an object on each …",
    ),
    data(
        "a record that is null",
        "my.json",
        "[null]",
        'my.json, row 1: found nothing; expected an object. Write each row as {"text": …, "label": …}.',
    ),
    data(
        "texts that are lists",
        "my.jsonl",
        '{"text": [[]], "label": "a"}\n' * 20,
        "my.jsonl, line 1: found a list in the text column 'text'; expected text. …",
    ),
    data(
        "labels that are tables",
        "my.jsonl",
        '{"text": "a", "label": {"b": 1}}\n' * 20,
        "my.jsonl, line 1: found an object in the label column 'label'; expected a …",
    ),
    parquet(
        "too few names",
        {"names": ["bad", "good"], "_type": "ClassLabel"},
        [0, 1, 2] * 20,
        "my.parquet: found the class index 2 in column 'label'; expected 0 …",
    ),
    parquet(
        "an index below -1",
        {"names": ["bad", "good"], "_type": "ClassLabel"},
        [0, 1, -2] * 20,
        "my.parquet: found the class index -2 in column 'label'; expected 0 …",
    ),
    parquet(
        "no label at all",
        {"names": ["bad", "good"], "_type": "ClassLabel"},
        [-1] * 60,
        "my.parquet: found no labels in the label column 'label'; expected two …",
    ),
    model(
        "lists for a config",
        "model model: found config.json missing or broken (nested more than 100 levels deep); expected a …",
        config_json=LISTS,
    ),
    model(
        "an empty list for a config",
        "model model: found config.json that holds []; expected a table of settings, …",
        config_json="[]",
    ),
    model(
        "a config that is null",
        "model model: found config.json that holds None; expected a table of settings, …",
        config_json="null",
    ),
    model(
        "a list for a size",
        "model model, config.json, n_layer: found [[1]]; expected a whole number from 1 to 1000. Correct it, or …",
        config_json=config(n_layer=[[1]]),
    ),
    model(
        "tables for a tokenizer",
        "model model: found no tokenizer that can be loaded (…); expected tokenizer.json, …",
        tokenizer_json=TABLES,
    ),
    model(
        "a tokenizer that is a list",
        "model model: found no tokenizer that can be loaded (…); expected tokenizer.json, …",
        tokenizer_json="[]",
    ),
    model(
        "a tokenizer without a model",
        "model model: found no tokenizer that can be loaded (…); expected tokenizer.json, …",
        tokenizer_json='{"model": null}',
    ),
)
