from __future__ import annotations

import ast
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Thread

import pytest

from hpo.atomic import (
    discard_folder,
    put_in_place,
    remove_partial,
    whole_file,
    whole_folder,
    write_whole,
)

HPO = Path(__file__).resolve().parents[1] / "hpo"


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def write_file(path: Path, content: str) -> None:
    write_whole(path, content.encode(), durable=True)


def write_folder(path: Path, content: str) -> None:
    with whole_folder(path, durable=True, replace=True) as folder:
        for name in ("a", "b"):
            (folder / name).write_text(content)


def read_file(path: Path) -> str:
    return path.read_text()


def read_folder(path: Path) -> str:
    assert names_in(path) == {"a", "b"}
    [content] = {file.read_text() for file in path.iterdir()}
    return content


Write = Callable[[Path, str], None]
Read = Callable[[Path], str]
both = pytest.mark.parametrize(
    ("write", "read"),
    [
        pytest.param(write_file, read_file, id="file"),
        pytest.param(write_folder, read_folder, id="folder"),
    ],
)


@both
def test_the_last_writing_is_there_and_nothing_beside_it(
    tmp_path: Path, write: Write, read: Read
) -> None:
    place = tmp_path / "below" / "place"
    for content in ("first", "second"):
        write(place, content)
        assert read(place) == content
    assert names_in(place.parent) == {"place"}


@both
@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, write: Write, read: Read, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write(tmp_path / "place", "first")
    owner, name = {"fsync": (os, "fsync"), "rename": (Path, "replace")}[step]
    monkeypatch.setattr(owner, name, full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "place", "second")
    assert read(tmp_path / "place") == "first"
    assert names_in(tmp_path) == {"place"}


def test_an_error_of_the_writer_leaves_what_was_there(tmp_path: Path) -> None:
    write_file(tmp_path / "file", "first")
    write_folder(tmp_path / "folder", "first")
    with suppress(KeyboardInterrupt), whole_file(tmp_path / "file", durable=False) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    with (
        suppress(KeyboardInterrupt),
        whole_folder(tmp_path / "folder", durable=False, replace=True) as folder,
    ):
        (folder / "a").write_text("half")
        raise KeyboardInterrupt
    assert (read_file(tmp_path / "file"), read_folder(tmp_path / "folder")) == ("first", "first")
    assert names_in(tmp_path) == {"file", "folder"}


KILLED = """
import os, signal, sys
from pathlib import Path
from hpo.atomic import whole_file, whole_folder
place = Path(sys.argv[1])
with whole_file(place / "file", durable=True) as partial:
    partial.write_text("half")
    with whole_folder(place / "folder", durable=True, replace=True) as folder:
        (folder / "a").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_is_killed_leaves_what_was_there_and_what_can_be_cleared_away(
    tmp_path: Path,
) -> None:
    write_file(tmp_path / "file", "first")
    write_folder(tmp_path / "folder", "first")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (read_file(tmp_path / "file"), read_folder(tmp_path / "folder")) == ("first", "first")
    assert len(names_in(tmp_path)) == 4
    remove_partial(tmp_path / "file")
    assert len(names_in(tmp_path)) == 3
    remove_partial(tmp_path / "folder")
    assert names_in(tmp_path) == {"file", "folder"}


@both
def test_of_two_writers_at_once_one_is_there_whole(
    tmp_path: Path, write: Write, read: Read
) -> None:
    place, together = tmp_path / "place", Barrier(2)

    def again_and_again(content: str) -> None:
        for _ in range(50):
            together.wait()
            write(place, content)

    writers = [Thread(target=again_and_again, args=(name,)) for name in ("one", "two")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert read(place) in ("one", "two")
    assert names_in(tmp_path) == {"place"}


def test_where_the_first_of_two_folders_stays_the_second_is_dropped(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with whole_folder(place, durable=False, replace=False) as second:
        (second / "a").write_text("second")
        write_folder(place, "first")
    assert read_folder(place) == "first"
    assert names_in(tmp_path) == {"place"}


def test_only_what_is_durable_is_put_on_the_disk_bytes_before_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    rename = Path.replace

    def fsync(descriptor: int) -> None:
        steps.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)

    def replace(path: Path, target: Path) -> Path:
        steps.append("renamed")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_whole(tmp_path / "cache", b"", durable=False)
    assert steps == ["renamed"]
    steps.clear()
    write_whole(tmp_path / "file", b"", durable=True)
    assert steps == ["file", "renamed", tmp_path.name]
    steps.clear()
    write_folder(tmp_path / "folder", "")
    assert steps[0] == "folder"
    assert set(steps[1:3]) == {"a", "b"}
    assert steps[3:] == ["renamed", tmp_path.name]


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("a file")
    with pytest.raises(NotADirectoryError):
        write_folder(tmp_path / "place", "")
    (tmp_path / "partial").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        put_in_place(tmp_path / "partial", tmp_path / "folder", durable=False)


def test_a_folder_is_discarded_whether_it_is_there_or_not(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder", "")
    for _ in range(2):
        discard_folder(tmp_path / "folder")
        assert names_in(tmp_path) == set()


# Who renames or fsyncs outside hpo/atomic.py, by the function, and why.
ELSEWHERE = {
    "hpo.demo: save": "the demo's maker stands alone: it imports nothing of ours",
    "hpo.tracking: build": "moves a whole folder one level down, and goes on where it was killed",
    "hpo.outbox: replace": "moves a whole folder of the spool to the name that is waited for",
    "hpo.runtime: rename_folder": "moves a study's whole folder to its name of now, where it is found too",
    "hpo.outbox: set_aside": "moves a damaged ledger's files, as they are, out of the way",
}


def is_move_or_fsync(node: ast.AST) -> bool:
    """Whether it is a call of fsync, a rename, or a replace that is not a string's, date's or dataclass's."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    called, owner = node.func.attr, getattr(node.func.value, "id", None)
    if called in ("fsync", "fdatasync", "rename", "renames"):
        return True
    if (owner, called) == ("shutil", "move"):
        return False  # to another disk it copies: nobody takes it for whole-or-nothing
    return called == "replace" and (owner == "os" or (len(node.args) == 1 and not node.keywords))


def movers() -> Iterator[str]:
    for path in sorted({*HPO.rglob("*.py")} - {HPO / "atomic.py"}):
        package = ".".join(path.relative_to(HPO.parent).parent.parts)
        for function in ast.walk(ast.parse(path.read_bytes())):
            is_function = isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            if is_function and any(map(is_move_or_fsync, ast.walk(function))):
                yield f"{package}: {function.name}"


def test_nobody_else_renames_or_fsyncs() -> None:
    assert set(movers()) == ELSEWHERE.keys()
