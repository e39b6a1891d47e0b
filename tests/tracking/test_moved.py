"""A project folder moved or copied: its MLflow store's paths, and what waits in its outboxes."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hpo.errors import TrackingError
from hpo.outbox.outbox import Outbox, waiting_in
from hpo.outbox.records import OpenRun, RunRef, SetTags
from hpo.tracking import StudyTracker, drain_abandoned
from hpo.tracking.moved import moves, repair_moves
from tests.tracking.reading import client, run_named, runs
from tests.tracking.tiny import save_tiny_classifier


@pytest.fixture(scope="session")
def _studied(tmp_path_factory: pytest.TempPathFactory, _empty_store: Path) -> Path:
    """A project in which a study came to its end, with files of runs and a registered champion."""
    folder = tmp_path_factory.mktemp("studied") / "old"
    folder.mkdir()
    shutil.copy(_empty_store, folder / "mlflow.db")
    saved = folder.parent / "model"
    save_tiny_classifier(saved)
    with study(folder) as tracker:
        trial = tracker.start_trial(0, 1, {"learning_rate": 0.1})
        trial.log_text("drawn", "figure.svg")
        trial.finish("COMPLETE")
        tracker.publish_champion(saved, "# tiny", {}, 0)
        assert tracker.flush(60) == 0
    return folder


@pytest.fixture
def project(_studied: Path, tmp_path: Path) -> Path:
    """That project at a place of its own, as if it had been made there."""
    old = tmp_path / "old"
    shutil.copytree(_studied, old)
    repair_moves(uri_of(old))
    return old


def study(folder: Path, state: Path | None = None) -> StudyTracker:
    return StudyTracker.open(
        uri_of(folder),
        "tiny",
        state or folder / ".hpo",
        study_uid="a" * 32,
        study_file="",
        environment={},
    )


def uri_of(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


def mentions(folder: Path, text: str) -> int:
    """How often the store's database holds the text."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        return sum(text in line for line in connection.iterdump())


def moved(old: Path) -> Path:
    return Path(shutil.move(old, old.parent / "new"))


def copied(old: Path) -> Path:
    return Path(shutil.copytree(old, old.parent / "new"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("how", [moved, copied])
def test_the_store_finds_its_files_where_they_are_now(
    project: Path, how: Callable[[Path], Path]
) -> None:
    import mlflow

    new, old = how(project), project
    before = contents(old) if old.exists() else None
    assert moves(uri_of(new))
    assert mentions(new, f"{old}/")
    said = repair_moves(uri_of(new))
    assert said is not None
    assert f"{new}/mlflow.db was moved or copied from {old}" in said
    assert not mentions(new, f"{old}/")
    assert repair_moves(uri_of(new)) is None
    mlflow.set_tracking_uri(uri_of(new))
    try:
        loaded = mlflow.artifacts.download_artifacts("models:/tiny@champion")
        drawn = mlflow.artifacts.load_text(
            f"{run_named(uri_of(new), 'tiny', 'trial-0000').info.artifact_uri}/figure.svg"
        )
    finally:
        mlflow.set_tracking_uri(None)
    assert Path(loaded).is_relative_to(new)
    assert drawn == "drawn"
    assert (contents(old) if old.exists() else None) == before


@pytest.mark.parametrize("how", [moved, copied])
def test_a_study_goes_on_in_the_new_place_alone(project: Path, how: Callable[[Path], Path]) -> None:
    new, old = how(project), project
    before = contents(old) if old.exists() else None
    with study(new) as tracker:  # as whoever mended nothing before
        trial = tracker.start_trial(1, 1, {})
        trial.log_text("more", "figure.svg")
        trial.finish("COMPLETE")
        assert tracker.flush(60) == 0
    assert (contents(old) if old.exists() else None) == before
    assert run_named(uri_of(new), "tiny", "trial-0001").info.artifact_uri.startswith(str(new))


def test_a_folder_whose_name_must_be_written_as_a_uri_and_back(project: Path) -> None:
    odd = Path(shutil.move(project, project.parent / "50% done #1"))
    assert repair_moves(uri_of(odd).replace("%", "%25").replace("#", "%23"))
    assert mentions(odd, "file:///")
    plain = Path(shutil.move(odd, project.parent / "plain"))
    assert repair_moves(uri_of(plain))
    assert not mentions(plain, "done")
    assert not mentions(plain, "file:///")


def test_a_place_whose_name_the_file_system_refuses_hinders_nothing(project: Path) -> None:
    location = str(project / "mlruns" / ("研" * 100))  # as an earlier version made them
    client(uri_of(project)).create_experiment("研" * 100, artifact_location=location)
    new = moved(project)
    assert repair_moves(uri_of(new))
    assert not mentions(new, f"{project}/")


def test_a_store_that_was_not_moved_is_not_touched(project: Path) -> None:
    before = contents(project)
    assert moves(uri_of(project)) == ()
    assert repair_moves(uri_of(project)) is None
    assert contents(project) == before


def test_a_folder_reached_by_another_name_was_not_moved(project: Path) -> None:
    link = project.parent / "link"
    link.symlink_to(project)
    assert moves(uri_of(link)) == ()


@pytest.mark.parametrize("place", ["chosen/mlruns/mine", "chosen/files", "s3://bucket/mlruns/mine"])
def test_a_place_that_somebody_chose_is_left_alone(project: Path, place: str) -> None:
    location = place if "://" in place else str(project.parent / place)
    mlflow = client(uri_of(project))
    chosen = mlflow.create_experiment("mine", artifact_location=location)
    if "://" not in place:
        run = mlflow.create_run(chosen)
        mlflow.log_text(run.info.run_id, "text", "a.txt")
    new = moved(project)
    assert repair_moves(uri_of(new))
    assert client(uri_of(new)).get_experiment(chosen).artifact_location == location
    assert moves(uri_of(new)) == ()


def test_a_store_made_by_a_client_in_another_folder_was_not_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "store"
    elsewhere.mkdir()
    folder.mkdir()
    monkeypatch.chdir(elsewhere)
    mlflow = client(uri_of(folder))
    assert moves(uri_of(folder)) == ()
    run = mlflow.create_run(mlflow.create_experiment("theirs"))
    mlflow.log_text(run.info.run_id, "text", "a.txt")
    assert (elsewhere / "mlruns").is_dir()
    assert moves(uri_of(folder)) == ()


def test_files_left_behind_are_told_and_nothing_is_changed(project: Path) -> None:
    new = project.parent / "new"
    new.mkdir()
    shutil.copy(project / "mlflow.db", new)  # without its mlruns
    before = contents(new)
    with pytest.raises(TrackingError, match=r"cp -rn .*/old/mlruns/\. .*/new/mlruns/"):
        moves(uri_of(new))
    assert contents(new) == before
    shutil.copytree(project / "mlruns", new / "mlruns")
    assert repair_moves(uri_of(new))


def test_files_that_are_nowhere_are_told(project: Path) -> None:
    new = moved(project)
    shutil.rmtree(new / "mlruns")
    with pytest.raises(TrackingError, match="old/mlruns, which is gone"):
        moves(uri_of(new))


def test_nothing_is_written_to_another_place_while_files_are_missing(project: Path) -> None:
    new = moved(project)
    shutil.rmtree(new / "mlruns")
    with study(new) as tracker:
        assert tracker.flush(1) > 0
    assert not project.exists()
    assert waiting_in(new / ".hpo") > 0


def abandon(folder: Path, *, noted: bool) -> None:
    """Leave an outbox as of a dead process, with a run to open. noted: as this version writes it."""
    ref = RunRef("tiny", "study:late:1")
    with Outbox.create(folder / ".hpo", uri_of(folder)) as outbox:
        outbox.append(OpenRun(ref, "late", 1), SetTags(ref, {"late": "true"}))
        if not noted:
            outbox.ledger.set_facts({"state_dir": ""})
            with closing(sqlite3.connect(outbox.ledger.path)) as connection, connection:
                connection.execute(
                    "DELETE FROM facts WHERE name IN ('state_dir', 'tracking_uri_digest')"
                )


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "of an earlier version"])
def test_what_waits_goes_to_the_store_that_moved_along(project: Path, noted: bool) -> None:
    abandon(project, noted=noted)
    new = moved(project)
    assert drain_abandoned(new / ".hpo").waiting == 0
    assert not project.exists()
    assert run_named(uri_of(new), "tiny", "late").data.tags["late"] == "true"


def test_what_waits_in_a_copy_goes_to_the_copy(project: Path) -> None:
    abandon(project, noted=True)
    new = copied(project)
    before = len(runs(uri_of(project), "tiny"))
    assert drain_abandoned(new / ".hpo").waiting == 0
    assert len(runs(uri_of(project), "tiny")) == before
    assert len(runs(uri_of(new), "tiny")) == before + 1


def test_what_waits_for_a_store_that_is_gone_waits_on_and_makes_no_folder(project: Path) -> None:
    abandon(project, noted=False)
    state = Path(shutil.move(project / ".hpo", project.parent / "state"))
    shutil.rmtree(project)
    assert drain_abandoned(state).waiting == 2
    assert not project.exists()


def test_a_state_folder_that_moved_alone_goes_on_with_its_store(project: Path) -> None:
    abandon(project, noted=True)
    state = Path(shutil.move(project / ".hpo", project.parent / "state"))
    assert drain_abandoned(state).waiting == 0
    assert run_named(uri_of(project), "tiny", "late")


def test_a_read_only_store_that_was_moved_says_so(project: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    new = moved(project)
    (new / "mlflow.db").chmod(0o400)
    with pytest.raises(TrackingError, match="Correct its rights"):
        repair_moves(uri_of(new))
