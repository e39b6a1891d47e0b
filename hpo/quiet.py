"""What other libraries say to people while we work: no advice of theirs, and no secret of anybody's."""

from __future__ import annotations

import logging
import os
import warnings

from hpo.redaction import LogFormatter

_HIDDEN_WARNING = "SOCKS support in urllib3"


def quiet_libraries() -> None:
    """Keep the advice of other libraries from people, unless they have asked for it."""
    # Its advice on other people's checkpoints drowns ours.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # requests hides it, but not where another thread puts back its own filters at that moment.
    warnings.filterwarnings("ignore", message=_HIDDEN_WARNING)
    os.environ.setdefault("PYTHONWARNINGS", f"ignore:{_HIDDEN_WARNING}")  # for worker processes


def quiet_caller() -> None:
    """The same in a program that calls us, whose logging is its own."""
    quiet_libraries()
    # Of tqdm in a notebook without widgets, which nothing of ours needs.
    warnings.filterwarnings("ignore", message="IProgress not found")
    if logging.lastResort is not None:  # what prints, where logging is not set up
        logging.lastResort.setFormatter(LogFormatter("%(message)s"))
