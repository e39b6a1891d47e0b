"""Writes `.env` with fresh secrets for docker-compose.yml: `python deploy/make_env.py`.

Needs nothing but Python. Leaves an `.env` that is there alone, for the databases know its passwords.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

PASSWORDS = (
    "POSTGRES_PASSWORD",
    "HPO_DB_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "MLFLOW_ADMIN_PASSWORD",
    "MLFLOW_SECRET_KEY",
    "DASHBOARD_PASSWORD",
)


def main() -> int:
    """Write the file, readable by its owner alone, and say how to log in."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    # token_urlsafe: the passwords stand in URLs and in a file that docker compose reads, unescaped.
    lines = [f"{name}={secrets.token_urlsafe(24)}" for name in PASSWORDS]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.stderr.write(
            f"error: {path}: it exists already; it is kept. Remove it to have new secrets.\n"
        )
        return 2
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(lines) + "\n")
    sys.stdout.write(
        f"Wrote {path}. Log in to MLflow as admin with MLFLOW_ADMIN_PASSWORD, "
        "to the dashboard as hpo with DASHBOARD_PASSWORD.\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
