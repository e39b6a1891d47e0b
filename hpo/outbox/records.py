"""What can be asked of the tracking server, as values: the operations that wait in the outbox, stored as JSON.

A run is named by a key that its owner chooses, unique for ever; the server's own run id is learnt when
the operation reaches the server. Every operation may be carried out twice with the effect of once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import takewhile
from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter

from hpo.digests import fast_digest
from hpo.documents import parse_json, typed

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

_CHECK = "check"
_RUN_KEY = re.compile(r"[\w.:@/+-]{1,250}")


@dataclass(frozen=True)
class RunRef:
    """A run: its experiment by name, and its key (letters, digits and `_ . : @ / + -`)."""

    experiment: str
    key: str

    def __post_init__(self) -> None:
        if not _RUN_KEY.fullmatch(self.key):
            raise ValueError(f"a run key of 1 to 250 letters, digits and _.:@/+-, not {self.key!r}")


class MetricPoint(NamedTuple):
    """One value of a metric; the same point sent twice is one point, for it keeps its timestamp."""

    key: str
    value: float
    step: int
    timestamp_ms: int


@dataclass(frozen=True)
class OpenRun:
    """Create the run, or find it where it exists and set it RUNNING again.

    Attributes:
        shared: Several processes open this run, perhaps at once.
        if_abandoned: Tags to set where the process that opened the run died without ending it; the
            run then ends KILLED.
    """

    run: RunRef
    name: str
    start_ms: int
    parent_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    shared: bool = False
    if_abandoned: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LogMetrics:
    run: RunRef
    points: tuple[MetricPoint, ...]


@dataclass(frozen=True)
class SetTags:
    """Set tags of the run.

    Attributes:
        only_if_there: Nothing is wrong where there is no such run.
    """

    run: RunRef
    tags: Mapping[str, str]
    only_if_there: bool = False


@dataclass(frozen=True)
class LogArtifact:
    """Upload a spooled file to the folder `artifact_path`.

    Attributes:
        digest: The file's SHA-256, in hexadecimal.
    """

    run: RunRef
    spooled: str
    artifact_path: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class LogDataset:
    """Record a data set as an input of the run; source and profile are JSON texts."""

    run: RunRef
    name: str
    digest: str
    source_type: str
    source: str
    profile: str
    context: str = "training"


@dataclass(frozen=True)
class TagExperiment:
    """Set tags of the experiment that the run belongs to."""

    run: RunRef
    tags: Mapping[str, str]


@dataclass(frozen=True)
class LogModel:
    """Log what a trial trained as a model of the run."""

    run: RunRef
    operation_id: str
    spooled: str
    name: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class DropModels:
    """Delete the logged models of the experiment that carry all of these tags, files included."""

    run: RunRef
    tags: Mapping[str, str]


@dataclass(frozen=True)
class PublishModel:
    """Log a folder of a transformers model, or of an ensemble, and register it with an alias and a card."""

    run: RunRef
    operation_id: str
    spooled: str
    registered_name: str
    alias: str
    card: str
    metrics: tuple[MetricPoint, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class EndRun:
    """Set tags and end the run.

    Attributes:
        only_if_there: Nothing is wrong where there is no such run (yet).
    """

    run: RunRef
    status: RunStatus
    end_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)
    only_if_there: bool = False


@dataclass(frozen=True)
class EndEarlierAttempts:
    """End what shows RUNNING of earlier attempts at the trial that `run` is an attempt at, as KILLED."""

    run: RunRef
    end_ms: int
    tags: Mapping[str, str]


Operation = (
    OpenRun
    | LogMetrics
    | SetTags
    | LogArtifact
    | LogDataset
    | TagExperiment
    | LogModel
    | DropModels
    | PublishModel
    | EndRun
    | EndEarlierAttempts
)

_KINDS: Mapping[str, type[Operation]] = {
    kind.__name__: kind
    for kind in (
        OpenRun,
        LogMetrics,
        SetTags,
        LogArtifact,
        LogDataset,
        TagExperiment,
        LogModel,
        DropModels,
        PublishModel,
        EndRun,
        EndEarlierAttempts,
    )
}


def to_json(operation: Operation) -> tuple[str, str]:
    """The kind of an operation, and its fields with their digest as JSON; NaN and infinities are kept."""
    kind, values = type(operation).__name__, asdict(operation)
    return kind, json.dumps({**values, _CHECK: _check(kind, values)}, ensure_ascii=False)


def from_json(kind: str, body: str) -> Operation:
    """The operation that `to_json` wrote.

    One that an earlier version wrote has no digest, and is believed.

    Raises:
        ValueError: For anything else, damaged ones too.
    """
    if kind not in _KINDS:
        raise ValueError(f"an operation of a kind that this version does not know: {kind}")
    values: dict[str, Any] = parse_json(body)
    if not isinstance(values, dict):
        raise ValueError("not a table of fields")
    # What a still later version may add after the digest is none of its matter.
    checked = dict(takewhile(lambda item: item[0] != _CHECK, values.items()))
    if _CHECK in values and values[_CHECK] != _check(kind, checked):
        raise ValueError("damaged: other bytes than were written")
    return typed(_shape(kind), values)


@cache
def _shape(kind: str) -> TypeAdapter[Operation]:
    return TypeAdapter(_KINDS[kind])


def _check(kind: str, values: Mapping[str, Any]) -> str:
    return fast_digest([kind.encode(), json.dumps(values, sort_keys=True).encode()])


def spooled_path(operation: Operation) -> str | None:
    """Where the operation's files lie in the outbox, or None where it has none."""
    return getattr(operation, "spooled", None)


def spooled_files(body: str) -> str | None:
    """The folder of a stored operation's files in the spool; None where it has none or cannot be read."""
    try:
        spooled = parse_json(body).get("spooled")
    except (ValueError, AttributeError):
        return None
    return str(spooled).partition("/")[0] if spooled else None


def describe(operation: Operation) -> str:
    """The operation in a few words, for messages."""
    run = operation.run.key
    match operation:
        case OpenRun():
            return f"open run {operation.name} ({run})"
        case LogMetrics(points=points):
            return f"log {len(points)} metrics at step {points[-1].step if points else 0} of {run}"
        case SetTags(tags=tags):
            return f"set tags {', '.join(tags)} of {run}"
        case LogArtifact(artifact_path=path, spooled=spooled):
            return f"upload {path or spooled.rpartition('/')[2]} of {run}"
        case LogDataset(name=name):
            return f"record data set {name} of {run}"
        case TagExperiment(tags=tags):
            return f"set tags {', '.join(tags)} of the experiment of {run}"
        case LogModel(name=name):
            return f"log model {name} of {run}"
        case DropModels(tags=tags):
            return f"delete models with {dict(tags)}"
        case PublishModel(registered_name=name, alias=alias):
            return f"publish model {name}@{alias}"
        case EndRun(status=status):
            return f"end {run} as {status}"
        case EndEarlierAttempts():
            return f"end the attempts before {run}"
