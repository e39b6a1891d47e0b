"""Files that are none: what a path may lead to that is neither a file nor a folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path may have 107 bytes only
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _loop(path: Path) -> None:
    other = path.with_name(f"{path.name}-back")
    path.symlink_to(other)
    other.symlink_to(path)


SPECIAL_FILES: Final[Mapping[str, tuple[Callable[[Path], None], str]]] = {
    "a pipe": (os.mkfifo, "a pipe"),
    "a socket": (_socket, "a socket"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "a link to nothing": (lambda path: path.symlink_to("gone"), "a link to what is not there"),
    "links in a circle": (_loop, "a path that cannot be looked up ("),
}
"""What is there: how it is made, and how it is called."""
