"""Brings a database of docker-compose.yml to the versions of the image: `python upgrade.py mlflow|optuna`.

The commands of both projects take the database's URL, with its password, as an argument, which all users of a
machine can read. Here they find it in this process alone: MLFLOW_BACKEND_STORE_URI, or HPO_STORAGE.
"""

from __future__ import annotations

import os
import sys


def upgrade_mlflow() -> None:
    """`mlflow db upgrade`."""
    from mlflow.db import commands

    commands.main(["upgrade", os.environ["MLFLOW_BACKEND_STORE_URI"]], standalone_mode=False)


def upgrade_optuna() -> int:
    """`optuna storage upgrade`."""
    from optuna.cli import main as optuna

    sys.argv = ["optuna", "storage", "upgrade", "--storage", os.environ["HPO_STORAGE"]]
    return int(optuna() or 0)


def main() -> int:
    """The one that was asked for."""
    if sys.argv[1:] == ["mlflow"]:
        upgrade_mlflow()
        return 0
    if sys.argv[1:] == ["optuna"]:
        return upgrade_optuna()
    sys.stderr.write(f"error: {' '.join(sys.argv[1:]) or 'nothing'}: expected mlflow or optuna.\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
