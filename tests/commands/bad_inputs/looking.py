"""Data and options with which `python -m hpo.data` can show nothing."""

from __future__ import annotations

from dataclasses import replace

from tests.commands.bad_inputs.case import Case
from tests.commands.bad_inputs.data import GOOD_CSV

_CASES = (
    Case(
        "a file that is not there",
        "my.csv",
        "my.csv: found no such file or folder; expected a file, a folder, a hub id (owner/name), an "
        "address (https://…) or demo. Check the path.",
    ),
    Case(
        "a name with a line break and an escape",
        "'a\nb\x1b.csv'",
        "a\\nb\\x1b.csv: found no such file or folder; expected a file, …. Check the path.",
    ),
    Case(
        "an empty folder",
        "folder",
        "folder: found an empty folder; expected a file for each split …. Call the training file …",
        {"folder": None},
    ),
    Case(
        "a study file that is not there",
        "my.toml",
        "my.toml: found no such file; expected a study file (TOML). Name a file, or one of: …",
    ),
    Case(
        "a study file with a fault",
        "my.toml",
        "my.toml: study.metric: found 'acuracy'; expected one of accuracy, …. Did you mean accuracy?",
        {"my.toml": '[study]\nmetric = "acuracy"\n'},
    ),
    Case(
        "data named twice",
        "my.csv --data other.csv",
        "SOURCE: found 'my.csv' beside --data other.csv; expected one of them, or a study beside "
        "--data. Leave one out.",
        {"my.csv": GOOD_CSV},
    ),
    Case(
        "two sources",
        "my.csv other.csv",
        "hpo.data: found 'other.csv', one argument too many; expected SOURCE and options. "
        "`hpo.data --help` lists them.",
        {"my.csv": GOOD_CSV},
    ),
    Case(
        "no source in a variable",
        "''",
        "SOURCE: found an empty value; expected a value. Fill it in, or leave it out.",
    ),
    Case(
        "an option of another command",
        "my.csv --trials 3",
        "--trials: found an unknown option; expected an option of hpo.data. …",
        {"my.csv": GOOD_CSV},
    ),
    Case(
        "a column that there is not",
        "my.csv --label-column lable",
        "my.csv: found no column 'lable', but the columns 'text', 'label'; expected a column of "
        "this table. Perhaps `--label-column label`?",
        {"my.csv": GOOD_CSV},
    ),
    Case(
        "no header",
        "my.tsv",
        "my.tsv: found the columns 'good', 'a film that was worth it'; expected a text column …. "
        "The first line looks like data; if it is, add `--set data.header=false …`.",
        {"my.tsv": "good\ta film that was worth it\nbad\ta film that was not\n"},
    ),
    Case(
        "one class",
        "my.csv",
        "my.csv: found one class ('good') in the label column 'label'; expected two classes or "
        "more. Add rows of other classes, …",
        {"my.csv": GOOD_CSV.replace(",bad", ",good")},
    ),
    Case(
        "words where numbers should be",
        "my.csv --set data.task=regression",
        "my.csv, line 2: found 'good' in the label column 'label'; expected a number, …. "
        "Correct the row, …",
        {"my.csv": GOOD_CSV},
    ),
    Case(
        "bytes that are no text",
        "my.csv",
        "my.csv, line 1: found a NUL byte, so this is no text file; expected UTF-8 text. Save …",
        {"my.csv": b"\x00\x01\x02\x03\x04"},
    ),
    Case(
        "more tokens than the model has positions",
        "my.csv --set data.max_length=1000",
        "data.max_length: found 1000; expected at most 128, the positions of demo. Lower it, …",
        {"my.csv": GOOD_CSV},
    ),
    Case(
        "a model that is not there",
        "my.csv --model ./nowhere",
        "model ./nowhere: found no such directory; expected a directory with config.json and "
        "model.safetensors. Name the directory …",
        {"my.csv": GOOD_CSV},
    ),
)
LOOKING = tuple(replace(case, command="data") for case in _CASES)
