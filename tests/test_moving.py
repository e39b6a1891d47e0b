"""On a terminal something moves while a command loads, and is gone before it speaks; elsewhere nothing does."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

SLOW = """
import sys, time
from hpo.moving import moving_until_it_speaks
with moving_until_it_speaks(quiet={quiet}):
    time.sleep(1.2)
    print("done")
"""


def shown(*, quiet: bool) -> str:
    """What stands on a terminal after a command that loads for a second."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SLOW.format(quiet=quiet)]
    ended = subprocess.run(command, stdout=theirs, stderr=theirs, timeout=60)
    assert ended.returncode == 0
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        text += part
    os.close(ours)
    return text.decode()


def test_a_line_moves_until_there_is_something_to_say() -> None:
    text = shown(quiet=False)
    assert "| starting, " in text
    assert "/ starting, " in text
    assert text.endswith("\r" + " " * len("| starting, 1 s") + "\rdone\r\n")


def test_nothing_moves_where_that_is_asked_for() -> None:
    assert shown(quiet=True) == "done\r\n"
