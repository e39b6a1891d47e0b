"""A line that moves on a terminal for as long as a command has said nothing: its libraries take seconds to load."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO, cast

_AFTER_SECONDS: Final = 0.5
_EVERY_SECONDS: Final = 0.2


def run_moving(main: Callable[[Namespace], int], options: Namespace) -> int:
    """Run a command's work so; one that has --quiet, quietly where that is given."""
    with moving_until_it_speaks(quiet=bool(getattr(options, "quiet", False))):
        return main(options)


@contextmanager
def moving_until_it_speaks(*, quiet: bool = False) -> Iterator[None]:
    """Something moves on standard error until anything is written to it or to the output.

    Args:
        quiet: Nothing does; nor where standard error is no terminal.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    output, error = sys.stdout, sys.stderr
    line = _Line(error)
    sys.stderr = cast(TextIO, _Listened(error, line))
    if output is not None and output.isatty():
        sys.stdout = cast(TextIO, _Listened(output, line))
    line.start()
    try:
        yield
    finally:
        line.end()
        sys.stdout, sys.stderr = output, error


class _Line(threading.Thread):
    """Draws itself again and again, and is gone once it is ended."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(name="hpo-moving", daemon=True)
        self._stream = stream
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._drawn = ""

    def run(self) -> None:
        began = time.monotonic()
        if self._ended.wait(_AFTER_SECONDS):
            return
        for mark in itertools.cycle("|/-\\"):
            self._draw(f"{mark} starting, {time.monotonic() - began:.0f} s")
            if self._ended.wait(_EVERY_SECONDS):
                return

    def end(self) -> None:
        """Take the line away, for good."""
        with self._lock:
            if not self._ended.is_set():
                self._ended.set()
                if self._drawn:
                    self._write("\r" + " " * len(self._drawn) + "\r")

    def _draw(self, text: str) -> None:
        with self._lock:
            if not self._ended.is_set():
                self._write("\r" + text)
                self._drawn = text

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # a terminal that is gone; whoever has something to say will find out
            self._ended.set()


class _Listened:
    """A stream that ends the line before anything else is written to it."""

    def __init__(self, stream: TextIO, line: _Line) -> None:
        self._stream = stream
        self._line = line

    def write(self, text: str) -> int:
        self._line.end()
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        self._line.end()
        self._stream.writelines(lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
