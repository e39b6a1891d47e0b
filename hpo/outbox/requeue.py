"""What was refused, put back into outboxes to be sent once more where somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hpo.errors import TrackingError
from hpo.outbox.origin import Origin
from hpo.outbox.outbox import Outbox
from hpo.outbox.owner import folder_lock
from hpo.outbox.quota import NO_LIMIT
from hpo.outbox.records import LogArtifact, LogModel, Operation, PublishModel
from hpo.outbox.rejected import REJECTED_FILE, REJECTED_SPOOL, parse_line, read_lines, write_lines
from hpo.outbox.rows import Destination


def requeue_rejected(state_dir: Path, uri_now: Callable[[Destination, Path], str]) -> None:
    """Make outboxes of what was refused, as of owners that died: whoever empties those sends it again.

    Those that are refused again come back here. A process that dies in here leaves both; what arrives
    twice has the effect of once.

    Args:
        state_dir: The folder that the outboxes are under.
        uri_now: Tells where a destination leads to, now that the state folder is where it is.
    """
    folder = state_dir.absolute() / "outbox"
    file = folder / REJECTED_FILE
    if not file.exists():
        return
    with folder_lock(folder):
        waiting: dict[str, list[Operation]] = {}
        unreadable = []
        for line in read_lines(file):
            try:
                operation, noted = parse_line(line)
                uri = uri_now(noted, folder.parent)
            except (ValueError, TypeError, KeyError, TrackingError):
                # Of another version, or damaged; it stays for people to read.
                unreadable.append(line)
            else:
                waiting.setdefault(uri, []).append(operation)
        for uri, operations in waiting.items():
            _fill(state_dir, uri, operations, folder / REJECTED_SPOOL)
        write_lines(file, unreadable)


def _fill(state_dir: Path, uri: str, operations: Sequence[Operation], files: Path) -> None:
    # They were held to the limit once.
    with Outbox.create(state_dir, uri, NO_LIMIT, origin=Origin.REQUEUED) as outbox:
        for operation in operations:
            _append(outbox, operation, files)


def _append(outbox: Outbox, operation: Operation, files: Path) -> None:
    if not isinstance(operation, LogArtifact | LogModel | PublishModel):
        outbox.append(operation)
        return
    name, slash, file = operation.spooled.partition("/")
    if not (files / name).is_dir():
        outbox.append(operation)
        return
    spooled = outbox.spool.add_folder(files / name, move=True, bounded=False)
    moved = replace(operation, spooled=f"{spooled.path}{slash}{file}")
    outbox.append(moved, spooled=spooled)
