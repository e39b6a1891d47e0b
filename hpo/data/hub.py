"""Data sets from the Hugging Face hub or saved on disk: the one place that knows the datasets library.

A hub that does not answer is found out in seconds, before the libraries begin their minutes of
retries; a copy in their cache then serves in its stead.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hpo.data.table import Table
from hpo.errors import DataError, first_line

if TYPE_CHECKING:
    import datasets

logger = logging.getLogger(__name__)

PROBE_SECONDS: Final = 3.0


@dataclass(frozen=True)
class HubData:
    """The splits of a hub data set by name, and what should be said about how they were got."""

    splits: Mapping[str, Table]
    warnings: tuple[str, ...] = ()


def read_hub(source: str, *, config: str | None, revision: str | None) -> HubData:
    """All splits of a hub data set, downloaded or from the libraries' cache.

    Raises:
        DataError: The hub cannot be reached, or has no such data set, configuration or revision.
    """
    import datasets
    from huggingface_hub import constants

    answers = hub_answers()
    with nullcontext() if answers else _offline():
        try:
            loaded = datasets.load_dataset(source, name=config, revision=revision)
        except Exception as error:
            logger.debug("loading the data set %s from the hub", source, exc_info=True)
            if answers:
                raise _load_error(source, revision, error) from error
            raise DataError(
                source,
                found=f"no answer from the hub ({constants.ENDPOINT}) and no copy in its cache",
                expected="a hub data set, a file, a folder or demo",
                hint="Check the network, or name a local file or folder.",
            ) from error
    warning = f"{source}: the hub does not answer; its cached copy is used"
    if revision:  # the libraries' cache does not tell revisions apart
        warning += f", which may be of another revision than {revision!r}"
    return HubData(tables_of(source, loaded), () if answers else (warning,))


def saved_dataset(folder: Path) -> Mapping[str, Table] | None:
    """The splits that the datasets library's `save_to_disk` wrote; one without a name is `train`.

    Returns:
        None where the folder is none of its.

    Raises:
        DataError: It is one, and cannot be read.
    """
    names = {"dataset_dict.json", "state.json"}
    if not any((folder / name).is_file() for name in names):
        return None
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever Arrow, JSON and the library raise, it means the same
        raise DataError(
            str(folder),
            found=f"what save_to_disk writes, but damaged ({first_line(error)})",
            expected="a data set that datasets.load_from_disk loads",
            hint="Save it again.",
        ) from error
    splits = loaded if isinstance(loaded, dict) else {"train": loaded}
    return tables_of(str(folder), splits)


def tables_of(source: str, splits: Mapping[str, datasets.Dataset]) -> dict[str, Table]:
    """The splits of a loaded data set as tables, with the class names that its features state."""
    return {str(name): _table(f"{source}, {name} split", split) for name, split in splits.items()}


def _table(place: str, split: datasets.Dataset) -> Table:
    import datasets

    @cache
    def column(name: str) -> list[object]:
        return list(split.select_columns([name])[:][name])

    return Table(
        place,
        tuple(split.column_names),
        column,
        np.arange(1, len(split) + 1, dtype=np.int64),
        class_names={
            name: tuple(named.names)
            for name, feature in split.features.items()
            if isinstance(named := getattr(feature, "feature", feature), datasets.ClassLabel)
        },
    )


def hub_answers() -> bool:
    """Whether the hub may be asked and answers soon, by the library's own client and proxies."""
    from huggingface_hub import constants, get_session

    if constants.is_offline_mode():
        return False
    endpoint = constants.ENDPOINT

    answered = threading.Event()

    def ask() -> None:
        try:
            if get_session().head(endpoint, timeout=PROBE_SECONDS).status_code < 500:
                answered.set()
        except (
            Exception
        ):  # the client behind get_session differs between versions, so do its errors
            logger.debug("asking %s for a sign of life", endpoint, exc_info=True)

    # A thread, since looking up a name in a dead network heeds no time-out.
    asking = threading.Thread(target=ask, name="hub-probe", daemon=True)
    asking.start()
    asking.join(PROBE_SECONDS + 1)
    return answered.is_set()


@contextmanager
def _offline() -> Iterator[None]:
    """Have the libraries look in their caches only, as HF_HUB_OFFLINE does at their import."""
    import datasets.config
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def _load_error(source: str, revision: str | None, error: Exception) -> DataError:
    import datasets.exceptions

    if isinstance(error, datasets.exceptions.DatasetNotFoundError):
        which = f" and revision ({revision!r})" if revision else ""
        return DataError(
            source,
            found=f"no data set of this name{which} that this login may read, nor a file or folder",
            expected="a hub data set, a file, a folder or demo",
            hint="Check the name and the revision, or log in with `hf auth login`.",
        )
    message = " ".join(str(error).split())[:240] or type(error).__name__
    about_config = isinstance(error, ValueError) and "config" in message.lower()
    return DataError(
        source,
        found=f"a data set that cannot be loaded ({message})",
        expected="a hub data set of texts and labels",
        hint="Set data.config to one of those."
        if about_config
        else "Download its files and name them.",
    )
