"""Doors at which a path comes in; ODD stands for one that leads to no file and no folder."""

from __future__ import annotations

from tests.commands.bad_inputs.case import Case

_EVERY_COMMAND = ("run", "submit", "worker")

# `says` ends where what was found begins.
DOORS = (
    *(
        Case(
            f"a storage, for {command}",
            "--storage sqlite:///ODD",
            "sqlite:///ODD:",
            {},
            {},
            command,
        )
        for command in (*_EVERY_COMMAND, "ui")
    ),
    *(
        Case(
            f"a tracking store, for {command}",
            "--tracking-uri sqlite:///ODD",
            "tracking URI sqlite:///…ODD:",
            {},
            {},
            command,
        )
        for command in _EVERY_COMMAND
    ),
    Case(
        "the files of a tracking store",
        "--tracking-uri sqlite:///ODD/m.db",
        "tracking URI sqlite:///…ODD/m.db:",
    ),
    Case("data", "--data ./ODD", "./ODD:"),
    Case("data by their suffix", "--data ODD.csv", "ODD.csv:"),
    Case("a model", "--model ./ODD", "model ./ODD:"),
    Case("a model's configuration", "--model ODD.model", "model ODD.model, config.json:"),
    Case("a study file", "./ODD", "./ODD:"),
    Case("a study file by its suffix", "ODD.toml", "ODD.toml:"),
    *(
        Case(f"{variable}, for {command}", "", f"{variable} (ODD):", {}, {variable: "ODD"}, command)
        for variable in ("HPO_STATE", "HPO_CACHE")
        for command in _EVERY_COMMAND
    ),
    *(
        Case(f"a folder in {variable}", "", f"{variable} (ODD/inner):", {}, {variable: "ODD/inner"})
        for variable in ("HPO_STATE", "HPO_CACHE")
    ),
)
