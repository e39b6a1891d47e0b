"""Write down the exact versions of everything that this project needs, as installed here.

    python .ci/lock.py EXTRA… > requirements.lock        (make lock)

Followed are the requirements of pyproject.toml and of the extras named; what else is installed is
left out, and so are local version labels (`+cpu`), so that any build of a version will do. To take
a newer version of something, install it into `.venv` first.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

# They come with a virtual environment, or belong to it.
LEFT_OUT = {"pip", "setuptools", "wheel"}


def main() -> int:
    """Print the lock; exit code 1 where a requirement is not installed."""
    extras = sys.argv[1:]
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    versions, missing = closure([Requirement(line) for line in wanted])
    if missing:
        sys.stderr.write("not installed here: " + ", ".join(sorted(missing)) + "\n")
        return 1
    lines = [f"# Exact versions for pyproject.toml with the extras {', '.join(extras)}: make lock"]
    lines += [f"{name}=={version}" for name, version in sorted(versions.items())]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def closure(waiting: list[Requirement]) -> tuple[dict[str, str], set[str]]:
    """Versions of all that the requirements lead to on this platform, and what is not installed."""
    versions: dict[str, str] = {}
    missing: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        extras = frozenset(requirement.extras)
        if (name, extras) in seen or name in LEFT_OUT:
            continue
        seen.add((name, extras))
        try:
            found = distribution(name)
        except PackageNotFoundError:
            missing.add(str(requirement))
            continue
        versions[name] = found.version.partition("+")[0]
        for extra in ("", *extras):
            inner = map(Requirement, found.requires or [])
            waiting += [i for i in inner if not i.marker or i.marker.evaluate({"extra": extra})]
    return versions, missing


if __name__ == "__main__":
    sys.exit(main())
