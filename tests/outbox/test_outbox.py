from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpo.outbox.outbox import Outbox, abandoned, waiting_in
from hpo.outbox.records import EndRun, LogMetrics, SetTags, from_json
from hpo.outbox.rows import KnownRun
from tests.outbox.operations import EVERY_KIND, POINTS, RUN, URI


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
