"""Starts a command with the secrets of docker-compose.yml in its environment: `python with_secrets.py COMMAND …`.

Compose hands secrets over as files, so that `docker inspect` shows their places alone. A variable NAME_FILE that
names a file in /run/secrets becomes NAME with what the file holds, in the command's own process and nowhere else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PLACE = Path("/run/secrets")
_SUFFIX = "_FILE"


def with_secrets(environment: Mapping[str, str], place: Path = PLACE) -> dict[str, str]:
    """The environment with the contents of its secret files; an empty file is no secret.

    Raises:
        OSError: A file cannot be read.
    """
    filled = dict(environment)
    for name, value in environment.items():
        if name.endswith(_SUFFIX) and Path(value).parent == place:
            del filled[name]
            secret = Path(value).read_text(encoding="utf-8").strip()
            if secret:
                filled[name.removesuffix(_SUFFIX)] = secret
    return filled


def main() -> int:
    """Become the command."""
    try:
        environment = with_secrets(os.environ)
    except OSError as error:
        hint = "Run python deploy/make_env.py where the compose file is."
        sys.stderr.write(f"error: {error.filename}: {error.strerror}; expected a secret. {hint}\n")
        return 2
    os.execvpe(sys.argv[1], sys.argv[1:], environment)
    raise AssertionError("execvpe does not return")


if __name__ == "__main__":
    sys.exit(main())
