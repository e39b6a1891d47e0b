"""A study whose options are all fixed: one trial, the baseline, confirmed and tested like any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.shell import Shell

pytestmark = pytest.mark.slow

FIXED = ("learning_rate=0.005", "batch_size=16", "epochs=1", "freeze_depth=4")
OPTIONS = (
    "quickstart",
    *(part for option in FIXED for part in ("--set", f"training.{option}")),
    *("--set", "confirm.seeds=2", "--max-train-examples", "80", "--name", "fixed"),
)


def test_all_options_fixed_is_one_trial(tmp_path: Path, cache: Path) -> None:
    shell = Shell(tmp_path, {"HPO_CACHE": str(cache)})
    plan = shell.hpo("run", *OPTIONS, "--dry-run").out
    assert "1 trial, to maximize" in plan
    assert "nothing: the one trial is the study's fixed options" in plan
    told = shell.hpo("run", *OPTIONS)
    assert told.code == 0
    assert "Nothing was searched" in told.out
    assert "Best parameters" not in told.out
    assert "over 2 new seeds on new texts)." in told.out  # for nothing was chosen by them
    [study] = json.loads(shell.hpo("studies", "list", "--json").out)
    assert (study["name"], study["finished"], study["trials"]) == ("fixed", 1, 1)
    assert shell.hpo("report", "fixed", "--output", "fixed.html").code == 0
    assert shell.hpo("run", *OPTIONS, "--json").code == 0
