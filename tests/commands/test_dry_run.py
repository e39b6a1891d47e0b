"""What a run would do, told before it does anything."""

from __future__ import annotations

import json

import pytest

from tests.commands.shell import TINY_STUDY, Shell


@pytest.mark.slow
def test_a_dry_run_says_what_would_be_done_and_leaves_no_trace(shell: Shell) -> None:
    shell.write("tiny.toml", TINY_STUDY)
    given = (
        "--set",
        "confirm.seeds=2",
        "--set",
        "confirm.refit=all",
        '--enqueue={"learning_rate": 1e-3}',
    )
    told = shell.hpo("run", "tiny.toml", "--dry-run", *given).done().out
    assert "1 to be tried first" in told
    assert "the champion, on all, unless it is done" in told
    assert "tiny (new)" in told
    assert "4 trials, to maximize accuracy" in told
    assert (
        "the best 4 with 2 new seeds each on new validation texts, up to 8 more trainings" in told
    )
    assert "0.0001 to 0.01 by orders of magnitude" in told
    assert shell.listing() == {"tiny.toml"}
    shell.hpo("submit", "tiny.toml").done()
    before = shell.contents()
    plan = json.loads(shell.hpo("run", "tiny.toml", "--dry-run", "--json").done().out)
    assert (plan["finished"], plan["to_go"]) == (0, 4)
    assert plan["space"]["freeze_depth"] == "a whole number from 3 to 4"
    refused = shell.hpo("run", "tiny.toml", "--dry-run", "--seed=7")
    assert (refused.code, "with other settings: study.seed" in refused.err) == (2, True)
    assert {name: content for name, content in shell.contents().items() if name in before} == before
