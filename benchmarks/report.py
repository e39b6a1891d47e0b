"""How long the report of a large study takes, and how large it is.

`python -m benchmarks.report` writes a study of made-up trials with twelve searched options into a
SQLite file, makes its report with the command that people type, and says seconds and megabytes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hpo.storage.storage import open_storage
from tests.results.report.studies import add_study


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        storage = f"sqlite:///{folder}/optuna.db"
        with open_storage(storage) as opened:
            add_study(opened, "large", options.trials)
        page = Path(folder) / "report.html"
        command = [sys.executable, "-m", "hpo.report", "large", "--storage", storage]
        started = time.perf_counter()
        subprocess.run([*command, "--output", str(page)], check=True)
        seconds = time.perf_counter() - started
        print(f"{options.trials:,} trials: {seconds:.1f} s, {page.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
