"""What MLflow does not take before somebody acts, as a program reads it of `hpo.run --json`."""

from __future__ import annotations

import json

import pytest

from hpo.outbox.outbox import Outbox
from hpo.outbox.records import OpenRun, RunRef
from hpo.tracking import drain_abandoned
from tests.commands.shell import TINY_STUDY, Shell
from tests.servers import listening, says

FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"


@pytest.mark.slow
def test_a_program_is_told_why_mlflow_does_not_take_what_waits(shell: Shell) -> None:
    shell.write("tiny.toml", TINY_STUDY)
    state = shell.folder / ".hpo"
    with listening(says(FORBIDDEN)) as port:
        # Left behind by a worker whose server lets nobody in any more.
        with Outbox.create(state, f"http://127.0.0.1:{port}") as outbox:
            outbox.append(OpenRun(RunRef("other", "r"), "r", 1))
        drain_abandoned(state)
        told = json.loads(shell.hpo("run", "tiny.toml", "--trials", "1", "--json").done().out)
    assert (told["waiting_for_mlflow"], told["blocked"]) == (1, ["it answers 403"])
    assert told["champion"]["registered"] == "models:/tiny@champion"
