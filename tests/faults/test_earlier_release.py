"""What release 0.1 left when it was killed in the middle of a study is gone on with, as if it had been ours."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import psycopg
import pytest
from optuna.trial import FrozenTrial, TrialState

from tests.fixtures.leave_behind import PORTS
from tests.tracking.conftest import MlflowServer
from tests.tracking.reading import client, points, runs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
NAME = "reviews"
WANTED = 10
EVALUATIONS = 20  # of a trial that is complete
_KILLED = 4
_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED"}


@dataclass(frozen=True)
class LeftBehind:
    """A folder as the release left it, moved here, with the tracking server that its outbox waits for."""

    folder: Path
    storage_url: str
    server: MlflowServer

    def command(self, *arguments: str) -> str:
        """What a command says that is given in the folder; it must succeed."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HPO_STORAGE": self.storage_url,
            "HPO_STATE": str(self.folder / ".hpo"),
            "HPO_CACHE": str(self.folder / "cache"),
            "MLFLOW_TRACKING_URI": self.server.uri,
        }
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def trials(self) -> list[FrozenTrial]:
        """As Optuna alone reads them."""
        return optuna.load_study(study_name=NAME, storage=self.storage_url).trials


@pytest.fixture(params=sorted(PORTS, reverse=True))
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LeftBehind]:
    kind = request.param
    with tarfile.open(ROOT / f"tests/fixtures/release-0.1-{kind}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / "reviews"
    url = f"sqlite:///{folder}/optuna.db"
    if kind == "postgres":
        url = request.getfixturevalue("postgres_url")
        _load(folder / "optuna.sql", url)
    server = MlflowServer(tmp_path)
    server.port = PORTS[kind]
    server.uri = f"http://127.0.0.1:{server.port}"
    yield LeftBehind(folder, url, server)
    server.stop()


def _load(dump: Path, url: str) -> None:
    # What begins with a backslash is for psql alone.
    lines = [line for line in dump.read_text().splitlines() if not line.startswith("\\")]
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("\n".join(lines).encode())


def test_a_study_that_an_earlier_release_left_in_the_middle_is_gone_on_with(
    left: LeftBehind,
) -> None:
    before = left.trials()
    interrupted = before[_KILLED]
    states = [trial.state for trial in before]
    assert states == [TrialState.COMPLETE] * 2 + [TrialState.PRUNED] * 2 + [TrialState.RUNNING]
    assert len(list(left.folder.glob(f".hpo/studies/*/checkpoints/trial-{_KILLED:04d}.*"))) == 1
    caches = folders_in(left.folder / "cache")
    left.server.start()

    said = left.command("hpo.run", "study.toml", "--trials", str(WANTED), "--workers", "1")

    after = left.trials()
    assert f"{NAME}@champion" in said
    assert "anew" not in said  # as is told of a checkpoint that cannot be gone on from
    assert sum(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in after) == WANTED
    assert len(after) == WANTED
    for old, new in zip(before[:-1], after, strict=False):
        assert (new.state, new.value, new.params) == (old.state, old.value, old.params)
        assert new.intermediate_values == old.intermediate_values
        assert (new.datetime_start, new.datetime_complete) == (
            old.datetime_start,
            old.datetime_complete,
        )
    went_on = after[interrupted.number]
    assert went_on.params == interrupted.params
    assert interrupted.intermediate_values.items() <= went_on.intermediate_values.items()
    _check_tracking(left, after)
    assert (
        folders_in(left.folder / "cache") == caches
    )  # of the tokens and hidden states that were there
    doctor = left.command("hpo.doctor")
    assert "1 studies, 1 of them done" in doctor
    assert "nothing waits for MLflow" in doctor


def folders_in(cache: Path) -> set[str]:
    return {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_dir()}


def _check_tracking(left: LeftBehind, trials: list[FrozenTrial]) -> None:
    """All that waited has arrived, the attempt that was killed is closed, and the champion is there."""
    assert list((left.folder / ".hpo/outbox").glob("*.db")) == []
    found = runs(left.server.uri, NAME)
    ends = Counter((run.info.run_name, run.info.status) for run in found)
    expected = Counter((f"trial-{t.number:04d}", _STATUS[t.state]) for t in trials)
    killed = Counter([(f"trial-{_KILLED:04d}", "KILLED")])
    assert ends == expected + killed + Counter([(NAME, "FINISHED")])
    by_name = {run.info.run_name: run for run in found if run.info.status == "FINISHED"}
    for trial in trials:
        if trial.state is TrialState.COMPLETE:
            run = by_name[f"trial-{trial.number:04d}"]
            assert run.data.metrics["val/best_accuracy"] == trial.value
            curve = points(left.server.uri, run.info.run_id, "val/accuracy")
            assert len(curve) == len(trial.intermediate_values) == EVALUATIONS
            assert set(curve.values()) == {1}
    assert client(left.server.uri).get_model_version_by_alias(NAME, "champion").version == "1"
