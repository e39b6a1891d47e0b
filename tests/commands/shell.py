"""The commands as a person types them: a process in a folder, its exit code and what it said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# What a command must not import before it has looked at file, options and places.
HEAVY = ("torch", "transformers", "mlflow", "datasets", "sklearn")
_OURS = ("HPO_", "MLFLOW_", "HF_", "OPTUNA_")

# A study whose trials take a fraction of a second: the last layers, 64 texts, one epoch.
TINY_STUDY = """\
[study]
name = "tiny"
trials = 4

[data]
max_train_examples = 64

[search]
pruner = "none"

[search.space]
learning_rate = { low = 1e-4, high = 1e-2, log = true }
freeze_depth = { low = 3, high = 4 }

[training]
batch_size = 32
epochs = 1
evaluations_per_epoch = 2

[confirm]
seeds = 0
"""


@dataclass(frozen=True)
class Answer:
    """What came of a command. code: its exit code; seconds: how long it took."""

    code: int
    out: str
    err: str
    seconds: float

    def done(self) -> Answer:
        """The same, with exit code 0."""
        assert self.code == 0, f"exit code {self.code}\n{self.out}\n{self.err}"
        return self


@dataclass(frozen=True)
class Shell:
    """A folder and an environment to type commands in. Each command is a process of its own."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def hpo(
        self, command: str, *arguments: str, timeout: float = 240, **environment: str
    ) -> Answer:
        """`python -m hpo.<command> <arguments>`, to its end."""
        started = time.monotonic()
        process = self.start(command, *arguments, **environment)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"no end after {timeout} s\n{out}\n{err}") from None
        return Answer(process.returncode, out, err, time.monotonic() - started)

    def start(self, command: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """The same, begun."""
        return subprocess.Popen(
            [sys.executable, "-m", f"hpo.{command}" if command else "hpo", *arguments],
            cwd=self.folder,
            env={**clean_environment(), **self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def write(self, name: str, content: str | bytes | None) -> Path:
        """A file of the folder; None makes a folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
        return path

    def listing(self) -> set[str]:
        """Every file and folder in the folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}

    def contents(self) -> dict[str, bytes | None]:
        """The bytes of every file in the folder and, by its whole path, in the cache; None for a folder."""
        found = {name: self.folder / name for name in self.listing()}
        cache = self.environment.get("HPO_CACHE")
        if cache is not None:
            found |= {str(path): path for path in Path(cache).rglob("*")}
        return {name: path.read_bytes() if path.is_file() else None for name, path in found.items()}


def clean_environment() -> dict[str, str]:
    """The environment without anything that says where studies are kept."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    return {**kept, "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}


def refusing(folder: Path, modules: Sequence[str] = HEAVY) -> Path:
    """A folder for PYTHONPATH in which the modules are such that to import them is an error."""
    folder.mkdir(exist_ok=True)
    for name in modules:
        (folder / f"{name}.py").write_text(f"raise ImportError('{name} was imported')\n")
    return folder


def killed(process: subprocess.Popen[str]) -> None:
    """Kill a command with all its workers, as a machine that fails would; one that ended stays so."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
