from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hpo.model.weights_file import write_weights
from hpo.training.checkpoint import Checkpoint, CheckpointFile

SOME = Checkpoint({"weights/a": torch.arange(6.0).view(2, 3), "step": torch.tensor(3)}, {"x": [1]})


def write(path: Path, checkpoint: Checkpoint = SOME) -> CheckpointFile:
    file = CheckpointFile(path, "auto")
    file.write(checkpoint, clock=time.monotonic)
    return file


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    found = write(tmp_path / "below" / "trial.safetensors").read()
    assert found is not None
    assert found.facts == {"x": [1]}
    assert torch.equal(found.tensors["weights/a"], SOME.tensors["weights/a"])
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["trial.safetensors"]


def test_there_is_none_before_the_first_and_after_removal(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    assert file.read() is None
    file.remove()
    write(file.path)
    file.remove()
    assert file.read() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 20, 60, -1])
def test_a_truncated_file_counts_as_none(tmp_path: Path, keep: int) -> None:
    file = write(tmp_path / "trial.safetensors")
    content = file.path.read_bytes()
    file.path.write_bytes(content[:keep])
    assert file.read() is None


def test_any_flipped_byte_counts_as_none_and_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path / "trial.safetensors")
    whole = file.path.read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x04
        file.path.write_bytes(damaged)
        caplog.clear()
        found = file.read()
        if found is None:
            assert [record.levelname for record in caplog.records] == ["WARNING"]
        else:  # a space of the header's padding
            assert found.facts == SOME.facts
            assert all(torch.equal(found.tensors[name], t) for name, t in SOME.tensors.items())


@pytest.mark.parametrize("content", [b"garbage" * 100, b"\xff" * 64])
def test_garbage_counts_as_none(tmp_path: Path, content: bytes) -> None:
    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    file.path.write_bytes(content)
    assert file.read() is None


def test_a_safetensors_file_of_another_kind_counts_as_none(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    save_file({"a": torch.ones(2)}, file.path)
    assert file.read() is None


def test_a_checkpoint_of_an_earlier_version_has_no_digest_and_is_gone_on_with(
    tmp_path: Path,
) -> None:
    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    write_weights(file.path, SOME.tensors, {"facts": '{"x": [1]}'})
    found = file.read()
    assert found is not None
    assert found.facts == SOME.facts


def test_a_write_that_fails_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "trial.safetensors")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        file.write(Checkpoint({"weights/a": torch.zeros(2)}, {}), clock=time.monotonic)
    found = file.read()
    assert found is not None
    assert found.facts == {"x": [1]}
    assert [path.name for path in tmp_path.iterdir()] == ["trial.safetensors"]


WRITER = """
import sys, time, torch
from pathlib import Path
from hpo.training.checkpoint import Checkpoint, CheckpointFile
file = CheckpointFile(Path(sys.argv[1]), "always")
for step in range(100_000):
    tensors = {"a": torch.full((300_000,), float(step)), "b": torch.full((10,), float(step))}
    file.write(Checkpoint(tensors, {"step": step}), clock=time.monotonic)
    print(step, flush=True)
"""


@pytest.mark.faults
@pytest.mark.slow
def test_killed_at_any_instant_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "trial.safetensors"
    for milliseconds in (1, 3, 7, 20):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            told = int(writer.stdout.readline())
            time.sleep(milliseconds / 1000)
            writer.send_signal(signal.SIGKILL)
            lines = writer.stdout.read().split()
            told = int(lines[-1]) if lines else told
        found = CheckpointFile(path, "always").read()
        assert found is not None
        assert found.facts["step"] in (told, told + 1)
        assert set(found.tensors["a"].tolist()) == {float(found.facts["step"])}
        assert set(found.tensors["b"].tolist()) == {float(found.facts["step"])}
    # What a killed writer left half-written goes with the checkpoint.
    CheckpointFile(path, "always").remove()
    assert list(tmp_path.iterdir()) == []


def test_it_is_due_when_the_time_at_risk_outweighs_its_cost(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "trial.safetensors", "auto")
    assert not file.is_due(1, size=1000)
    assert file.is_due(6, size=1000)
    assert not file.is_due(60, size=10**9)  # at GPT-2's size the first write, too, takes seconds
    assert file.is_due(101, size=10**9)
    clock = itertools.count(0, 2).__next__
    file.write(SOME, clock=lambda: float(clock()))  # takes two seconds by this clock
    assert not file.is_due(60, size=1000)
    assert file.is_due(101, size=1000)


def test_always_and_never_mean_what_they_say(tmp_path: Path) -> None:
    assert CheckpointFile(tmp_path / "a", "always").is_due(0, size=1000)
    never = CheckpointFile(tmp_path / "b", "never")
    assert not never.is_due(1e9, size=1000)
    never.write(SOME, clock=time.monotonic)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_space_is_told_as_such_and_leaves_the_last_one_whole(
    tmp_path: Path,
) -> None:
    """A limit on the size of files stands for the full disk; safetensors reports both alike."""
    file = write(tmp_path / "trial.safetensors")
    code = f"""
import resource, signal, sys, time, torch
from pathlib import Path
from hpo.training.checkpoint import Checkpoint, CheckpointFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
large = Checkpoint({{"weights/a": torch.zeros(1_000_000)}}, {{}})
try:
    CheckpointFile(Path({str(file.path)!r}), "always").write(large, clock=time.monotonic)
except OSError as error:
    print(error.errno, error.filename)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split()[0] == str(errno.EFBIG), told.stderr
    assert file.read() is not None
    assert [path.name for path in tmp_path.iterdir()] == ["trial.safetensors"]
