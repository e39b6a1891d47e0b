"""Whether the places of a study can be used, told before data and model are loaded.

Nothing here imports PyTorch or MLflow, and nothing is written.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from hpo.atomic import write_whole
from hpo.errors import OptionError
from hpo.formats import STATE, check_format
from hpo.outbox.outbox import check_formats
from hpo.outbox.quota import DISK_MARGIN
from hpo.spec.locations import Locations, nearest_existing, why_no_folder
from hpo.storage.storage import check_storage
from hpo.tracking.moved import moves
from hpo.tracking.ping import ping
from hpo.tracking.uri import TrackingServerAway

FORMAT_FILE = "format"
# Folders of ours, in which we make others.
_IN_THE_STATE = (
    *("outbox", "studies", "studies/*"),
    *("studies/*/checkpoints", "studies/*/models"),
)
_IN_THE_CACHE = ("tokens", "prefix", "downloads")


def check_places(locations: Locations, *, wait_seconds: float = 0.0) -> tuple[str, ...]:
    """What should be said of the places before work begins: that the tracking server is away.

    Each of these errors is also for what a newer version wrote.

    Args:
        locations: The places.
        wait_seconds: For how long a database that does not answer is waited for.

    Returns:
        Warnings, one line each.

    Raises:
        OptionError: A folder cannot be used.
        StorageError: The storage cannot be used.
        TrackingError: MLflow's store cannot be used, or was moved without its files.
    """
    check_folder(locations.state, "HPO_STATE", writable=True)
    _check_inside(locations.state, "HPO_STATE", _IN_THE_STATE)
    check_state(locations.state)
    _check_room(locations.state, "HPO_STATE")
    # A cache that cannot be written is gone without, so it only must not be something else.
    check_folder(locations.cache, "HPO_CACHE", writable=False)
    _check_inside(locations.cache, "HPO_CACHE", _IN_THE_CACHE)
    check_storage(locations.storage_url, wait_seconds=wait_seconds)
    try:
        ping(locations.tracking_uri)
    except TrackingServerAway as away:
        return (str(away),)
    moves(locations.tracking_uri)
    return ()


def check_state(folder: Path) -> None:
    """Raise OptionError or TrackingError where a newer version has written to a state folder."""
    path = folder / FORMAT_FILE
    if path.is_file():
        check_format(STATE, str(path), path.read_text(errors="replace").strip() or None)
    check_formats(folder)


def mark_state(folder: Path) -> None:
    """Note the format of a state folder that we are about to write to, where it has none."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FORMAT_FILE
    if not file.exists() or not file.stat().st_size:  # which a power cut can leave
        write_whole(file, f"{STATE.number}\n".encode(), durable=True)


def check_folder(folder: Path, option: str, *, writable: bool) -> None:
    """Check that a folder, which need not be there yet, can be used as one.

    Args:
        folder: Where it is to be.
        option: The environment variable that sets it.
        writable: Whether it must be possible to write there.

    Raises:
        OptionError: It cannot.
    """
    why = why_no_folder(folder, writable=writable)
    if why is not None:
        raise OptionError(
            f"{option} ({folder})",
            found=why,
            expected="a folder, or a name for one, that can be written",
            hint=f"Set {option} to another folder.",
        )


def _check_inside(folder: Path, option: str, patterns: Sequence[str]) -> None:
    """Raise OptionError where something else is in the place of a folder of ours."""
    for path in (found for pattern in patterns for found in sorted(folder.glob(pattern))):
        check_folder(path, option, writable=False)


def _check_room(folder: Path, option: str) -> None:
    """Raise OptionError where what waits for MLflow would be refused for want of space on the disk."""
    free = shutil.disk_usage(nearest_existing(folder)).free
    if free < DISK_MARGIN:
        raise OptionError(
            f"{option} ({folder})",
            found=f"{free >> 20} MiB free on the disk",
            expected=f"{DISK_MARGIN >> 20} MiB or more for checkpoints and what waits for MLflow",
            hint=f"Free some space, or set {option}.",
        )
