"""The registered model of a study: whose it is, and whether the champion in it is there and whole."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hpo.digests import DIGESTS_FILE, damage_in
from hpo.tracking.answers import PermanentError, answers
from hpo.tracking.gateway import Gateway
from hpo.tracking.hidden_tags import read, sent
from hpo.tracking.identity import StudyIdentity
from hpo.tracking.keys import (
    CHAMPION_ALIAS,
    SOURCE_TAG,
    STUDY_TAG,
    STUDY_UID_TAG,
    TRIAL_NUMBER_TAG,
    names_from,
)

logger = logging.getLogger(__name__)

MLMODEL = "MLmodel"
# Written after the size was taken, or by whoever loads a model.
_NOT_COUNTED = (MLMODEL, "registered_model_meta")


@dataclass(frozen=True)
class Registered:
    """What MLflow has of a champion.

    Attributes:
        uri: Where it loads from; None where it does not, for the reason that `words` gives.
        words: Also what is to be said of one that is there, but not where it was looked for.
    """

    uri: str | None
    words: str = ""

    @property
    def name(self) -> str | None:
        """The registered model's name."""
        return None if self.uri is None else re.split("[@/]", self.uri.removeprefix("models:/"))[0]


def name_for(gateway: Gateway, name: str, uid: str) -> str:
    """The registered model that a study may write to: of this name, or else beside it.

    Args:
        uid: The study's.

    Raises:
        PermanentError: There is none.
    """
    for candidate in names_from(name, uid):
        model = _registered_model(gateway, candidate)
        if model is None or _is_of(gateway, model, _versions(gateway, candidate), uid):
            if candidate != name:
                _tell_set_aside(name, candidate)
            return candidate
    raise PermanentError(f"the registered model {name} and those beside it are not this study's")


@cache  # told once, however much is registered
def _tell_set_aside(name: str, candidate: str) -> None:
    logger.warning(
        "The registered model '%s' is another's; this study's is registered as '%s'.",
        name,
        candidate,
    )


def make(gateway: Gateway, name: str, uid: str, study_name: str) -> None:
    """Have the registered model there, marked as the study's."""
    client = gateway.client
    marks = {STUDY_TAG: study_name, STUDY_UID_TAG: uid}
    try:
        with answers():
            client.create_registered_model(name, tags=sent(marks))
    except PermanentError:
        # It exists already, or the next call says what is wrong.
        with answers():
            known = read(client.get_registered_model(name).tags)
        if STUDY_UID_TAG not in known:  # by an earlier version
            for key, value in sent(marks).items():
                with answers():
                    client.set_registered_model_tag(name, key, value)


def versions_of(gateway: Gateway, study: StudyIdentity) -> list[tuple[str, str]]:
    """The versions of registered models that are a study's, as name and number."""
    return [
        (each, str(version.version))
        for each in dict.fromkeys(study.model_names)
        for version in _versions(gateway, each)
        if _uid_of(gateway, version) == study.uid
    ]


def unregister(gateway: Gateway, versions: Sequence[tuple[str, str]], uid: str) -> None:
    """Delete versions of registered models, and those of the study's own that are empty then.

    Args:
        uid: The study's.
    """
    for name, version in versions:
        with answers():
            gateway.client.delete_model_version(name, version)
    for name in dict.fromkeys(name for name, _ in versions):
        model = _registered_model(gateway, name)
        mine = model is not None and read(model.tags).get(STUDY_UID_TAG, uid) == uid
        if mine and not _versions(gateway, name):
            with answers():
                gateway.client.delete_registered_model(name)


def find_champion(
    gateway: Gateway,
    names: Sequence[str],
    uid: str,
    number: int,
    source_key: str = "",
    alias: str = CHAMPION_ALIAS,
) -> Registered:
    """Look for the champion of a study, or what has another alias: the version, its files, the alias.

    Args:
        names: Where it may be, the likeliest first.
        number: The best trial.
        source_key: Tells it from what else the trial leads; empty: it is the trial itself.
    """
    faults: list[str] = []
    for name in names:
        model = _registered_model(gateway, name)
        if model is None:
            continue
        versions = _versions(gateway, name)
        mine = [v for v in versions if _uid_of(gateway, v) == uid]
        wanted = str(number), source_key
        of_trial = [v for v in mine if _made_of(v.tags) == wanted]
        for version in sorted(of_trial, key=lambda v: int(v.version), reverse=True):
            fault = _what_is_wrong(gateway, name, version)
            if fault is not None:
                faults.append(f"version {version.version} of {name} {fault}")
                continue
            at = model.aliases.get(alias)
            if at is None:
                faults.append(f"{name} has no alias {alias}")
            elif int(at) == int(version.version):
                return Registered(f"models:/{name}@{alias}", _aside(name, names))
            else:
                words = f"somebody moved the alias {alias} of {name} to version {at}"
                return Registered(f"models:/{name}/{version.version}", words)
    return Registered(None, faults[0] if faults else "MLflow has no version of it")


def _made_of(tags: Mapping[str, str]) -> tuple[str | None, str]:
    return tags.get(TRIAL_NUMBER_TAG), tags.get(SOURCE_TAG, "")


def _aside(name: str, names: Sequence[str]) -> str:
    return "" if name == names[0] else f"the registered model {names[0]} is not this study's"


def _registered_model(gateway: Gateway, name: str) -> Any:
    try:
        with answers():
            return gateway.client.get_registered_model(name)
    except PermanentError:
        return None


def _versions(gateway: Gateway, name: str) -> list[Any]:
    with answers():
        return list(gateway.client.search_model_versions(f"name = '{name}'"))


def _is_of(gateway: Gateway, model: Any, versions: Sequence[Any], uid: str) -> bool:
    """Whether a registered model is the study's: by its mark, or since all versions in it are."""
    marked = read(model.tags).get(STUDY_UID_TAG)
    if marked is not None:
        return bool(marked == uid)
    return bool(versions) and all(_uid_of(gateway, version) == uid for version in versions)


def _uid_of(gateway: Gateway, version: Any) -> str | None:
    """The study that a version belongs to; by its run where an earlier version of hpo made it."""
    uid = read(version.tags).get(STUDY_UID_TAG)
    if uid is None and version.run_id:
        try:
            return gateway.run_tags(version.run_id).get(STUDY_UID_TAG)
        except PermanentError:  # the run is gone
            return None
    return uid


def _what_is_wrong(gateway: Gateway, name: str, version: Any) -> str | None:
    """What is wrong with a version's files, without reading weights that lie with a server."""
    from mlflow.models import Model
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    try:
        with answers():
            location = gateway.client.get_model_version_download_uri(name, version.version)
            repository: Any = get_artifact_repository(location, tracking_uri=gateway.tracking_uri)
            sizes = _sizes(repository, "")
            if MLMODEL not in sizes:
                return f"has no {MLMODEL}"
            with TemporaryDirectory(prefix="hpo-look-") as folder:
                path = repository.download_artifacts(MLMODEL, folder)
                expected = Model.load(path).model_size_bytes
            there = sum(size for path, size in sizes.items() if path not in _NOT_COUNTED)
            if expected is not None and there < expected:
                return f"has {there} bytes of {expected}"
            local = getattr(repository, "artifact_dir", None)
            return None if local is None else _damaged(Path(local), sizes)
    except (PermanentError, ValueError) as fault:
        return f"cannot be read ({fault})"


def _sizes(repository: Any, folder: str) -> dict[str, int]:
    """The sizes of all files below a folder, by their path."""
    found: dict[str, int] = {}
    for entry in repository.list_artifacts(folder or None):
        if entry.is_dir:
            found |= _sizes(repository, entry.path)
        else:
            found[entry.path] = int(entry.file_size or 0)
    return found


def _damaged(folder: Path, sizes: Mapping[str, int]) -> str | None:
    """What is wrong with files that a list of digests beside them tells of, where there is such a list."""
    for path in sizes:
        if Path(path).name == DIGESTS_FILE:
            damage = damage_in((folder / path).parent)
            if damage is not None:
                return f"has a damaged file: {damage}"
    return None
