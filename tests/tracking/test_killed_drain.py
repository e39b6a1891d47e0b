"""Draining processes that are killed at any instant."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hpo.tracking import drain_abandoned
from tests.tracking.conftest import MlflowServer
from tests.tracking.logged import open_study
from tests.tracking.reading import all_points, runs


def _work(uri: str, state_dir: Path, worker: int, acknowledged: Any) -> None:
    """Log trials as fast as the disk takes them and tell the parent what was stored, until killed."""
    tracker = open_study(uri, "killed", state_dir)
    for number in range(1000):
        trial = tracker.start_trial(worker * 1000 + number, 1, {"worker": worker})
        for step in range(5):
            trial.log({"val/loss": float(step)}, step)
            acknowledged.send((trial.run_key, step))
        trial.finish("COMPLETE")
        acknowledged.send((trial.run_key, "COMPLETE"))
        time.sleep(0.08)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("where", ["server", "local"])
def test_kill_9_in_the_middle_of_draining_loses_and_doubles_nothing(
    where: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if where == "server":
        server: MlflowServer = request.getfixturevalue("mlflow_server")
        uri, database = server.uri, server.folder / "server.db"
    else:
        uri, database = request.getfixturevalue("local_store"), tmp_path / "mlflow.db"
    state = tmp_path / ".hpo"
    chance = random.Random(20261123)
    # Children come from a server that has MLflow imported, so that a kill meets them at work.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow.tracking", "hpo.tracking.drain", __name__])
    acknowledged: list[tuple[str, int | str]] = []
    for worker in range(8):
        inbox, outlet = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(uri, state, worker, outlet))
        process.start()
        outlet.close()
        listener = threading.Thread(target=_listen, args=(inbox, acknowledged))
        listener.start()
        time.sleep(chance.uniform(0.3, 2.0))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        listener.join()
    # Each worker's leavings are sent by the workers after it; the last one's are sent here.
    assert drain_abandoned(state, timeout_seconds=90).waiting == 0
    assert list((state / "outbox").iterdir()) == []

    stored = {run.data.tags["mlflow.hpo.run_key"]: run for run in runs(uri, "killed")}
    assert len(stored) == len(runs(uri, "killed"))
    finished = {key for key, what in acknowledged if what == "COMPLETE"}
    assert len(finished) > 20
    assert {key for key, _ in acknowledged} <= stored.keys()
    assert all(stored[key].info.status == "FINISHED" for key in finished)
    assert not [run.info.run_name for run in stored.values() if run.info.status == "RUNNING"]
    unfinished = [run for key, run in stored.items() if key not in finished]
    assert all(
        run.info.status == "FINISHED" or run.data.tags.get("hpo.abandoned") == "true"
        for run in unfinished
        if "mlflow.parentRunId" in run.data.tags
    )
    parents = [run for run in stored.values() if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.run_name for run in parents] == ["killed"]
    logged = {(stored[key].info.run_id, step) for key, step in acknowledged if step != "COMPLETE"}
    found = all_points(database, "val/loss")
    assert not logged - found.keys()
    assert set(found.values()) == {1}


def _listen(inbox: Any, acknowledged: list[tuple[str, int | str]]) -> None:
    while True:
        try:
            acknowledged.append(inbox.recv())
        except (EOFError, OSError):
            return
