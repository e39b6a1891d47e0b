"""Studies that are stopped, killed or out of time, and go on: real processes, as a person has them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.commands.shell import TINY_STUDY, Shell, clean_environment, killed
from tests.commands.stores import assert_whole, embedded_uri, facts
from tests.data.web_server import web_server
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

INTERRUPTED = 130


@pytest.mark.faults
@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_stopped_with_ctrl_c_goes_on_where_it_was(shell: Shell, workers: int) -> None:
    command = long_study(shell, workers)
    process = shell.start(*command, "--timeout", "1h")
    wait_for_line(process, r"trial \d complete")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, err
    stopped = re.search(r"Stopped at (\d) finished trials?; all is kept", err)
    assert stopped, err
    half = facts(shell, embedded_uri(shell), "long")
    assert half.finished == int(stopped[1])
    assert 1 <= half.finished < 6
    assert "RUNNING" not in half.runs.values()
    shell.hpo(*command).done()
    assert_whole(facts(shell, embedded_uri(shell), "long"), trials=6)


@pytest.mark.faults
def test_a_second_ctrl_c_ends_at_once(shell: Shell) -> None:
    command = long_study(shell, workers=2)
    process = shell.start(*command)
    wait_for_line(process, r"trial \d complete")
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == INTERRUPTED
    wait_until(lambda: not processes_of_group(process.pid), "the workers live on")
    shell.hpo(*command).done()
    assert_whole(facts(shell, embedded_uri(shell), "long"), trials=6)


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_download_ends_at_the_first_signal(
    shell: Shell, tmp_path: Path, number: signal.Signals
) -> None:
    began = threading.Event()

    def never_ends(stream: BinaryIO) -> None:
        stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\ntext,label\n")
        stream.flush()
        began.set()
        with suppress(OSError):
            while True:
                stream.write(b"a")
                stream.flush()
                time.sleep(0.1)

    with web_server() as server:
        address = server.put_raw("/reviews.csv", never_ends)
        cache = tmp_path / "cache"
        process = shell.start("run", "--data", address, "--workers", "2", HPO_CACHE=str(cache))
        assert began.wait(60)
        process.send_signal(number)
        assert process.wait(timeout=20) == INTERRUPTED
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert not [path for path in cache.rglob("*") if path.is_file()]
    assert shell.listing() == set()


@pytest.mark.faults
@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_killed_goes_on_where_it_was(shell: Shell, workers: int) -> None:
    command = long_study(shell, workers)
    process = shell.start(*command)
    wait_for_line(process, r"trial \d complete")
    killed(process)
    before = facts(shell, embedded_uri(shell), "long").finished
    assert before < 6
    answer = shell.hpo(*command).done()
    told = [line for line in answer.err.splitlines() if re.match(r"trial \d complete", line)]
    assert len(told) == 6 - before
    assert_whole(facts(shell, embedded_uri(shell), "long"), trials=6)


@pytest.mark.faults
def test_workers_whose_parent_was_killed_end_by_themselves(shell: Shell) -> None:
    command = long_study(shell, workers=2)
    process = shell.start(*command)
    wait_for_line(process, r"trial \d complete")
    process.kill()
    process.wait()
    wait_until(lambda: not processes_of_group(process.pid), "the workers live on")
    shell.hpo(*command).done()
    assert_whole(facts(shell, embedded_uri(shell), "long"), trials=6)


def test_a_study_out_of_time_ends_well_and_goes_on_later(shell: Shell) -> None:
    command = long_study(shell, workers=1)
    answer = shell.hpo(*command, "--trials", "500", "--timeout", "2s").done()
    assert re.search(r"Time is up at \d+ finished trials?; all is kept", answer.err)
    half = facts(shell, embedded_uri(shell), "long")
    assert half.finished < 500
    assert "RUNNING" not in half.runs.values()
    wanted = half.finished + 1
    shell.hpo(*command, "--trials", str(wanted)).done()
    assert_whole(facts(shell, embedded_uri(shell), "long"), trials=wanted)


@pytest.mark.faults
def test_a_worker_waits_for_work_and_stops_cleanly_on_sigterm(shell: Shell) -> None:
    shell.write("tiny.toml", TINY_STUDY.replace("epochs = 1", "epochs = 100"))
    worker = shell.start("worker", "--threads", "1")
    try:
        wait_for_line(worker, r".*waiting until one is submitted")
        shell.hpo("submit", "tiny.toml", "--no-check", "--name", "later").done()
        wait_for_line(worker, r"trial 0 begun")
        worker.terminate()
        _, err = worker.communicate(timeout=60)
    finally:
        killed(worker)
    assert worker.returncode == 0, err
    assert "trial 0 released" in err
    assert err.endswith("stopped cleanly\n")
    found = facts(shell, embedded_uri(shell), "later")
    assert found.finished == 0
    assert "RUNNING" not in found.runs.values()


@pytest.mark.faults
def test_a_confirmation_killed_is_gone_on_with_by_a_worker_that_comes_later(shell: Shell) -> None:
    long = TINY_STUDY.replace("epochs = 1", "epochs = 3").replace("trials = 4", "trials = 2")
    shell.write("tiny.toml", long.replace("seeds = 0", "seeds = 3"))
    process = shell.start("run", "tiny.toml", "--workers", "1")
    wait_for_line(process, r"trial \d with new seed \d complete")
    killed(process)
    before = facts(shell, embedded_uri(shell), "tiny/confirmation").finished
    assert before < 6
    worker = shell.hpo("worker", "--threads", "1", "--exit-when-done").done()
    told = re.findall(r"trial \d with new seed \d complete", worker.err)
    assert len(told) == 6 - before
    assert "champion of study tiny: models:/tiny@champion" in worker.err
    assert facts(shell, embedded_uri(shell), "tiny/confirmation").finished == 6
    found = facts(shell, embedded_uri(shell), "tiny")
    assert found.finished == 2
    assert "RUNNING" not in found.runs.values()


def long_study(shell: Shell, workers: int) -> tuple[str, ...]:
    """A command of six trials of about a second, long enough to be interrupted in."""
    long = TINY_STUDY.replace("epochs = 1", "epochs = 5\nearly_stopping = 0")
    shell.write("long.toml", long.replace("trials = 4", "trials = 6").replace('"tiny"', '"long"'))
    return ("run", "long.toml", "--workers", str(workers))


def wait_for_line(process: subprocess.Popen[str], pattern: str) -> None:
    """Read what the process says on standard error up to a line that begins like this."""
    assert process.stderr is not None
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if re.match(pattern, line):
                return
        raise AssertionError("".join(said))
    finally:
        watchdog.cancel()


def processes_of_group(group: int) -> list[int]:
    """Processes of a group that still live, zombies left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _parent, their_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(their_group) == group and state != "Z":
                found.append(int(stat.parent.name))
    return found


def test_a_script_needs_no_main_guard(shell: Shell) -> None:
    """Nor does standard input or a notebook, which `tests/api` runs: no worker runs what started it."""
    shell.write("tiny.toml", TINY_STUDY)
    script = shell.write(
        "script.py",
        "import sys\nimport hpo.run\n"
        "sys.argv = ['script.py', 'tiny.toml', '--trials', '2', '--workers', '2']\n"
        "sys.exit(hpo.run.main())\n",
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=shell.folder,
        env={**clean_environment(), **shell.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "a worker died" not in done.stderr
