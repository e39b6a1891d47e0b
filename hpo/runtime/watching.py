"""Who looks at a run of a study, and may end it: the terminal, or a program that called it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpo.runtime.events import View

if TYPE_CHECKING:
    from hpo.runtime.preparation import Prepared


class Stop:
    """A request to stop, and whether a person or the clock made it."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.out_of_time = False

    def ask(self) -> None:
        """Stop, for somebody wants it."""
        self._asked.set()

    def say_time_is_up(self) -> None:
        """Stop, for the time is up, unless somebody wanted it before."""
        self.out_of_time = not self._asked.is_set()
        self._asked.set()

    def is_set(self) -> bool:
        """Whether work is to end."""
        return self._asked.is_set()


@dataclass(frozen=True)
class Standing:
    """How far a study is when a run of it begins."""

    wanted: int
    finished: int
    best: float | None
    maximize: bool


@dataclass(frozen=True)
class Watch:
    """Who looks at a run.

    Attributes:
        view: Made once it is known how far the study is; hears of its trials.
        stop: Looked at after each step.
        say: Is told what people must know, in lines for them.
        tell_download: Is told of downloads likewise.
        tell_data: Is told of the data once they are read, before anything is written.
        beside: Entered while trials are trained.
    """

    view: Callable[[Standing], View]
    stop: Stop
    say: Callable[[str], None]
    tell_download: Callable[[str], None]
    tell_data: Callable[[Prepared], None]
    beside: AbstractContextManager[None] = field(default_factory=nullcontext)
