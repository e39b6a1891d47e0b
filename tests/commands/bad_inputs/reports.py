"""Studies and outputs of which `python -m hpo.report` can make nothing."""

from __future__ import annotations

from dataclasses import replace

from tests.commands.bad_inputs.case import Case

_CASES = (
    Case(
        "a report of no study",
        "",
        "hpo.report: found the following arguments are required: STUDY; expected …",
    ),
    Case(
        "a report of a study where there is none",
        "reviews",
        "sqlite:///optuna.db: found no study reviews; expected a study that was submitted. …",
    ),
    Case(
        "a report in place of a file",
        "reviews --output my.html",
        "--output: found my.html, which exists; expected a new file. Name another with --output, or "
        "add --overwrite.",
        {"my.html": "mine"},
    ),
    Case(
        "a report in place of a folder",
        "reviews --output folder --overwrite",
        "--output: found a folder; expected the path of a file. Correct it.",
        {"folder": None},
    ),
    Case(
        "a report in a folder that is not there",
        "reviews --output nowhere/my.html",
        "--output: found no folder nowhere; expected the path of a file. Correct it.",
    ),
    Case(
        "a report with an option of another command",
        "reviews --outptu my.html",
        "--outptu: found an unknown option; expected an option of hpo.report. Did you mean --output?",
    ),
)
REPORTS = tuple(replace(case, command="report") for case in _CASES)
