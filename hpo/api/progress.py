"""What a program's user sees of a run: one line that changes in its place in a notebook, lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from hpo.api.wording import in_python
from hpo.options import say
from hpo.printable import printable
from hpo.runtime.events import Event, TrialEnded, View, bare
from hpo.study_state import StudyState
from hpo.terminal import PlainView, SilentView

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpo.runtime.watching import Standing

_SECONDS_BETWEEN = 0.25


def kernel() -> Any | None:
    """The shell of the notebook in which this process runs code; None where it is no notebook's kernel."""
    # Where IPython is not imported this is no kernel, and it need not even be installed.
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell if hasattr(shell, "kernel") else None


def teller() -> Callable[[str], None]:
    """Where lines for people go: below the cell of a notebook, or to standard error."""
    tell = say if kernel() is None else _say_below
    return lambda text: tell(in_python(text))


def _say_below(text: str) -> None:
    sys.stdout.write(printable(text) + "\n")


def view_of(standing: Standing, *, quiet: bool) -> View:
    """The view that fits where the program runs."""
    state = StudyState(**vars(standing))
    if quiet:
        return SilentView()
    return PlainView(state, sys.stderr.write) if kernel() is None else NotebookView(state)


class NotebookView:
    """One line below the cell, changed in its place."""

    def __init__(self, state: StudyState) -> None:
        self._state = state
        self._shown: Any = None
        self._last = 0.0
        self._show()

    def on_event(self, event: Event) -> None:
        """Take note of an event, and show it, unless that was done a moment ago."""
        self._state.update(event)
        if isinstance(bare(event), TrialEnded) or time.monotonic() - self._last >= _SECONDS_BETWEEN:
            self._show()

    def close(self) -> None:
        """Leave the line as it is at the end."""
        self._show()

    def _show(self) -> None:
        from IPython.display import display

        self._last = time.monotonic()
        text = printable(self._state.line())
        if self._shown is None:
            self._shown = display({"text/plain": text}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._shown.update({"text/plain": text}, raw=True)
