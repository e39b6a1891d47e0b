"""The C library's memory, as a training step wants it."""

from __future__ import annotations

import ctypes
import logging
import sys
from functools import cache
from typing import Final

logger = logging.getLogger(__name__)

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_MOST: Final = 1 << 30


@cache
def keep_freed_memory() -> bool:
    """Have glibc keep freed memory for the next step instead of giving it back to the system.

    Otherwise each large tensor of each step is made of fresh pages, which the system must zero: at
    GPT-2's size 16,000 page faults a step. False, and nothing changed, with other C libraries.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        logger.debug("this C library has no mallopt")
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MOST) and mallopt(_M_TRIM_THRESHOLD, _MOST))
