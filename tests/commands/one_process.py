"""`python -m tests.commands.one_process`: many commands in one process, so that a table of them stays quick.

Reads a command a line and writes an answer a line, as JSON: `folder`, `command`, `arguments` and
`environment` come in; `code`, `out`, `err` and `seconds` go out.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from types import FrameType

from hpo.spec.registries import COMMANDS

LONGEST_SECONDS = 30


def main() -> None:
    """Answer until the lines end."""
    signal.signal(signal.SIGALRM, _too_long)
    inherited = dict(os.environ)
    answers = sys.stdout
    for line in sys.stdin:
        asked = json.loads(line)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(inherited | asked["environment"])
        print(json.dumps(_answer(asked["command"], asked["arguments"])), file=answers, flush=True)


def _answer(command: str, arguments: Sequence[str]) -> Mapping[str, object]:
    sys.argv = [f"hpo.{command}", *arguments]
    out, err = io.StringIO(), io.StringIO()
    started = time.monotonic()
    signal.alarm(LONGEST_SECONDS)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = COMMANDS[command]()
    finally:
        signal.alarm(0)
    seconds = time.monotonic() - started
    return {"code": code, "out": out.getvalue(), "err": err.getvalue(), "seconds": seconds}


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"no end after {LONGEST_SECONDS} s: {sys.argv}")


if __name__ == "__main__":
    main()
