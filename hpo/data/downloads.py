"""Files from web servers, kept in the cache: whole or not at all, and believed only when their digests agree."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hpo.atomic import discard_folder, put_in_place, remove_abandoned, whole_folder
from hpo.data.fetching import Reply, fetch
from hpo.data.remote_names import check_no_page, remote_name
from hpo.digests import DIGESTS_FILE, damage_in, write_digests
from hpo.documents import parse_json
from hpo.errors import DataError
from hpo.formats import DOWNLOADS
from hpo.spec.addresses import shown, with_secrets
from hpo.spec.download_limits import DownloadLimits
from hpo.spec.locations import Locations

_FOLDER: Final = "downloads"
_FACTS: Final = "download.json"
_CONTENT: Final = "content"
_LONGEST_TAG: Final = 1_000
_FIRST_WORD_SECONDS: Final = 5.0
_BETWEEN_WORDS_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Copy:
    """A file from an address.

    Attributes:
        path: Of the copy in the cache.
        is_new: Whether it was fetched just now.
        warnings: What should be said of how it was got.
    """

    path: Path
    is_new: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Downloads:
    """Where files from addresses are kept, and who is told of what takes long.

    Attributes:
        cache: The folder of caches.
        say: Takes a line for people.
        environment: Of the limits, of whether to ask again, and of the secrets in addresses.
    """

    cache: Path
    say: Callable[[str], None]
    environment: Mapping[str, str]

    @staticmethod
    def usual() -> Downloads:
        """In the cache that the environment names, without a word."""
        return Downloads(Locations.of().cache, lambda _line: None, os.environ)

    def get(self, address: str) -> Copy:
        """The file at an address: as it is kept, or fetched where none is or the server is to be asked again.

        Raises:
            DataError: There is none to be had, or none that can be kept.
            OptionError: A variable of the environment is wrong or lacking.
        """
        limits = DownloadLimits.of(self.environment)
        kept, damage = _kept(self._entry(address))
        if kept is not None and not limits.asks_again:
            self.say(
                f"{shown(address)}: as fetched {kept.when}; HPO_DOWNLOAD_REFRESH=1 asks the server again"
            )
            return Copy(kept.path, is_new=False)
        try:
            copy = self._fetched(address, limits, kept)
        except OSError as error:
            raise DataError(
                str(self._folder),
                found=f"no place for downloads ({error.strerror or error})",
                expected="a folder that can be written, with room enough",
                hint="Free some space, or set HPO_CACHE.",
            ) from error
        finally:
            self._tidy()
        if damage is None:
            return copy
        warning = f"{shown(address)}: fetched again, for the copy was damaged ({damage})"
        return replace(copy, warnings=(warning,))

    def drop(self, address: str) -> None:
        """Remove what is kept of an address, where it can be removed."""
        with suppress(OSError):
            discard_folder(self._entry(address))
        self._tidy()

    def _entry(self, address: str) -> Path:
        said = f"{DOWNLOADS.number} {address.partition('#')[0]}"
        digest = hashlib.sha256(said.encode()).hexdigest()
        return self._folder / digest[:32]

    @property
    def _folder(self) -> Path:
        return self.cache / _FOLDER

    def _fetched(self, address: str, limits: DownloadLimits, kept: _Kept | None) -> Copy:
        """What the server has; the copy that is kept, where that is the same."""
        url = with_secrets(address, self.environment)
        entry, asked = self._entry(address), {} if kept is None else kept.conditions
        # Where another process is first, its copy stays, for somebody may be reading it.
        replace_copy = entry.exists()
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".fetched-", dir=self._folder) as folder:
            remove_abandoned(self._folder, Path(folder).stat().st_mtime)
            part = Path(folder) / "part"
            reply = fetch(url, part, limits, conditions=asked, on_bytes=_teller(address, self.say))
            if reply.is_kept and kept is not None:
                self.say(f"{shown(address)}: as it was when it was fetched {kept.when}")
                return Copy(kept.path, is_new=False)
            check_no_page(address, reply, part)
            name = remote_name(address, reply, part)
            with whole_folder(entry, durable=False, replace=replace_copy) as whole:
                (whole / _CONTENT).mkdir()
                put_in_place(part, whole / _CONTENT / name, durable=False)
                _write_facts(whole, address, name, reply)
        return Copy(entry / _CONTENT / name, is_new=True)

    def _tidy(self) -> None:
        """Leave no empty folders where nothing was kept."""
        with suppress(OSError):
            self._folder.rmdir()
            self.cache.rmdir()


def size_of_downloads(cache: Path) -> int:
    """Bytes that are kept of files from addresses."""
    size = 0
    for path in (cache / _FOLDER).rglob("*"):
        with suppress(OSError):  # another process may replace it meanwhile
            size += path.stat().st_size if path.is_file() else 0
    return size


@dataclass(frozen=True)
class _Kept:
    """What is kept of an address, whole. when: it was fetched, in words; conditions: headers that ask for
    what has changed since."""

    path: Path
    when: str
    conditions: Mapping[str, str]


def _kept(entry: Path) -> tuple[_Kept | None, str | None]:
    """What an entry holds, if it is there and whole, and otherwise what is wrong with it."""
    if not entry.is_dir():
        return None, None
    try:
        facts = parse_json((entry / _FACTS).read_bytes())
        path = entry / _CONTENT / str(facts["name"])
        needed = (_FACTS, f"{_CONTENT}/{path.name}")
        damage = None if (entry / DIGESTS_FILE).is_file() else "it has no digests"
        damage = damage or damage_in(entry, needed)
        conditions = {
            header: str(facts[key])
            for header, key in (("If-None-Match", "etag"), ("If-Modified-Since", "last_modified"))
            if facts[key]
        }
        kept = _Kept(path, f"on {facts['fetched']}", conditions)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, f"{_FACTS} cannot be read ({type(error).__name__})"
    return (kept, None) if damage is None else (None, damage)


def _write_facts(folder: Path, address: str, name: str, reply: Reply) -> None:
    """What is known of a download, and the digests of all."""
    facts = {
        "address": shown(address),
        "name": name,
        "length": (folder / _CONTENT / name).stat().st_size,
        "etag": reply.headers.get("etag", "")[:_LONGEST_TAG],
        "last_modified": reply.headers.get("last-modified", "")[:_LONGEST_TAG],
        "fetched": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    (folder / _FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    write_digests(folder)


def _teller(address: str, say: Callable[[str], None]) -> Callable[[int, int | None], None]:
    """What says how far a download is, and how long it may take, where that is long."""
    began = time.monotonic()
    told = began + _FIRST_WORD_SECONDS - _BETWEEN_WORDS_SECONDS

    def tell(done: int, length: int | None) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < _BETWEEN_WORDS_SECONDS:
            return
        told = now
        so_far = f"Downloading {shown(address)}: {done / 1e6:,.1f} MB"
        if length:
            left = (now - began) * (length - done) / done
            say(f"{so_far} of {length / 1e6:,.1f} MB, about {_in_words(left)} left.")
        else:
            say(f"{so_far}, of a size that the server does not say.")

    return tell


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
