from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hpo.errors import TrackingError
from hpo.outbox.ledger import KnownRun, Ledger
from hpo.outbox.outbox import Outbox, abandoned, waiting_in
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
    describe,
    from_json,
    to_json,
)

RUN = RunRef("a study", "trial:a:1:2")
POINTS = (MetricPoint("val/loss", 0.5, 10, 1234), MetricPoint("val/ä", float("inf"), 10, 1234))
EVERY_KIND: list[Operation] = [
    OpenRun(RUN, "trial-0001", 1, "study:a", {"t": "1"}, {"p": "2"}, True, {"x": "y"}),
    LogMetrics(RUN, POINTS),
    SetTags(RUN, {"näme": "✓"}),
    LogArtifact(RUN, "abc/x.txt", "folder"),
    LogDataset(RUN, "demo", "d", "hpo", "{}", "{}"),
    LogModel(RUN, "op", "abc", "trial-0001", {"a": "b"}),
    DropModels(RUN, {"a": "b"}),
    PublishModel(RUN, "op", "abc", "name", "champion", "# card", POINTS, {}),
    EndRun(RUN, "KILLED", 5, {"a": "b"}, True),
    EndEarlierAttempts(RUN, 5, {"a": "b"}),
]
URI = "http://127.0.0.1:9"


@pytest.mark.parametrize("operation", EVERY_KIND, ids=lambda op: type(op).__name__)
def test_an_operation_survives_its_way_through_json(operation: Operation) -> None:
    assert from_json(*to_json(operation)) == operation
    assert describe(operation)


def test_fields_of_a_later_version_are_ignored_and_unknown_kinds_refused() -> None:
    kind, body = to_json(SetTags(RUN, {}))
    assert from_json(kind, body[:-1] + ', "later": 1}') == SetTags(RUN, {})
    with pytest.raises(ValueError, match="Teleport"):
        from_json("Teleport", "{}")


def test_a_run_key_that_a_filter_could_misread_is_refused() -> None:
    with pytest.raises(ValueError, match="run key"):
        RunRef("a", "it's")


def test_operations_wait_in_order_and_survive_their_process(tmp_path: Path) -> None:
    with Outbox.create(tmp_path, URI) as outbox:
        for operation in EVERY_KIND:
            outbox.append(operation)
        assert outbox.waiting == len(EVERY_KIND)
    [found] = abandoned(tmp_path)
    with found:
        assert found.tracking_uri == URI
        assert [from_json(r.kind, r.body) for r in found.ledger.head(100)] == EVERY_KIND
        assert found.abandoned_ms == pytest.approx(time.time() * 1000, abs=60_000)


def test_the_outbox_of_a_living_owner_is_left_alone(tmp_path: Path) -> None:
    with Outbox.create(tmp_path, URI) as outbox:
        outbox.append(SetTags(RUN, {}))
        assert list(abandoned(tmp_path)) == []
    for left in abandoned(tmp_path):
        left.close(remove=True)
    assert list((tmp_path / "outbox").iterdir()) == []


def test_files_are_copied_so_that_the_original_may_go(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "w.bin").write_bytes(b"1234")
    with Outbox.create(tmp_path, URI) as outbox:
        file = outbox.spool.add_file(b"hello", "report.html")
        copied = outbox.spool.add_folder(folder)
        moved = outbox.spool.add_folder(folder, move=True)
        assert not folder.exists()
        assert (outbox.spool.path / file.path).read_text() == "hello"
        assert (outbox.spool.path / file.path).name == "report.html"
        for tree in (copied, moved):
            assert (outbox.spool.path / tree.path / "deep" / "w.bin").read_bytes() == b"1234"
        assert (file.bytes, copied.bytes, moved.bytes) == (5, 4, 4)
        with pytest.raises(TrackingError, match="no folder there"):
            outbox.spool.add_folder(folder)


def test_a_full_outbox_takes_no_more_files_but_still_ends_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(b"x" * 400_000)
    with Outbox.create(tmp_path, "http://me:secret@127.0.0.1:9", limit_bytes=1_000_000) as outbox:
        for _ in range(2):
            spooled = outbox.spool.add_folder(folder)
            outbox.append(LogModel(RUN, "op", spooled.path, "m", {}), spooled=spooled)
        assert caplog.text.count("wait in") == 1
        with pytest.raises(TrackingError, match="no more than") as caught:
            outbox.spool.add_folder(folder)
        assert "secret" not in str(caught.value) + caplog.text
        outbox.append(EndRun(RUN, "FINISHED", 1))
        assert outbox.waiting == 3
    with (
        Outbox.create(tmp_path, URI, limit_bytes=1_000_000) as second,
        pytest.raises(TrackingError, match="no more than"),
    ):
        second.spool.add_folder(folder)


def test_what_arrived_makes_room(tmp_path: Path) -> None:
    weights = b"x" * 700_000
    with Outbox.create(tmp_path, URI, limit_bytes=1_000_000) as outbox:
        spooled = outbox.spool.add_file(weights, "weights")
        outbox.append(LogArtifact(RUN, spooled.path), spooled=spooled)
        with pytest.raises(TrackingError, match="no more than"):
            outbox.spool.add_file(weights, "weights")
        [row] = outbox.ledger.head(10)
        outbox.arrived(1, outbox.ledger.done([row.id]))
        outbox.spool.discard(spooled.path)
        assert outbox.waiting == 0
        outbox.spool.add_file(weights, "weights")


def test_a_state_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="outbox folder"):
        Outbox.create(tmp_path / "file", URI)


def test_appending_costs_training_less_than_a_millisecond(tmp_path: Path) -> None:
    with Outbox.create(tmp_path, URI) as outbox:
        outbox.append(LogMetrics(RUN, POINTS * 4))
        times = []
        for step in range(300):
            begun = time.perf_counter()
            outbox.append(LogMetrics(RUN, tuple(p._replace(step=step) for p in POINTS * 4)))
            times.append(time.perf_counter() - begun)
    assert sorted(times)[150] < 0.001


_APPENDER = """
import sys
from pathlib import Path
from hpo.outbox.outbox import Outbox
from hpo.outbox.records import RunRef, SetTags
outbox = Outbox.create(Path(sys.argv[1]), "http://127.0.0.1:9")
number = 0
while True:
    outbox.append(SetTags(RunRef("e", "r"), {"n": str(number)}))
    print(number, flush=True)
    number += 1
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _APPENDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(200):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    acknowledged = 199 + len(process.stdout.read().splitlines())
    process.wait()
    [outbox] = abandoned(tmp_path)
    with outbox:
        stored = [from_json(row.kind, row.body) for row in outbox.ledger.head(1_000_000)]
    numbers = [int(op.tags["n"]) for op in stored if isinstance(op, SetTags)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= acknowledged


def test_a_new_file_may_be_opened_by_several_at_once(tmp_path: Path) -> None:
    """Others look into a living owner's outbox, which may be in the middle of being made."""
    openers = 6
    with ThreadPoolExecutor(openers) as pool:
        for number in range(60):
            together = threading.Barrier(openers)

            def opened(
                file: Path = tmp_path / f"{number}.db", together: threading.Barrier = together
            ) -> int:
                together.wait()
                ledger = Ledger.open(file)
                try:
                    return ledger.waiting()[0]
                finally:
                    ledger.close()

            each = [pool.submit(opened) for _ in range(openers)]
            assert [future.result() for future in each] == [0] * openers


def test_a_shared_run_is_open_elsewhere_only_where_its_owner_lives(tmp_path: Path) -> None:
    """A dead owner's outbox is locked as well while somebody empties it."""
    shared = KnownRun(RUN.key, "run", "1", shared=True, doubtful=False, if_abandoned={})
    end = EndRun(RUN, "FINISHED", 5)
    mine, other = Outbox.create(tmp_path, URI), Outbox.create(tmp_path, URI)
    for outbox in (mine, other):
        outbox.ledger.remember_run(shared)
    mine.end_shared(end)
    assert mine.waiting == 0

    other.close(remove=False)
    mine.ledger.remember_run(shared)
    [taken_over] = abandoned(tmp_path)
    mine.end_shared(end)
    assert mine.waiting == 1
    taken_over.close(remove=True)
    mine.close(remove=True)


def test_what_waits_is_counted_over_the_outboxes_of_the_living_and_the_dead(
    tmp_path: Path,
) -> None:
    assert waiting_in(tmp_path) == 0
    with Outbox.create(tmp_path, URI) as dead:
        dead.append(*EVERY_KIND)
    with Outbox.create(tmp_path, URI) as mine:
        mine.append(SetTags(RUN, {}))
        assert waiting_in(tmp_path) == len(EVERY_KIND) + 1
