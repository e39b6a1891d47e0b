"""A finished model by whatever names it: registered, logged or exported, one classifier or an ensemble."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hpo.errors import ModelError, TrackingError
from hpo.redaction import without_credentials
from hpo.spec.locations import path_of
from hpo.tracking.registered_names import addresses, did_you_mean, nearest_address

if TYPE_CHECKING:
    from hpo.model.predictor import Predictor

MODEL_URIS: Final = "models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN/PATH, or a model's folder"
_ONNX_HINT: Final = (
    "ONNX Runtime runs it. "
    "Name the registered model here, or what `hpo.export --format transformers` writes."
)
_IN_MLFLOW: Final = re.compile(r"(models|runs):/")
# A version has a number that a database holds; MLflow drops what cannot be printed without a word.
_WHOLE_URI: Final = re.compile(r"models:/[^/@]+([/@](?![0-9]{10})[^/@]+)?|runs:/[^/@]+/.+")


def load_model(place: str, tracking_uri: str) -> Predictor:
    """Load a finished model into the engine, checked against the digests that were written with it.

    Args:
        place: `models:/…` or `runs:/…`, as MLflow writes them, or a folder.
        tracking_uri: The server or store that has it.

    Raises:
        ModelError: There is no such model, or it is damaged.
        TrackingError: MLflow cannot be asked.
        TrackingServerAway: It does not answer now.
    """
    folder = check_place(place, tracking_uri)
    return load_folder(_fetched(place, tracking_uri) if folder is None else folder, place)


def check_place(place: str, tracking_uri: str) -> Path | None:
    """The folder that a place names; None where MLflow has the model.

    Args:
        place: As in `load_model`.
        tracking_uri: Is asked for a model of that name where there is no such folder.

    Raises:
        ModelError: It is neither.
    """
    if _IN_MLFLOW.match(place):
        if not _WHOLE_URI.fullmatch(place) or not place.isprintable():
            raise _no_model(place, "no such address")
        return None
    folder = path_of(place, lambda reason: _no_model(place, reason))
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        if folder.suffix == ".onnx" and folder.exists():
            raise _no_model(place, "an ONNX export", _ONNX_HINT)
        raise _no_model(place, found, did_you_mean(place, tracking_uri))
    return folder


def load_folder(folder: Path, place: str) -> Predictor:
    """Load a model from its folder, MLflow's or the one inside it.

    Args:
        folder: Of the model.
        place: What messages call it.

    Raises:
        ModelError: It is none, or damaged.
    """
    from hpo.model.combination import ENSEMBLE_FILE
    from hpo.model.exported import load_exported
    from hpo.model.saved import load_trained
    from hpo.model.saved_ensemble import load_ensemble
    from hpo.model.trial_facts import FACTS_FILE

    for inside in (folder, folder / "model", folder / "data"):
        if (inside / ENSEMBLE_FILE).is_file():
            return load_ensemble(inside)
        if (inside / FACTS_FILE).is_file():
            return load_trained(inside)
        if inside.is_dir():
            _refuse_onnx(inside, place)
        if (inside / "config.json").is_file():
            return load_exported(inside)
    raise _no_model(place, "no file of a model")


def _refuse_onnx(folder: Path, place: str) -> None:
    """Raises ModelError where a folder holds a model in the form of ONNX and in no other."""
    from hpo.model.weight_files import chosen_file

    found = next(
        (each for inside in ("", "onnx") for each in (folder / inside).glob("*.onnx")), None
    )
    if found is not None and chosen_file([each.name for each in folder.iterdir()]) is None:
        raise _no_model(place, f"an ONNX export ({found.relative_to(folder)})", _ONNX_HINT)


def _fetched(place: str, tracking_uri: str) -> Path:
    """The folder of a model that MLflow has; fetched, where it lies with a server."""
    from hpo.tracking.ping import ping
    from hpo.tracking.uri import checked_uri, database_file

    uri = checked_uri(tracking_uri)
    ping(uri)
    file = database_file(uri)
    if file is not None and not file.exists():
        # MLflow would make it.
        raise _no_model(place, f"no MLflow store {without_credentials(uri)}")
    from mlflow.artifacts import download_artifacts

    from hpo.tracking.answers import PermanentError, RetryableError, answers
    from hpo.tracking.gateway import Gateway

    try:
        with answers():
            location = _location(Gateway(uri).client, place)
            return Path(download_artifacts(artifact_uri=location, tracking_uri=uri))
    except PermanentError as refusal:
        raise _not_there(place, uri, refusal) from refusal
    except RetryableError as away:
        raise TrackingError(
            f"tracking server {without_credentials(uri)}",
            found=str(away),
            expected=place,
            hint="Start it, and run the same command again.",
        ) from away


def _location(client: Any, place: str) -> str:
    """Where the files of a model are; asked of one store, for MLflow's own way asks whichever is the default."""
    from mlflow.store.artifact.utils import models

    named: Any = models.get_model_name_and_version
    for _ in range(2):  # a version may be of a logged model, which has a place of its own
        if not place.startswith("models:/"):
            break
        found: tuple[str, ...] = named(client, place)
        place = str(
            client.get_logged_model(*found).artifact_location
            if len(found) == 1
            else client.get_model_version_download_uri(*found)
        )
    return place


def _not_there(place: str, uri: str, refusal: Exception) -> ModelError:
    name = re.split("[/@]", place.partition(":/")[2])[0]
    known = addresses(uri, near=name)
    near = nearest_address(name, known)
    return ModelError(
        place,
        found=f"no such model in {without_credentials(uri)} ({refusal})",
        expected="one of " + ", ".join(known.get(name) or [each[0] for each in known.values()][:5])
        if known
        else "a model that is registered",
        hint=f"Did you mean {near}?" if near else f"Models are written {MODEL_URIS}.",
    )


def _no_model(place: str, found: str, hint: str | None = None) -> ModelError:
    usual = "The last lines of `hpo.run` name the model."
    return ModelError(place, found=found, expected=MODEL_URIS, hint=hint or usual)
