"""Where things are kept: storage, tracking, caches that can be rebuilt, state that cannot."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import urlsplit

from hpo.errors import HpoError, OptionError
from hpo.redaction import remember, without_credentials
from hpo.spec.download_limits import DownloadLimits
from hpo.spec.environment import set_in
from hpo.spec.numbers import parse_size

DEFAULT_STORAGE = "sqlite:///optuna.db"
DEFAULT_TRACKING = "sqlite:///mlflow.db"
DEFAULT_DASHBOARD = "http://127.0.0.1:8080"
LONGEST_DATABASE_NAME = 180
"""In bytes, so that the files beside a database, whose names begin with its own, can be made too."""


@dataclass(frozen=True)
class Locations:
    """What a study reads and writes, and where.

    Attributes:
        storage_url: Of Optuna's studies.
        tracking_uri: Of MLflow.
        state: Checkpoints and what waits for MLflow.
        cache: Tokens and hidden states.
        cache_limit: Bytes of the latter, None: none are kept.
    """

    storage_url: str
    tracking_uri: str
    state: Path
    cache: Path
    cache_limit: int | None

    @staticmethod
    def of(
        *,
        storage: str | None = None,
        tracking_uri: str | None = None,
        no_cache: bool = False,
        environment: Mapping[str, str] = os.environ,
    ) -> Locations:
        """Options first, then the environment, then the defaults.

        An environment variable that is empty is as good as none; an empty option is refused before.

        Raises:
            OptionError: An option has a value that it cannot have.
        """
        for variable in ("HPO_DASHBOARD_URL", "HPO_MLFLOW_URL"):
            _check_address(environment, variable)
        DownloadLimits.of(environment)  # refused here, not when the first address is read
        cache = _folder(environment, "HPO_CACHE")
        state = _folder(environment, "HPO_STATE")
        storage_url = storage or set_in(environment, "HPO_STORAGE") or DEFAULT_STORAGE
        tracking = tracking_uri or set_in(environment, "MLFLOW_TRACKING_URI") or DEFAULT_TRACKING
        for url in (storage_url, tracking):
            remember(url)
        return Locations(
            storage_url=storage_url,
            tracking_uri=tracking,
            state=state or Path(".hpo"),
            cache=cache or _user_cache(),
            cache_limit=None if no_cache else _cache_limit(environment),
        )


def path_of(text: str, refuse: Callable[[str], HpoError]) -> Path:
    """The path that a person wrote, `~` and `~user` expanded; there need be nothing there.

    Raises what `refuse` makes of the reason where `why_no_place` has one, and for the home folder of a
    user that there is not.
    """
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise refuse("the home folder of a user that there is not") from error
    why = why_no_place(path)
    if why is not None:
        raise refuse(why)
    return path


def why_no_place(path: Path) -> str | None:
    """What is at a path where neither a file nor a folder can be; None where it may serve as one.

    Asked before anything is opened: a pipe is waited on for ever, and a device may never end.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "a link to what is not there" if path.is_symlink() else None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return f"a path that cannot be looked up ({reason or error})"
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def why_no_database(file: Path) -> str | None:
    """Why a path cannot be a database file; None where it may. There need be nothing there."""
    why = why_no_place(file)
    if why is None and len(os.fsencode(file.name)) > LONGEST_DATABASE_NAME:
        return f"a name of more than {LONGEST_DATABASE_NAME} bytes"
    return why


def why_no_folder(folder: Path, *, writable: bool) -> str | None:
    """What is in the way of a folder, which need not be there yet; None where nothing is.

    Args:
        writable: Whether it must be possible to write there.
    """
    there = nearest_existing(folder)
    why = why_no_place(there) or (None if there.is_dir() else "a file")
    if why is not None:
        return f"{there}, which is {why}"
    if not os.access(there, os.X_OK):
        return f"{there}, which may not be searched"
    why = why_unwritable(there) if writable else None
    return f"{there}, where nothing can be written ({why})" if why else None


def nearest_existing(path: Path) -> Path:
    """The path itself, or the nearest of the folders above it that is there, be it a broken link."""
    whole = path.absolute()
    # Not Path.exists, which raises where a folder may not be searched.
    return next(each for each in (whole, *whole.parents) if os.path.lexists(each))


def why_unwritable(folder: Path) -> str | None:
    """Why nothing can be written to a folder that exists; None where it can. Leaves no trace."""
    try:
        # Only to write is a sure test: root may write everywhere, but not to /proc, nor to a full
        # disk or one that is mounted read-only.
        TemporaryFile(dir=folder).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def dashboard_url() -> str:
    """Where people's browsers find the Optuna dashboard: HPO_DASHBOARD_URL, or its usual address."""
    return without_credentials(set_in(os.environ, "HPO_DASHBOARD_URL") or DEFAULT_DASHBOARD).rstrip(
        "/"
    )


def _folder(environment: Mapping[str, str], variable: str) -> Path | None:
    text = set_in(environment, variable)
    if text is None:
        return None
    return path_of(
        text,
        lambda reason: OptionError(
            f"{variable} ({text})",
            found=reason,
            expected="a folder, or a name for one",
            hint=f"Set {variable} to another folder.",
        ),
    )


def _check_address(environment: Mapping[str, str], variable: str) -> None:
    """Raise OptionError where what is to stand in links is no address."""
    text = set_in(environment, variable)
    if text is None:
        return
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or a bracket too many
        fits = False
    if not fits or not text.isprintable() or re.search(r"\s", text):
        raise OptionError(
            variable,
            found=repr(without_credentials(text)[:100]),
            expected="http(s)://host:port, as browsers find it",
            hint=f"Correct it, or unset {variable}.",
        )


def _cache_limit(environment: Mapping[str, str]) -> int:
    text = set_in(environment, "HPO_CACHE_LIMIT")
    return parse_size(text, "HPO_CACHE_LIMIT") if text else parse_size("20GB", "default")


def _user_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("hpo")


def can_be_looked_up(host: str) -> bool:
    """Whether a host's name has a form that can be looked up: without empty or overlong labels."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True
