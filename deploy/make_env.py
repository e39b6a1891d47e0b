"""Writes fresh secrets for docker-compose.yml, a file each, and the `.env` that names their folder.

    python deploy/make_env.py [ENV]        .env, by default; the secrets lie in a folder beside it

Needs nothing but Python. Secrets that are there stay, for the databases know them; an `.env` of an earlier
release, which held them itself, hands them over.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

SECRETS = (
    "POSTGRES_PASSWORD",
    "HPO_DB_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "MLFLOW_ADMIN_PASSWORD",
    "MLFLOW_WORKER_PASSWORD",
    "MLFLOW_SECRET_KEY",
    "DASHBOARD_PASSWORD",
)
# Empty where the Hugging Face hub is asked for nothing that needs one.
TOKEN = "HF_TOKEN"
_PLACE = "HPO_SECRETS"


def main() -> int:
    """Write what is missing, and say how to log in."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    settings = dict(line.split("=", 1) for line in lines if "=" in line)
    folder = Path(settings.get(_PLACE) or path.parent / "secrets")
    if _PLACE in settings and all((folder / name.lower()).is_file() for name in SECRETS):
        sys.stderr.write(f"error: {folder}: its secrets exist already; they are kept.\n")
        return 2
    # Containers read their files under users of their own; here, others do not come through the folder.
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in SECRETS:
        # token_urlsafe: a password may stand in a URL, unescaped.
        keep(folder / name.lower(), settings.get(name) or secrets.token_urlsafe(24))
    keep(folder / TOKEN.lower(), settings.get(TOKEN, ""))
    moved = (*SECRETS, TOKEN, _PLACE)
    rest = [line for line in lines if line.partition("=")[0] not in moved]
    # An absolute place means the same to every version of compose.
    write(path, [*rest, f"{_PLACE}={folder.resolve()}"])
    sys.stdout.write(
        f"Wrote {path} and {folder}. Log in to MLflow as admin with the password in "
        f"{folder / 'mlflow_admin_password'}, to the dashboard as hpo with that in "
        f"{folder / 'dashboard_password'}.\n"
    )
    return 0


def keep(path: Path, secret: str) -> None:
    """Write a secret, unless one is there."""
    if not path.exists():
        path.write_text(secret)
        path.chmod(0o444)


def write(path: Path, lines: list[str]) -> None:
    """Write the `.env`, whole or not at all, for its owner alone."""
    partial = path.with_name(f"{path.name}.new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{line}\n" for line in lines)
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
