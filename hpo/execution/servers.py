"""The MLflow UI and the Optuna dashboard as processes on loopback: started, waited for, ended together."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hpo.closing import Closing
from hpo.errors import HpoError, OptionError
from hpo.execution.dashboard import check_dashboard
from hpo.execution.server_process import HOST, ServerProcess, any_free_port, is_free
from hpo.spec.locations import Locations
from hpo.storage.storage import check_storage
from hpo.tracking.local_store import make_local_store
from hpo.tracking.ping import ping
from hpo.tracking.uri import (
    LOCAL_UI,
    TrackingServerAway,
    browser_url,
    checked_uri,
    database_file,
)
from hpo.waiting import Deadline

logger = logging.getLogger(__name__)

MLFLOW_PORT: Final = 5000
DASHBOARD_PORT: Final = 8080
_LONGEST_START_SECONDS: Final = 180.0
_LONGEST_STOP_SECONDS: Final = 8.0
_LOOK_SECONDS: Final = 0.2

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Links:
    """Where a person finds the two UIs."""

    mlflow: str
    dashboard: str


class Uis(Closing):
    """Both UIs of a storage and a tracking store. To be closed, or used in a `with`."""

    def __init__(
        self,
        locations: Locations,
        *,
        mlflow_port: int | None = None,
        dashboard_port: int | None = None,
    ) -> None:
        """Start both and return at once.

        Args:
            locations: Of the storage and of the tracking store.
            mlflow_port: Insisted on; None means the usual one, or a free one where that is taken.
            dashboard_port: Likewise.

        Raises:
            HpoError: One of them cannot be served.
        """
        check_storage(locations.storage_url)
        check_dashboard(locations)
        uri = checked_uri(locations.tracking_uri)
        with contextlib.suppress(TrackingServerAway):
            ping(uri)
        self._ports: set[int] = set()
        self._folder = tempfile.TemporaryDirectory(prefix="hpo-ui-")
        self._servers: list[ServerProcess] = []
        try:
            if uri.startswith("http"):
                _refuse_port_of_another_server(mlflow_port, browser_url(uri))
                mlflow = browser_url(uri)
            else:
                its_port = self._port(mlflow_port, MLFLOW_PORT, "--mlflow-port")
                mlflow = f"http://{HOST}:{its_port}"
            port = self._port(dashboard_port, DASHBOARD_PORT, "--dashboard-port")
            dashboard = f"http://{HOST}:{port}"
            if not uri.startswith("http"):
                # MLflow makes it in place; if that is cut short, nothing can be done with it.
                make_local_store(uri)
                self._start(
                    "MLflow",
                    _mlflow_command(its_port),
                    f"{mlflow}/health",
                    # Not as an argument, which all users of a machine can read.
                    {"MLFLOW_BACKEND_STORE_URI": uri},
                )
            links = (LOCAL_UI, mlflow) if not uri.startswith("http") else None
            self._start(
                "the Optuna dashboard",
                _dashboard_command(port, links),
                f"{dashboard}/api/meta",
                {
                    "HPO_STORAGE": locations.storage_url,
                    "HPO_STATE": str(locations.state.absolute()),
                },
            )
        except BaseException:
            self.close()
            raise
        self.links = Links(mlflow, dashboard)

    def wait(
        self, progress: Progress = lambda name: None, stopped: Callable[[], bool] = lambda: False
    ) -> bool:
        """Wait until both answer (True), or somebody asks to stop (False).

        Args:
            progress: Told the name of each that answers.
            stopped: Whether somebody asks to stop.

        Raises:
            ServerError: One has ended, or takes minutes.
        """
        deadline = Deadline(_LONGEST_START_SECONDS)
        waiting = list(self._servers)
        while waiting:
            if stopped():
                return False
            for server in list(waiting):
                server.check()
                if server.answers():
                    progress(server.name)
                    waiting.remove(server)
            if waiting and deadline.is_over:
                raise waiting[0].fault(f"no answer within {_LONGEST_START_SECONDS:.0f} s")
            time.sleep(_LOOK_SECONDS)
        return True

    def watch(self, stopped: Callable[[], bool]) -> None:
        """Return when somebody asks to stop.

        Raises:
            ServerError: One of the two has ended by itself.
        """
        while not stopped():
            for server in self._servers:
                server.check()
            time.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """End both with all their processes."""
        for server in self._servers:
            server.terminate()
        deadline = Deadline(_LONGEST_STOP_SECONDS)
        for server in self._servers:
            server.end(deadline.seconds_left)
        self._servers.clear()
        self._folder.cleanup()

    def _port(self, wanted: int | None, usual: int, option: str) -> int:
        """A port for one of the two. Raises OptionError where the one that was asked for is taken."""
        port = usual if wanted is None else wanted
        if port in self._ports or not is_free(port):
            if wanted is not None:
                raise OptionError(
                    f"{option} {wanted}",
                    found="a port that is taken",
                    expected="a free one",
                    hint="Name another, or leave the option out.",
                )
            port = any_free_port()
        self._ports.add(port)
        return port

    def _start(
        self, name: str, command: Sequence[str], probe: str, environment: Mapping[str, str]
    ) -> None:
        log = Path(self._folder.name) / f"{len(self._servers)}.log"
        self._servers.append(
            ServerProcess(name, command, probe, log, {**_environment(), **environment})
        )


@contextlib.contextmanager
def uis_meanwhile(locations: Locations, say: Progress) -> Iterator[None]:
    """Both UIs as long as the block runs. What goes wrong with them is said and stops nothing.

    Args:
        locations: Of the storage and of the tracking store.
        say: Told where they are, and what goes wrong with them.

    Raises:
        HpoError: They cannot be had at all; at once.
    """
    check_dashboard(locations)
    done = threading.Event()

    def serve() -> None:
        try:
            if not _wait_for_store(locations, done):
                return
            with Uis(locations) as uis:
                if uis.wait(stopped=done.is_set):
                    say(f"MLflow: {uis.links.mlflow}  Dashboard: {uis.links.dashboard}")
                    uis.watch(done.is_set)
        except HpoError as error:
            say(f"warning: the UIs are not up: {error}")

    thread = threading.Thread(target=serve, name="hpo-ui")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _wait_for_store(locations: Locations, done: threading.Event) -> bool:
    """Wait until MLflow's file is there, which the study makes: two who make it at once would clash."""
    file = database_file(checked_uri(locations.tracking_uri))
    while file is not None and not file.exists():
        if done.wait(_LOOK_SECONDS):
            return False
    return not done.is_set()


def _mlflow_command(port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", HOST, "--port", str(port), "--workers", "1"),
        # By default it also answers to whatever begins like a private address, 10.evil.example too.
        *("--allowed-hosts", f"{HOST}:{port},localhost:{port}", "--x-frame-options", "DENY"),
    ]


def _dashboard_command(port: int, links: tuple[str, str] | None) -> list[str]:
    more = ["--links", *links] if links else []
    return [
        *(sys.executable, "-m", "hpo.ui", "--only", "dashboard"),
        *("--host", HOST, "--dashboard-port", str(port), *more),
    ]


def _environment() -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        # What is meant for clients, or for another server, must not lead this one astray.
        if not name.startswith(("MLFLOW_TRACKING_", "MLFLOW_BACKEND_", "_MLFLOW_"))
    }
    return {
        **inherited,
        # Its job runner takes 0.7 GB and serves generative models only.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _refuse_port_of_another_server(port: int | None, address: str) -> None:
    """Raise OptionError where a port is named for an MLflow that somebody else serves."""
    if port is not None:
        raise OptionError(
            f"--mlflow-port {port}",
            found=f"a tracking server at {address}, which serves its own pages",
            expected="no port",
            hint="Leave the option out.",
        )
