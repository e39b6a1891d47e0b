"""An operation of every kind, and a run and a server that they are for."""

from __future__ import annotations

from hpo.outbox.records import (
    DropModels,
    EndEarlierAttempts,
    EndRun,
    LogArtifact,
    LogDataset,
    LogMetrics,
    LogModel,
    MetricPoint,
    OpenRun,
    Operation,
    PublishModel,
    RunRef,
    SetTags,
    TagExperiment,
)

RUN = RunRef("a study", "trial:a:1:2")
POINTS = (MetricPoint("val/loss", 0.5, 10, 1234), MetricPoint("val/ä", float("inf"), 10, 1234))
EVERY_KIND: list[Operation] = [
    OpenRun(RUN, "trial-0001", 1, "study:a", {"t": "1"}, {"p": "2"}, True, {"x": "y"}),
    LogMetrics(RUN, POINTS),
    SetTags(RUN, {"näme": "✓"}),
    LogArtifact(RUN, "abc/x.txt", "folder"),
    LogDataset(RUN, "demo", "d", "hpo", "{}", "{}"),
    TagExperiment(RUN, {"a": "b"}),
    LogModel(RUN, "op", "abc", "trial-0001", {"a": "b"}),
    DropModels(RUN, {"a": "b"}),
    PublishModel(RUN, "op", "abc", "name", "champion", "# card", POINTS, {}),
    EndRun(RUN, "KILLED", 5, {"a": "b"}, True),
    EndEarlierAttempts(RUN, 5, {"a": "b"}),
]
URI = "http://127.0.0.1:9"
