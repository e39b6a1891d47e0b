"""Every place that announces a champion says what MLflow was seen to have of it, and no more."""

from __future__ import annotations

import io
import json
import shutil
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hpo.errors import StorageError
from hpo.runtime import announcement
from hpo.runtime.announcement import announce_champion
from hpo.runtime.course import StudyCourse
from hpo.runtime.finish import finish_study, summarise, tidy
from hpo.runtime.preparation import Prepared, prepare
from hpo.runtime.service import Service
from hpo.runtime.session import open_session
from hpo.spec.locations import Locations
from hpo.storage.storage import open_storage
from hpo.studies.registration import submit
from hpo.terminal import print_summary
from hpo.tracking.answers import PermanentError
from hpo.tracking.registry import Registered
from hpo.tracking.tracker import StudyTracker
from hpo.worker import _tell_champion
from tests.results.test_presentation import note as note_of
from tests.storages import SpecFactory
from tests.tracking.conftest import free_port
from tests.tracking.reading import client, runs

pytestmark = pytest.mark.slow

NAME = "study"
URI = f"models:/{NAME}@champion"


@dataclass(frozen=True)
class Announced:
    """What each place says at the end of a study."""

    summary: str
    document: dict[str, object]
    dashboard: str
    mlflow: str
    links: list[str | None]


@dataclass(frozen=True)
class Stage:
    """A study with its places."""

    locations: Locations
    prepared: Prepared

    def work(self) -> Announced:
        """What `hpo.run` does, from the study as it is to the announcement."""
        where = self.locations
        with open_storage(where.storage_url) as storage:
            submit(storage, self.prepared.spec)
            with open_session(storage, NAME, where, prepared=self.prepared) as session:
                assert StudyCourse(session).until_done()
                champion = finish_study(session)
                assert champion is not None
                seen = announce_champion(session, champion)
                url = session.tracker.study_url
            with suppress(StorageError):
                tidy(session)
            summary = summarise(session.study, champion, url, 0, seen)
            text = io.StringIO()
            print_summary(summary, text)
            note = note_of(session.study)
        document = json.loads(json.dumps(summary.as_json()))
        return Announced(
            text.getvalue(),
            document["champion"],
            note,
            self.description(),
            [entry["mlflow_url"] for entry in document["leaderboard"]],
        )

    def description(self) -> str:
        if not self.locations.tracking_uri.startswith("sqlite"):
            return ""
        found = [r for r in runs(self.locations.tracking_uri, NAME) if r.info.run_name == NAME]
        return str(found[0].data.tags.get("mlflow.note.content", "")) if found else ""

    def with_store(self, uri: str) -> Stage:
        """The same study with another MLflow."""
        return replace(self, locations=replace(self.locations, tracking_uri=uri))

    def told_by_a_worker(self) -> list[tuple[str, Registered]]:
        """What `hpo.worker` hears of the champion, which finds one trial to do and the end of the study."""
        told: list[tuple[str, Registered]] = []
        spec = self.prepared.spec
        more = spec.study.model_copy(update={"trials": spec.study.trials + 1})
        with open_storage(self.locations.storage_url) as storage:
            submit(storage, spec.model_copy(update={"study": more}))
            with Service(
                storage,
                self.locations,
                study=NAME,
                on_event=lambda event: None,
                on_study=lambda name: None,
                on_champion=lambda name, seen: told.append((name, seen)),
                stop=threading.Event(),
            ) as service:
                service.run(exit_when_done=True)
        return told


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory, make_spec: SpecFactory) -> Stage:
    """A study whose champion was announced and is there, its weights where MLflow has them alone."""
    folder = tmp_path_factory.mktemp("studied")
    locations = Locations(
        f"sqlite:///{folder}/optuna.db",
        f"sqlite:///{folder}/mlflow.db",
        folder / ".hpo",
        folder / "cache",
        10**9,
    )
    spec = make_spec(
        NAME,
        space={"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
        study__trials=2,
        data__max_train_examples=64,
        training__batch_size=32,
        training__epochs=1,
        training__freeze_depth=3,
        training__evaluations_per_epoch=1,
    )
    stage = Stage(locations, prepare(spec, locations))
    whole = stage.work()
    assert f"Champion: {URI}\n" in whole.summary
    assert whole.document["registered"] == URI
    assert f"Registered as `{URI}`" in whole.dashboard
    assert f"Registered as `{URI}`" in whole.mlflow
    assert all(whole.links)
    assert not list((folder / ".hpo").rglob("trained.safetensors"))
    return stage


@pytest.fixture
def stage(studied: Stage, tmp_path: Path) -> Stage:
    """That study in a folder of its own."""
    old, new = studied.locations.state.parent, tmp_path / "project"
    shutil.copytree(old, new)
    locations = replace(
        studied.locations,
        storage_url=f"sqlite:///{new}/optuna.db",
        tracking_uri=f"sqlite:///{new}/mlflow.db",
        state=new / ".hpo",
    )
    return Stage(locations, studied.prepared)


def new_store(folder: Path) -> str:
    """A store in which nothing is, as after its file was deleted: this process keeps the old one open."""
    folder.mkdir()
    return f"sqlite:///{folder}/mlflow.db"


def assert_unannounced(said: Announced, reason: str) -> None:
    assert "Champion: " not in said.summary
    assert "The champion is not registered: " in said.summary
    assert reason in said.summary
    assert said.document["registered"] is None
    assert reason in str(said.document["registered_note"])
    assert "Registered as" not in said.dashboard
    assert "Registered as" not in said.mlflow


def test_a_champion_that_is_there_is_announced_again_without_anything_new(stage: Stage) -> None:
    said = stage.work()
    assert f"Champion: {URI}\n" in said.summary
    assert said.document["registered"] == URI
    assert len(client(stage.locations.tracking_uri).search_model_versions(f"name = '{NAME}'")) == 1


def test_a_store_that_is_gone_is_given_the_champion_again_from_its_files(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uri = new_store(tmp_path / "new")
    shutil.move(stage.locations.state.parent / "mlruns", tmp_path / "new")
    said = stage.with_store(uri).work()
    assert f"Champion: {URI}\n" in said.summary
    assert "looked at once" in said.summary  # the test split was not
    assert said.document["registered"] == URI
    assert f"Registered as `{URI}`" in said.dashboard
    assert f"Registered as `{URI}`" in said.mlflow
    assert said.links == [None, None]
    lost = [r.message for r in caplog.records if "no longer has the runs of 2 of 2" in r.message]
    assert len(lost) == 1
    caplog.clear()
    stage.with_store(uri).work()
    assert "no longer has the runs" not in caplog.text


def test_where_nothing_is_kept_the_champion_is_trained_again(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = stage.with_store(new_store(tmp_path / "new")).work()
    assert "it is trained again" in caplog.text
    assert said.document["registered"] == URI
    assert f"Registered as `{URI}`" in said.mlflow
    assert said.links == [None, None]


def test_what_comes_out_otherwise_when_trained_again_is_said_everywhere(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.runtime.trained_part.seed_for", lambda *_: 99)
    said = stage.with_store(new_store(tmp_path / "new")).work()
    assert_unannounced(said, "neither here nor in MLflow, and, trained again,")
    assert said.links == [None, None]


def test_a_champion_that_the_server_has_not_heard_of_waits(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcement, "_FLUSH_SECONDS", 0.5)
    monkeypatch.setattr("hpo.runtime.trained_part._FLUSH_SECONDS", 0.5)
    monkeypatch.setattr(StudyTracker, "flush", lambda self, seconds=0: 1)
    away = stage.with_store(f"http://127.0.0.1:{free_port()}")
    assert_unannounced(away.work(), "MLflow cannot be asked for it")
    monkeypatch.setattr(StudyTracker, "champion_waits", lambda self, seconds: True)
    assert_unannounced(away.work(), "it waits for MLflow in ")


def test_a_champion_that_the_server_refuses_is_told_with_the_reason(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermanentError("no room for models")

    uri = new_store(tmp_path / "new")
    shutil.move(stage.locations.state.parent / "mlruns", tmp_path / "new")
    monkeypatch.setattr("hpo.tracking.models.publish_model", refuse)
    assert_unannounced(stage.with_store(uri).work(), "MLflow refuses it: no room for models")


def test_a_worker_says_the_same(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [(study, seen)] = stage.told_by_a_worker()
    _tell_champion(study, seen)
    assert capsys.readouterr().err == f"champion of study {NAME}: {URI}\n"
    _tell_champion(NAME, Registered(None, "it waits"))
    assert "warning: the champion of study study is not registered: it waits" in (
        capsys.readouterr().err
    )


def test_a_model_of_somebody_elses_sends_the_champion_beside_it(
    stage: Stage, tmp_path: Path
) -> None:
    uri = new_store(tmp_path / "new")
    shutil.move(stage.locations.state.parent / "mlruns", tmp_path / "new")
    client(uri).create_registered_model(NAME, description="by hand")
    other = stage.with_store(uri)
    first, again = other.work(), other.work()
    for said in (first, again):
        assert str(said.document["registered"]).startswith(f"models:/{NAME}-")
        assert f"Champion: {said.document['registered']}\n" in said.summary
        assert f"Registered as `{said.document['registered']}`" in said.mlflow
        assert said.document["registered_name"] in str(said.document["registered"])
    assert f"the registered model {NAME} is not this study's" in first.summary
    assert client(uri).get_registered_model(NAME).description == "by hand"
