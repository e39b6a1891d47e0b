"""Whose a registered model is, and whether the champion in it is there and whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hpo.tracking import StudyTracker, drain_abandoned, registered_name
from hpo.tracking.hidden_tags import name_in_mlflow
from hpo.tracking.keys import STUDY_UID_TAG
from hpo.tracking.registry import Registered
from tests.tracking.reading import client
from tests.tracking.tiny import save_tiny_classifier

UIDS = {"first": "a" * 32, "second": "b" * 32}


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    save_tiny_classifier(folder)
    return folder


@pytest.fixture
def publish(
    local_store: str, tmp_path: Path, saved: Path
) -> Callable[..., tuple[Registered, StudyTracker]]:
    """Publish a champion of a study, and look at it."""

    def publish(name: str, uid: str = UIDS["first"], number: int = 3) -> Registered:
        with opened(local_store, tmp_path, name, uid) as tracker:
            tracker.publish_champion(saved, f"# {name} {uid[0]}", {"test/accuracy": 0.9}, number)
            assert not tracker.champion_waits(60)
            return tracker.find_champion(number, registered_name(name))

    return publish  # type: ignore[return-value]


@contextmanager
def opened(uri: str, folder: Path, name: str, uid: str) -> Iterator[StudyTracker]:
    with StudyTracker.open(
        uri, name, folder / ".hpo", study_uid=uid, study_file="", environment={}
    ) as tracker:
        yield tracker


def look(
    uri: str, folder: Path, name: str, uid: str = UIDS["first"], number: int = 3
) -> Registered:
    with opened(uri, folder, name, uid) as tracker:
        return tracker.find_champion(number, registered_name(name))


def state(uri: str, name: str) -> tuple[Any, ...]:
    """All of a registered model that another study must not touch."""
    model = client(uri).get_registered_model(name)
    versions = client(uri).search_model_versions(f"name = '{name}'")
    return (
        model.description,
        model.last_updated_timestamp,
        dict(model.aliases),
        dict(model.tags),
        [(v.version, v.source, v.tags) for v in versions],
    )


PAIRS = {
    "by a mark": ("x?y", "x_y"),
    "by case": ("Reviews", "reviews"),
    "by a dot at the end": ("reviews", "reviews."),
    "by an accent": ("\u00e9t\u00e9", "e\u0301te\u0301"),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_names_that_differ_little_have_a_champion_each(
    publish: Callable[..., Registered], local_store: str, tmp_path: Path, pair: tuple[str, str]
) -> None:
    one, other = pair
    first = publish(one)
    before = state(local_store, registered_name(one))
    second = publish(other, UIDS["second"])
    assert first.uri == f"models:/{registered_name(one)}@champion"
    assert second.uri == f"models:/{registered_name(other)}@champion"
    assert first.uri != second.uri
    assert state(local_store, registered_name(one)) == before
    assert look(local_store, tmp_path, one) == first


def test_a_model_made_by_hand_is_left_alone(
    publish: Callable[..., Registered], local_store: str
) -> None:
    mlflow = client(local_store)
    mlflow.create_registered_model("tiny", description="by hand")
    mlflow.create_model_version("tiny", "/somewhere", await_creation_for=0)
    mlflow.set_registered_model_alias("tiny", "champion", "1")
    before = state(local_store, "tiny")
    seen = publish("tiny")
    assert seen.uri == "models:/tiny-aaaaaaaa@champion"
    assert "tiny is not this study's" in seen.words
    assert state(local_store, "tiny") == before


def test_a_study_deleted_and_begun_again_leaves_the_earlier_ones_champion(
    publish: Callable[..., Registered], local_store: str
) -> None:
    publish("tiny")
    before = state(local_store, "tiny")
    assert publish("tiny", UIDS["second"]).uri == "models:/tiny-bbbbbbbb@champion"
    assert publish("tiny", UIDS["second"], 5).uri == "models:/tiny-bbbbbbbb@champion"
    assert state(local_store, "tiny") == before


def test_whose_a_version_of_an_earlier_hpo_is_its_run_tells(
    publish: Callable[..., Registered], local_store: str
) -> None:
    publish("tiny")
    mlflow = client(local_store)
    mlflow.delete_registered_model_tag("tiny", name_in_mlflow(STUDY_UID_TAG))
    mlflow.delete_model_version_tag("tiny", "1", name_in_mlflow(STUDY_UID_TAG))
    assert publish("tiny", UIDS["second"]).uri == "models:/tiny-bbbbbbbb@champion"
    assert publish("tiny", UIDS["first"], 4).uri == "models:/tiny@champion"
    assert mlflow.get_registered_model("tiny").tags[name_in_mlflow(STUDY_UID_TAG)] == UIDS["first"]
    # One more by hand, in a model that is the study's, changes nothing.
    mlflow.create_model_version("tiny", "/somewhere", await_creation_for=0)
    assert publish("tiny", UIDS["first"], 5).uri == "models:/tiny@champion"


def damaged(uri: str, damage: str) -> None:
    """Take something of the champion `tiny` away, as people and disks do."""
    mlflow = client(uri)
    version = mlflow.get_model_version_by_alias("tiny", "champion")
    folder = Path(mlflow.get_model_version_download_uri("tiny", version.version))
    weights = folder / "model" / "model.safetensors"
    match damage:
        case "registered model":
            mlflow.delete_registered_model("tiny")
        case "version":
            mlflow.delete_model_version("tiny", version.version)
        case "alias":
            mlflow.delete_registered_model_alias("tiny", "champion")
        case "logged model and its files":
            mlflow.delete_logged_model(folder.parent.name)
            shutil.rmtree(folder)
        case "files":
            shutil.rmtree(folder)
        case "MLmodel":
            (folder / "MLmodel").unlink()
        case "MLmodel emptied":
            (folder / "MLmodel").write_text("")
        case "weights":
            weights.unlink()
        case "weights cut":
            weights.write_bytes(weights.read_bytes()[:-1])


DAMAGES = [
    "registered model",
    "version",
    "alias",
    "logged model and its files",
    "files",
    "MLmodel",
    "MLmodel emptied",
    "weights",
    "weights cut",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_gone_of_a_champion_is_seen_and_published_again(
    publish: Callable[..., Registered], local_store: str, tmp_path: Path, damage: str
) -> None:
    whole = publish("tiny")
    damaged(local_store, damage)
    seen = look(local_store, tmp_path, "tiny")
    assert seen.uri is None
    assert seen.words
    assert publish("tiny") == whole == Registered("models:/tiny@champion")
    assert look(local_store, tmp_path, "tiny") == whole


def test_a_champion_published_twice_is_one_version_with_its_metrics_once(
    publish: Callable[..., Registered], local_store: str
) -> None:
    publish("tiny")
    publish("tiny")
    mlflow = client(local_store)
    [version] = mlflow.search_model_versions("name = 'tiny'")
    assert len(mlflow.get_metric_history(version.run_id, "test/accuracy")) == 1


def test_an_alias_that_somebody_moved_stays_and_the_version_is_named(
    publish: Callable[..., Registered], local_store: str, tmp_path: Path
) -> None:
    publish("tiny")
    publish("tiny", number=4)
    client(local_store).set_registered_model_alias("tiny", "champion", "1")
    seen = look(local_store, tmp_path, "tiny", number=4)
    assert seen.uri == "models:/tiny/2"
    assert "to version 1" in seen.words


def test_a_damaged_file_is_seen_by_its_digest_where_there_is_one(
    publish: Callable[..., Registered], local_store: str, tmp_path: Path
) -> None:
    import hashlib
    import json

    publish("tiny")
    mlflow = client(local_store)
    folder = Path(mlflow.get_model_version_download_uri("tiny", "1")) / "model"
    weights = folder / "model.safetensors"
    digests = {weights.name: hashlib.sha256(weights.read_bytes()).hexdigest()}
    (folder / "digests.json").write_text(json.dumps(digests))
    assert look(local_store, tmp_path, "tiny").uri == "models:/tiny@champion"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert "model.safetensors" in look(local_store, tmp_path, "tiny").words


@pytest.mark.parametrize("name", ["研" * 100, "q" * 200, "😀a" * 100, 'it\'s "50%": a', "é" * 199])
def test_a_real_store_takes_names_of_every_kind(
    publish: Callable[..., Registered], local_store: str, tmp_path: Path, name: str
) -> None:
    import mlflow

    seen = publish(name.replace(":", ""))
    assert seen.uri is not None
    mlflow.set_tracking_uri(local_store)
    try:
        loaded = mlflow.artifacts.download_artifacts(seen.uri, dst_path=str(tmp_path / "loaded"))
    finally:
        mlflow.set_tracking_uri(None)
    assert (Path(loaded) / "MLmodel").is_file()


def test_a_file_system_that_refuses_a_name_is_told_once_and_nothing_waits(
    local_store: str, tmp_path: Path, saved: Path
) -> None:
    mlflow = client(local_store)
    mlflow.create_experiment("tiny", artifact_location=str(tmp_path / "mlruns" / ("x" * 300)))
    with opened(local_store, tmp_path, "tiny", UIDS["first"]) as tracker:
        tracker.publish_champion(saved, "# tiny", {}, 3)
        assert not tracker.champion_waits(60)
        assert "File name too long" in str(tracker.refusal())
        assert tracker.waiting == 0
    assert drain_abandoned(tmp_path / ".hpo").waiting == 0
