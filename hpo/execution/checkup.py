"""The state of everything that a study needs, one finding at a time."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from hpo.errors import HpoError
from hpo.execution.machine_resources import available_cores
from hpo.redaction import redacted
from hpo.spec.locations import Locations

Grade = Literal["ok", "note", "fault"]

_PACKAGES = ("torch", "transformers", "optuna", "mlflow", "datasets")
_LEAST_FREE_BYTES = 2 * 10**9
_MEND = "Mend that; `python -m hpo.doctor --flush` sends them then."
_STORE_AWAY = "`python -m hpo.doctor` says what is wrong with the store; then run it again."
_REFUSED = (
    "The reasons are in `outbox/rejected.jsonl`; `python -m hpo.doctor --flush` sends them again."
)

_GIVE_PASSWORD = (
    "Give it again: --tracking-uri or MLFLOW_TRACKING_URI with it, or MLFLOW_TRACKING_PASSWORD."
)


@dataclass(frozen=True)
class Finding:
    """grade: ok, a note worth knowing, or a fault; hint: what to do about it."""

    grade: Grade
    subject: str
    words: str
    hint: str = ""


def checkup(locations: Locations) -> Iterator[Finding]:
    """Look at everything in turn. Nothing is created or changed."""
    yield _software()
    yield _device()
    yield _storage(locations)
    yield _tracking(locations)
    yield _outbox(locations)
    yield _cache(locations)
    yield from _disks(locations)
    yield _hub()


def flush(locations: Locations, seconds: float) -> Finding:
    """Send what processes that are gone left for MLflow, and once more what it refused.

    Args:
        seconds: How long that may take at most.
    """
    from hpo.storage.storage import check_storage, open_storage

    check_storage(locations.storage_url)
    if not (locations.state / "outbox").is_dir():
        return Finding("ok", "flush", _sent(0, 0, 0))
    from hpo.outbox.requeue import requeue_rejected
    from hpo.runtime.outcomes import outcome_reader, run_linker
    from hpo.tracking.drain import drain_abandoned
    from hpo.tracking.moved import uri_now

    requeue_rejected(locations.state, uri_now)
    with open_storage(locations.storage_url) as storage:
        report = drain_abandoned(
            locations.state,
            timeout_seconds=seconds,
            on_run_opened=run_linker(storage),
            outcome_of=outcome_reader(storage, locations.state),
        )
    words = _sent(report.delivered, report.files, report.waiting)
    if report.without_secret:
        servers = ", ".join(sorted(report.without_secret))
        words = f"{words}; the password of {servers} is not stored"
        return Finding("fault", "flush", words, _GIVE_PASSWORD)
    if report.blocked:
        return Finding("fault", "flush", f"{words}: {'; '.join(sorted(report.blocked))}", _MEND)
    if report.waiting:
        return Finding("fault", "flush", words, _what_to_do(report.away))
    if report.refused:
        return Finding("note", "flush", f"{words}, MLflow refuses {report.refused}", _REFUSED)
    return Finding("ok", "flush", words)


def _sent(delivered: int, files: int, waiting: int) -> str:
    return f"{delivered} operations sent from {files} outboxes, {waiting} still wait"


def _what_to_do(away: Collection[str]) -> str:
    """About operations that wait, of which some go to servers and stores that cannot be used now."""
    servers = sorted(uri for uri in away if uri.startswith("http"))
    if servers:
        return f"Start the tracking server {' and '.join(servers)}, and run it again."
    return _STORE_AWAY if away else "Run it again, with a longer --timeout."


def _software() -> Finding:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return Finding(
                "fault", "software", f"{name} is not installed", "Install from the lock again."
            )
    return Finding("ok", "software", f"Python {platform.python_version()}, " + ", ".join(found))


def _device() -> Finding:
    import torch

    from hpo.training.precision import has_bf16, pick_device

    device = pick_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    fast = "multiplies bf16 fast" if has_bf16(device) else "no fast bf16: fp32 is used"
    return Finding("ok", "device", f"{device.type} ({name}), {available_cores()} cores, {fast}")


def _storage(locations: Locations) -> Finding:
    from hpo.storage.storage import check_storage, open_storage
    from hpo.studies.integrity import check_study
    from hpo.studies.progress import all_progress

    url = redacted(locations.storage_url)
    file = Path(locations.storage_url.removeprefix("sqlite:///"))
    try:
        check_storage(locations.storage_url)
        if locations.storage_url.startswith("sqlite:///") and not file.exists():
            return Finding("note", "storage", f"{url} does not exist yet; the first run makes it")
        with open_storage(locations.storage_url) as storage:
            studies = all_progress(storage)
            for study in studies:
                check_study(storage, study.study_id, study.name)
    except HpoError as error:
        return Finding("fault", "storage", f"{error.place}: {error.found}", error.hint)
    done = sum(study.is_done for study in studies)
    return Finding("ok", "storage", f"{url}, {len(studies)} studies, {done} of them done")


def _tracking(locations: Locations) -> Finding:
    from hpo.tracking.moved import moves
    from hpo.tracking.ping import ping

    uri = redacted(locations.tracking_uri)
    try:
        ping(locations.tracking_uri)
        moved = moves(locations.tracking_uri)
    except HpoError as error:
        return Finding("fault", "tracking", f"{error.place}: {error.found}", error.hint)
    if moved:
        froms = ", ".join(str(move.root.parent) for move in moved)
        words = f"{uri} was moved or copied from {froms}, and still looks for its files there"
        return Finding("fault", "tracking", words, "The next run, worker or ui here mends it.")
    return Finding("ok", "tracking", uri)


def _outbox(locations: Locations) -> Finding:
    from hpo.outbox.outbox import blocked_in, waiting_in
    from hpo.outbox.rejected import rejected_in
    from hpo.runtime.early_checks import check_state

    try:
        check_state(locations.state)
    except HpoError as error:
        return Finding("fault", "outbox", f"{error.place}: {error.found}", error.hint)
    waiting, blocked = waiting_in(locations.state), blocked_in(locations.state)
    if waiting and blocked:
        words = f"{waiting} operations are kept that MLflow does not take: {'; '.join(blocked)}"
        return Finding("fault", "outbox", words, _MEND)
    if waiting:
        return Finding(
            "note",
            "outbox",
            f"{waiting} operations wait for MLflow",
            "`python -m hpo.doctor --flush` sends them.",
        )
    rejected = rejected_in(locations.state)
    if rejected:
        return Finding("note", "outbox", f"MLflow refused {rejected} operations", _REFUSED)
    return Finding("ok", "outbox", "nothing waits for MLflow")


def _cache(locations: Locations) -> Finding:
    from hpo.data.downloads import size_of_downloads
    from hpo.model.feature_cache import FeatureCache

    if locations.cache_limit is None:
        return Finding("note", "cache", "off")
    entries = FeatureCache(locations.cache / "prefix", locations.cache_limit).entries()
    states, downloads = sum(each.size for each in entries), size_of_downloads(locations.cache)
    words = f"{locations.cache}: {len(entries)} files of hidden states, {_size(states)}"
    if downloads:
        words = f"{words}, and downloads, {_size(downloads)};"
    words = f"{words} of {_size(locations.cache_limit)}"
    if downloads > locations.cache_limit:
        hint = f"Raise HPO_CACHE_LIMIT, or remove {locations.cache / 'downloads'}: no hidden states are kept."
        return Finding("note", "cache", words, hint)
    return Finding("ok", "cache", words)


def _disks(locations: Locations) -> Iterator[Finding]:
    from hpo.runtime.early_checks import check_folder
    from hpo.spec.locations import nearest_existing

    for subject, path, option in (
        ("disk here", locations.state, "HPO_STATE"),
        ("disk of the cache", locations.cache, "HPO_CACHE"),
    ):
        try:
            check_folder(path, option, writable=True)
        except HpoError as error:
            yield Finding("fault", subject, f"{error.place}: {error.found}", error.hint)
            continue
        there = nearest_existing(path)
        free = shutil.disk_usage(there).free
        words = f"{_size(free)} free at {there}"
        if free < _LEAST_FREE_BYTES:
            yield Finding("fault", subject, words, "Free some space.")
        else:
            yield Finding("ok", subject, words)


def _hub() -> Finding:
    from hpo.data.hub import hub_answers

    if hub_answers():
        return Finding("ok", "hub", "reachable")
    return Finding("note", "hub", "not reachable; local models and data work without it")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 10**8 else f"{count / 1e6:.1f} MB"
