"""Runs a command that ends, with all it started, when whoever started this process is gone.

`python -m hpo.execution.die_with_parent COMMAND…`, in a process group of its own, with a pipe as standard input that
the starter holds open. That it closes means that the starter has ended, be it by kill -9.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

_PATIENCE_SECONDS = 8.0


def main() -> int:
    """Start the command and wait for it; returns its exit code."""
    # The whole group is told to end at once; this process ends when the command has.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_starter, daemon=True).start()
    return command.wait()


def _end_with_starter() -> None:
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(_PATIENCE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
