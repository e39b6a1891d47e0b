"""Where a base model lies now that was in a folder which has been moved since, with all that is in it."""

from __future__ import annotations

from pathlib import Path


def base_place(noted: str, beside: Path) -> str:
    """A base model's name or folder, as it was noted with a trained model that lies in `beside` now.

    A folder that is gone is looked for by the last parts of its path, below the folders that `beside` is
    in and the working folder. Whether it is the same model is the caller's to check.
    """
    path = Path(noted)
    if not path.is_absolute() or path.is_dir():
        return noted
    parts = path.parts[1:]
    for above in (*beside.absolute().parents, Path.cwd()):
        for first in range(len(parts)):
            candidate = above.joinpath(*parts[first:])
            if (candidate / "config.json").is_file():
                return str(candidate)
    return noted
