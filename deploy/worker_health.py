"""Exit code 0 where the container's worker runs and its database can be reached.

A worker that is stopped (SIGSTOP), undead or gone is not healthy, nor is one without a database.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit


def worker_state(processes: Path = Path("/proc")) -> str | None:
    """The state letter of the first process that runs `hpo.worker`, as in proc(5); None without one."""
    for process in sorted(processes.glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            stat = (process / "stat").read_text()
        except OSError:  # it ended meanwhile
            continue
        if b"hpo.worker" in words and b"python" in words[0]:
            return stat.rpartition(")")[2].split()[0]
    return None


def main() -> int:
    """Say what is wrong, if anything."""
    state = worker_state()
    if state is None or state in "TtZXx":
        sys.stderr.write(f"the worker is {'gone' if state is None else 'in state ' + state}\n")
        return 1
    address = urlsplit(os.environ.get("HPO_STORAGE", ""))
    if address.hostname:
        socket.create_connection((address.hostname, address.port or 5432), timeout=8).close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
