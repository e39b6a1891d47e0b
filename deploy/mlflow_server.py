"""Starts the MLflow server of docker-compose.yml, with its password check on.

Takes from the environment: MLFLOW_BACKEND_STORE_URI (PostgreSQL), MLFLOW_AUTH_ADMIN_USERNAME and
MLFLOW_AUTH_ADMIN_PASSWORD, MLFLOW_WORKER_PASSWORD for the user of workers, MLFLOW_FLASK_SERVER_SECRET_KEY;
HPO_MLFLOW_URL, where browsers find it, and MLFLOW_INTERNAL_HOST, the name:port by which workers call it. It
answers to no other name than these two and this machine's own. Arguments are handed on to `mlflow server`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

NEEDED = (
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_AUTH_ADMIN_USERNAME",
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_WORKER_PASSWORD",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "HPO_MLFLOW_URL",
)
# Where workers leave it little of the processor, a server process may answer late and is not to be killed for it.
_PATIENCE = "--uvicorn-opts=--timeout-worker-healthcheck=120"


def auth_config(database_uri: str) -> str:
    """What mlflow.server.auth reads: users live beside the runs, a checked password counts for a minute."""
    # configparser takes % for the start of a reference.
    return "\n".join(
        [
            "[mlflow]",
            "default_permission = READ",
            f"database_uri = {database_uri.replace('%', '%%')}",
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth",
            # Without a cache each request hashes the password anew, which takes most of its time.
            "auth_cache_ttl_seconds = 60",
            "",
        ]
    )


def reach(public_url: str, internal_host: str | None) -> list[str]:
    """The options that say under which names, and to pages of which origin, the server answers."""
    address = urlsplit(public_url)
    hosts = ["localhost:*", "127.0.0.1:*", address.netloc]
    if internal_host:
        hosts.append(internal_host)
    return [
        f"--allowed-hosts={','.join(hosts)}",
        f"--cors-allowed-origins={address.scheme}://{address.netloc}",
        "--x-frame-options=DENY",
    ]


def main() -> int:
    """Write the configuration to a private file and become `mlflow server`."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        sys.stderr.write(f"error: {', '.join(missing)}: found nothing; expected a value.\n")
        return 2
    from mlflow_worker import make_worker

    make_worker(os.environ["MLFLOW_BACKEND_STORE_URI"], os.environ.pop("MLFLOW_WORKER_PASSWORD"))
    os.umask(0o077)
    config = Path(tempfile.mkdtemp(prefix="mlflow-")) / "auth.ini"
    config.write_text(auth_config(os.environ["MLFLOW_BACKEND_STORE_URI"]))
    os.environ["MLFLOW_AUTH_CONFIG_PATH"] = str(config)
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    names = reach(os.environ["HPO_MLFLOW_URL"], os.environ.get("MLFLOW_INTERNAL_HOST"))
    command = ["mlflow", "server", "--app-name", "basic-auth", *names, _PATIENCE, *sys.argv[1:]]
    os.execvp(command[0], command)
    raise AssertionError("execvp does not return")


if __name__ == "__main__":
    sys.exit(main())
