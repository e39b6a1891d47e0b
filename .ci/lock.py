"""Write down the exact versions and the hashes of everything that this project needs, as installed here.

    python .ci/lock.py LOCK EXTRA…        (make lock)

Followed are the requirements of pyproject.toml and of the extras named; what else is installed is left out.
`uv` adds what other platforms need beside them, and the SHA-256 of every file that the index has of each version,
so that the lock holds on all of them. What PyTorch's builds for CUDA alone need goes to torch-cuda.lock. Its builds
without CUDA lie in no such index: those that lie where PIP_FIND_LINKS says go to torch-cpu.lock, beside those of the
same version that it has. To take a newer version of something, install it into `.venv` first.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

# They come with a virtual environment.
LEFT_OUT = {"pip", "wheel"}
CUDA = re.compile(r"nvidia-(?!ml-py)|cuda-|triton\b")
CUDA_LOCK, CPU_LOCK = Path("torch-cuda.lock"), Path("torch-cpu.lock")
BUILD_LOCK = Path("deploy/build.lock")
# Versions of all platforms and Pythons, with hashes, and no address of an index or a file.
COMPILE = (
    *("uv", "pip", "compile", "-", "--universal", "--python-version", "3.11", "--no-config"),
    *("--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url", "--quiet"),
)


def main() -> int:
    """Write the lock and the two of PyTorch; exit code 1 where a requirement is not installed."""
    lock, extras = Path(sys.argv[1]), sys.argv[2:]
    document = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    project, build = document["project"], document["build-system"]["requires"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    versions, missing = closure([Requirement(line) for line in wanted])
    if missing:
        sys.stderr.write("not installed here: " + ", ".join(sorted(missing)) + "\n")
        return 1
    entries = resolved(wanted, versions)
    described = f"pyproject.toml with the extras {', '.join(extras)}"
    write(lock, described, {e: h for e, h in entries.items() if not CUDA.match(e)})
    of_cuda = {e: h for e, h in entries.items() if CUDA.match(e)}
    write(CUDA_LOCK, "what PyTorch's builds for CUDA need", of_cuda)
    cpu = f"torch=={versions['torch']}+cpu"
    write(CPU_LOCK, "PyTorch's builds without CUDA", {cpu: known(CPU_LOCK, cpu) | local(cpu)})
    write(BUILD_LOCK, "building the image's wheel", resolved(build, {}))
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


def resolved(wanted: list[str], versions: dict[str, str]) -> dict[str, set[str]]:
    """Hashes by `name==version`, with its marker if any, for every platform; versions: those of this one."""
    pins = [f"{name}=={version}" for name, version in versions.items() if name != "setuptools"]
    given = "\n".join([*wanted, *pins])
    told = subprocess.run(COMPILE, input=given, capture_output=True, text=True, check=True).stdout
    return dict(parsed(told))


def parsed(text: str) -> Iterator[tuple[str, set[str]]]:
    """The entries of a lock with their hashes."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for entry in "\n".join(lines).replace("\\\n", "").splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", entry)
        yield requirement.strip(), set(hashes)


def known(lock: Path, entry: str) -> set[str]:
    """The hashes that a lock has already for the same version: of builds that lie elsewhere."""
    if not lock.exists():
        return set()
    return dict(parsed(lock.read_text(encoding="utf-8"))).get(entry, set())


def local(entry: str) -> set[str]:
    """The hashes of a version's wheels that lie on this machine."""
    name, version = entry.split("==")
    folders = os.environ.get("PIP_FIND_LINKS", "").split()
    wheels = [wheel for each in folders for wheel in Path(each).glob(f"{name}-{version}-*.whl")]
    return {f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" for wheel in wheels}


def write(path: Path, described: str, entries: dict[str, set[str]]) -> None:
    """Sorted, so that a new version is a small difference."""
    lines = [f"# Exact versions and hashes for {described}: make lock"]
    for entry, hashes in sorted(entries.items(), key=lambda item: item[0].split("==")):
        lines.append(" \\\n".join([entry, *(f"    --hash={each}" for each in sorted(hashes))]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
