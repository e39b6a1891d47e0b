"""Where the files of a pretrained model are: the demo's, in a directory here, or fetched from the hub."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

from hpo.demo import DEMO_MODEL_DIR
from hpo.documents import parse_json
from hpo.errors import ModelError, first_line
from hpo.model.weight_files import chosen_file, files_to_read
from hpo.spec.locations import path_of, why_no_place
from hpo.spec.study import DEMO

logger = logging.getLogger(__name__)

# Everything but weights: configuration, tokenizer, and the indices of weight files.
_HUB_FILES = ("*.json", "*.txt", "*.model")
_READ_SUFFIXES = (".json", ".txt", ".model", ".safetensors", ".bin")
_HUB_TIMEOUT_SECONDS = 10.0


def is_on_the_hub(name: str) -> bool:
    """Whether a model's name is neither the demo's nor that of a directory here.

    Raises:
        ModelError: The model cannot be used as it is.
    """
    return name != DEMO and not path_of(name, lambda reason: _no_directory(name, reason)).is_dir()


def model_folder(name: str, revision: str | None) -> Path:
    """The folder of a model's files; those of a hub model are fetched first.

    Args:
        name: Hub id, local directory or "demo".
        revision: Of a hub model; None: the newest.

    Raises:
        ModelError: Where there is no such model, or it cannot be fetched.
    """
    if name == DEMO:
        return DEMO_MODEL_DIR
    path = path_of(name, lambda reason: _no_directory(name, reason))
    if path.is_dir():
        _check_entries(name, path)
        return path
    if path.is_file() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise _no_directory(name, "a file" if path.is_file() else "no such directory")
    return _from_hub(name, revision)


def _no_directory(name: str, found: str) -> ModelError:
    return ModelError(
        f"model {name}",
        found=found,
        expected="a directory with config.json and model.safetensors",
        hint="Name the directory that save_pretrained wrote, a hub id, or demo.",
    )


def _check_entries(name: str, folder: Path) -> None:
    """Raise ModelError where the folder cannot be read, or what is to be read in it is no file."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise _no_directory(name, f"a folder that cannot be read ({error.strerror})") from error
    for entry in entries:
        why = why_no_place(entry) if entry.suffix in _READ_SUFFIXES else None
        if why is not None:
            raise ModelError(
                f"model {name}, {entry.name}",
                found=why,
                expected="a file",
                hint="Save the model once more, or copy its files here.",
            )


def _from_hub(name: str, revision: str | None) -> Path:
    """The folder of a hub model's files, fetched; from the cache where the hub does not answer."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    fetch = partial(snapshot_download, name, ignore_patterns=["*/*"])
    try:
        # With a time-out, which snapshot_download has not.
        info = HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT_SECONDS)
        folder = Path(fetch(revision=info.sha, allow_patterns=list(_HUB_FILES)))
        chosen = chosen_file({file.rfilename for file in info.siblings or ()})
        if chosen is not None:
            fetch(revision=info.sha, allow_patterns=list(files_to_read(folder, chosen, name)))
        return folder
    except ModelError:  # a faulty index, which another try would not mend
        raise
    except HFValidationError as error:
        raise ModelError(
            f"model {name}",
            found="neither a directory nor a hub id",
            expected='a directory, a hub id such as "gpt2", or "demo"',
            hint="Correct the name.",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"model {name}",
            found="no directory and no hub model of this name that this login may read",
            expected='a directory, a hub id such as "gpt2", or "demo"',
            hint="Check the name, or log in with `hf auth login`.",
        ) from error
    except (
        Exception
    ) as error:  # the client below huggingface_hub differs by version, so do its errors
        logger.debug("fetching %s from the hub", name, exc_info=True)
        reason = error
    try:
        folder = Path(fetch(revision=revision, local_files_only=True))
    except Exception as error:
        logger.debug("looking for %s in the hub's cache", name, exc_info=True)
        raise ModelError(
            f"model {name}",
            found=f"no answer from the hub that gives it ({type(reason).__name__})",
            expected="a directory here, or a model that the hub has and lets you read",
            hint="Check the name and the network, or name a local directory.",
        ) from error
    logger.warning("the hub does not answer; its cached copy of %s is used", name)
    return folder


def read_config_document(folder: Path, name: str) -> dict[str, Any]:
    """What a model folder's config.json holds.

    Raises:
        ModelError: The model cannot be used as it is.
    """
    path = folder / "config.json"
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model {name}",
            found=f"{path.name} missing or broken ({first_line(error)})",
            expected="a model directory with config.json, as save_pretrained writes it",
            hint="Name such a directory.",
        ) from error
    if not isinstance(document, dict):
        raise ModelError(
            f"model {name}",
            found=f"{path.name} that holds {document!r:.40}",
            expected="a table of settings, as save_pretrained writes it",
            hint="Restore it, or name another model.",
        )
    return document
