"""The Optuna dashboard behind our check of each request.

It has no password: it listens on loopback, or belongs behind something that asks for one.
"""

from __future__ import annotations

import logging
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from hpo.errors import OptionError, ServerError, StorageError
from hpo.execution.dashboard_cards import with_cards
from hpo.execution.request_check import with_links, with_request_check
from hpo.redaction import redacted
from hpo.spec.locations import Locations, dashboard_url

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

logger = logging.getLogger(__name__)


def check_dashboard(locations: Locations) -> None:
    """Raise HpoError where the dashboard is not installed or has no studies to show. Fast; changes nothing."""
    check_installed()
    file = _sqlite_file(locations.storage_url)
    if file is not None and not file.exists():
        raise StorageError(
            redacted(locations.storage_url),
            found=f"no file {file}",
            expected="the storage of a study",
            hint="Run a study first (python -m hpo.run), or name its storage with --storage.",
        )


def check_installed() -> None:
    """Raise OptionError where the dashboard is not installed."""
    from importlib.util import find_spec

    if find_spec("optuna_dashboard") is None:
        raise OptionError(
            "the Optuna dashboard",
            found="no package optuna-dashboard",
            expected="the package",
            hint='Install it with pip install "hpo[dashboard]".',
        )


def dashboard_application(
    locations: Locations, links: tuple[str, str] | None = None
) -> WSGIApplication:
    """The dashboard of a storage, checked; it goes by the names of this machine and of HPO_DASHBOARD_URL.

    Args:
        locations: Of the storage and of the drawings.
        links: An address in its texts, and what to show instead.

    Raises:
        StorageError: The storage cannot be opened.
    """
    from optuna.artifacts import FileSystemArtifactStore
    from optuna_dashboard import wsgi

    from hpo.results.dashboard_drawings import artifact_folder
    from hpo.storage.storage import open_storage

    storage = open_storage(locations.storage_url, wait_seconds=60.0, for_viewing=True)
    application: WSGIApplication = wsgi(
        storage.optuna, artifact_store=FileSystemArtifactStore(artifact_folder(locations.state))
    )
    if links is not None and links[0] != links[1]:
        application = with_links(application, *links)
    return with_request_check(with_cards(application), dashboard_url())


def serve(application: WSGIApplication, host: str, port: int) -> None:
    """Answer requests, each on a thread of its own, for ever.

    Raises:
        ServerError: The port cannot be listened at.
    """
    try:
        server = _Server((host, port), _Handler)
    except OSError as error:
        raise ServerError(
            f"{host}:{port}",
            found=error.strerror or str(error),
            expected="an address to listen at",
            hint="Name another port.",
        ) from error
    server.set_app(application)
    server.serve_forever()


def _sqlite_file(url: str) -> Path | None:
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] != "sqlite" or not rest.startswith("/"):
        return None
    return Path(rest[1:].partition("?")[0])


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without asking the name service who we are, which takes seconds where there is none."""
        import socketserver

        socketserver.TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        logger.debug(format, *args)
