"""What MLflow refused: kept as text beside the outboxes, and sent once more where somebody asks for it.

<state_dir>/outbox/rejected.jsonl   an operation a line, in order, with the server and its reason
<state_dir>/outbox/rejected.spool/  the files of those that may yet be taken
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hpo.atomic import write_whole
from hpo.tracking.moved import uri_now
from hpo.tracking.outbox import REJECTED_FILE, REJECTED_SPOOL, Outbox, folder_lock, read_line
from hpo.tracking.records import LogArtifact, LogModel, Operation, PublishModel, from_json

# A damaged line is kept as it is.
_ANY_BYTES = "surrogateescape"
# They were held to the limit once.
_NO_LIMIT = 1 << 62


def rejected_in(state_dir: Path) -> int:
    """How many refused operations are kept under state_dir."""
    return len(_lines(state_dir.absolute() / "outbox" / REJECTED_FILE))


def requeue_rejected(state_dir: Path) -> None:
    """Make outboxes of what was refused, as of owners that died: whoever empties those sends it again.

    Those that are refused again come back here. A process that dies in here leaves both; what arrives
    twice has the effect of once.
    """
    folder = state_dir.absolute() / "outbox"
    file = folder / REJECTED_FILE
    if not file.exists():
        return
    with folder_lock(folder):
        waiting: dict[str, list[Operation]] = {}
        unreadable = []
        for line in _lines(file):
            try:
                row = read_line(line)
                operation = from_json(row["kind"], row["body"])
                uri = uri_now(str(row["tracking_uri"]), row.get("state_dir"), folder.parent)
                waiting.setdefault(uri, []).append(operation)
            except (ValueError, TypeError, KeyError):
                # Of another version; it stays for people to read.
                unreadable.append(line)
        for uri, operations in waiting.items():
            _fill(state_dir, uri, operations, folder / REJECTED_SPOOL)
        _write(file, unreadable)


def _fill(state_dir: Path, uri: str, operations: Sequence[Operation], spool: Path) -> None:
    with Outbox.create(state_dir, uri, _NO_LIMIT) as outbox:
        outbox.ledger.set_facts({"late": "true"})
        for operation in operations:
            if not isinstance(operation, LogArtifact | LogModel | PublishModel):
                outbox.append(operation)
                continue
            name, slash, file = operation.spooled.partition("/")
            if not (spool / name).is_dir():
                outbox.append(operation)
                continue
            spooled = outbox.spool_folder(spool / name, move=True, bounded=False)
            moved = replace(operation, spooled=f"{spooled.path}{slash}{file}")
            outbox.append(moved, spooled=spooled)


def _lines(file: Path) -> list[str]:
    text = file.read_text("utf-8", _ANY_BYTES) if file.exists() else ""
    return [line for line in text.split("\n") if line]


def _write(file: Path, lines: Sequence[str]) -> None:
    if not lines:
        file.unlink(missing_ok=True)
        return
    write_whole(
        file, "".join(f"{line}\n" for line in lines).encode("utf-8", _ANY_BYTES), durable=True
    )
