"""What the server refused: kept as text beside the outboxes, and read again.

<state_dir>/outbox/rejected.jsonl   an operation a line, in order, with the server and its reason
<state_dir>/outbox/rejected.spool/  the files of those that may yet be taken
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from hpo.atomic import whole_file
from hpo.digests import fast_digest
from hpo.documents import parse_json, typed
from hpo.formats import REJECTED, refusal
from hpo.outbox.owner import folder_lock, make_private
from hpo.outbox.records import Operation, from_json, spooled_files
from hpo.outbox.rows import Destination, RejectedOperation
from hpo.redaction import redacted

REJECTED_FILE = "rejected.jsonl"
REJECTED_SPOOL = "rejected.spool"

# A damaged line is kept as it is.
_ANY_BYTES = "surrogateescape"


@dataclass(frozen=True)
class _Line:
    kind: str
    body: str
    tracking_uri: str
    state_dir: str | None = None


_SHAPE = TypeAdapter(_Line)


class Kept(NamedTuple):
    """A refused operation as it was kept, and where it was to go."""

    operation: Operation
    noted: Destination


def keep_rejected(
    folder: Path, rows: Sequence[RejectedOperation], spool: Path, tracking_uri: str | None
) -> None:
    """Move refused operations and their files out of an outbox, which is about to go, into its folder."""
    if not rows:
        return
    with folder_lock(folder):
        kept = folder / REJECTED_SPOOL
        for row in rows:
            files = spool / (spooled_files(row.body) or "none")
            if files.exists():
                kept.mkdir(exist_ok=True)
                shutil.move(files, kept / files.name)
        noted = {
            "tracking_uri": None if tracking_uri is None else redacted(tracking_uri),
            "state_dir": str(folder.parent),
            "format": REJECTED.number,
        }
        file = folder / REJECTED_FILE
        before = map(_without_secrets, read_lines(file))
        write_lines(file, [*before, *(_line({**noted, **asdict(row)}) for row in rows)])


def rejected_in(state_dir: Path) -> int:
    """How many refused operations are kept under state_dir."""
    return len(read_lines(state_dir.absolute() / "outbox" / REJECTED_FILE))


def read_lines(file: Path) -> list[str]:
    """The lines of a file of refused operations; none where there is no such file."""
    text = file.read_text("utf-8", _ANY_BYTES) if file.exists() else ""
    return [line for line in text.split("\n") if line]


def write_lines(file: Path, lines: Sequence[str]) -> None:
    """Put these lines in the place of those that the file has; without any, the file goes."""
    if not lines:
        file.unlink(missing_ok=True)
        return
    content = "".join(f"{line}\n" for line in lines).encode("utf-8", _ANY_BYTES)
    with whole_file(file, durable=True) as partial:
        make_private(partial)
        partial.write_bytes(content)


def parse_line(line: str) -> Kept:
    """A refused operation out of its line.

    Raises:
        ValueError, TypeError, KeyError: The line is damaged, or of another version.
    """
    row: dict[str, Any] = parse_json(line)
    if not isinstance(row, dict):
        raise ValueError("not a table of fields")
    told = row.pop("check", None)
    if told is not None and told != _line_digest(row):
        raise ValueError("other bytes than were written")
    refused = refusal(REJECTED, REJECTED_FILE, row.get("format"))
    if refused is not None:
        raise ValueError(str(refused))
    kept = typed(_SHAPE, row)
    return Kept(from_json(kept.kind, kept.body), Destination(kept.tracking_uri, kept.state_dir))


def _without_secrets(line: str) -> str:
    """A line that an earlier release wrote, with a reference for the URI; as it is where it is damaged."""
    try:
        uri = parse_line(line).noted.uri
    except (ValueError, TypeError, KeyError):
        return line
    if redacted(uri) == uri:
        return line
    row = parse_json(line)
    row.pop("check", None)
    return _line({**row, "tracking_uri": redacted(uri)})


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps({**row, "check": _line_digest(row)})


def _line_digest(row: Mapping[str, Any]) -> str:
    return fast_digest([json.dumps(row, sort_keys=True).encode()])
