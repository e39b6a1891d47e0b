from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hpo.tracking import StudyTracker
from hpo.tracking.system_metrics import SystemMetrics
from tests.tracking.reading import points, run_named
from tests.waiting import wait_until


class Busy:
    """A monitor whose samples count up from 1."""

    def __init__(self) -> None:
        self.samples: list[int] = []
        self.count = 0

    def collect_metrics(self) -> None:
        self.count += 1
        self.samples.append(self.count)

    def aggregate_metrics(self) -> dict[str, float]:
        return {"busy": sum(self.samples) / len(self.samples)} if self.samples else {}

    def clear_metrics(self) -> None:
        self.samples.clear()


class Broken(Busy):
    def collect_metrics(self) -> None:
        raise OSError("the driver is gone")


def samplers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "hpo-system-metrics" and t.is_alive()]


def wait_for(metrics: SystemMetrics) -> None:
    wait_until(metrics.read, "the first values")


@pytest.mark.parametrize("wanted", [True, False])
def test_system_metrics_are_logged_where_they_are_wanted(
    wanted: bool, local_store: str, tmp_path: Path
) -> None:
    with StudyTracker.open(
        local_store,
        "busy",
        tmp_path,
        study_uid="u",
        study_file="",
        environment={},
        system_metrics=wanted,
    ) as tracker:
        assert len(samplers()) == int(wanted)
        if tracker._system_metrics is not None:
            wait_for(tracker._system_metrics)
        trial = tracker.start_trial(0, 1, {})
        for step in (10, 20):
            trial.log_system(step)
        trial.finish("COMPLETE")
        assert tracker.flush(60) == 0
    run = run_named(local_store, "busy", "trial-0000")
    found = {name for name in run.data.metrics if name.startswith("system/")}
    if not wanted:
        assert found == set()
        return
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_percentage"} <= found
    memory = points(local_store, run.info.run_id, "system/system_memory_usage_percentage")
    assert sorted(step for step, _ in memory) == [10, 20]
    assert all(0 < value <= 100 for _, value in memory)
    wait_until(lambda: samplers() == [], "the sampler has ended", seconds=10)


def test_a_value_is_the_mean_since_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Busy()
    monkeypatch.setattr("hpo.tracking.system_metrics._monitors", lambda: [Broken(), busy])
    monkeypatch.setattr("hpo.tracking.system_metrics._SAMPLE_SECONDS", 0.01)
    metrics = SystemMetrics()
    wait_for(metrics)
    first = busy.count
    wait_until(lambda: busy.count >= first + 5, "five more samples", poll_seconds=0.01)
    value = metrics.read()["system/busy"]
    metrics.close()
    # The mean of the numbers after `first` up to the last of them.
    assert value > first + 3


def test_until_mlflow_can_be_imported_there_is_nothing_to_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([None, None])
    monkeypatch.setattr("hpo.tracking.system_metrics._monitors", lambda: next(answers, [Busy()]))
    monkeypatch.setattr("hpo.tracking.system_metrics._SAMPLE_SECONDS", 0.05)
    metrics = SystemMetrics()
    assert metrics.read() == {}
    wait_for(metrics)
    metrics.close()
