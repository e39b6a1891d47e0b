"""A server as a process group on loopback, which ends with whoever started it, and the ports there are for one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from hpo.errors import ServerError

HOST: Final = "127.0.0.1"


class ServerProcess:
    """One server in a process group of its own, which also holds what it starts itself.

    Attributes:
        name: What people call it.
        probe: A URL that answers 200 once the server serves.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        probe: str,
        log: Path,
        environment: Mapping[str, str],
    ) -> None:
        """Start it and return at once.

        Args:
            name: As above.
            command: What to run, without a shell.
            probe: As above.
            log: A file for what it prints.
            environment: All of it; nothing is inherited.
        """
        self.name = name
        self.probe = probe
        self._log = log
        with log.open("wb") as out:
            self._process = _spawn(command, out, environment)

    def check(self) -> None:
        """Raise ServerError where the server has ended."""
        code = self._process.poll()
        if code is not None:
            raise self.fault(f"that it ended with exit code {code}")

    def fault(self, found: str) -> ServerError:
        """The error for a server that does not serve, with its last words."""
        words = self._log.read_text(errors="replace").strip().splitlines()
        last = words[-1].removeprefix("error: ") if words else "it said nothing"
        return ServerError(
            self.name,
            found=found,
            expected="a server that answers",
            hint=f"Its last words: {last}",
        )

    def answers(self) -> bool:
        """Whether it serves by now."""
        # No proxy: what the environment names for the world does not know this machine's loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.probe, timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def terminate(self) -> None:
        """Ask the whole group to end."""
        self._signal(signal.SIGTERM)

    def end(self, seconds: float) -> None:
        """Wait for the group's end, and kill what is left of it after that time."""
        deadline = time.monotonic() + seconds
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _alive(self) -> bool:
        self._process.poll()  # a child that ended stays in its group until it is waited for
        try:
            os.killpg(self._process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def is_free(port: int) -> bool:
    """Whether a server could be started at the port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as probe:
        # As the servers do: a port whose last owner has just gone is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def any_free_port() -> int:
    """A port of the loopback interface that nobody listens at."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _spawn(
    command: Sequence[str], out: IO[bytes], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in the terminal reaches this process alone, which ends them in
    # order. The pipe closes when this process ends, however that comes about, and they die with it.
    return subprocess.Popen(
        [sys.executable, "-m", "hpo.execution.die_with_parent", *command],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        start_new_session=True,
    )
