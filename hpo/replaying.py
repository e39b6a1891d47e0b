"""`hpo.run --replay STUDY#N`: a trial trained once more from what is stored of it, and the verdict told."""

from __future__ import annotations

import argparse
import json
import sys
import threading

from hpo.errors import OptionError
from hpo.options import (
    DONE,
    FAILED,
    STUDY_OPTIONS,
    Interrupted,
    check_early,
    read_locations,
    say,
    stop_on_signals,
)
from hpo.printable import printable

# What says which study is run, and how: a trial that is replayed has it all.
_OF_A_STUDY = {
    "study": "STUDY",
    **{name: f"--{name.replace('_', '-')}" for name in STUDY_OPTIONS},
    "settings": "--set",
    "dry_run": "--dry-run",
    **{name: f"--{name}" for name in ("enqueue", "timeout", "ui", "workers")},
}


def replay_trial(options: argparse.Namespace) -> int:
    """Train the trial that `--replay` names, and say whether every number is the same.

    Raises:
        OptionError: An option that says how a study is run stands beside it.
        HpoError: There is no such trial, or it cannot be trained again from what is stored.
        Interrupted: Somebody stopped it.
    """
    from hpo.studies.finished_trials import named_trial

    for name, option in _OF_A_STUDY.items():
        if getattr(options, name) not in (None, [], False, "auto"):
            raise OptionError(
                "--replay",
                found=f"{option} beside it",
                expected="the trial alone, whose settings are stored",
                hint=f"Leave {option} out.",
            )
    locations, stop = read_locations(options), threading.Event()
    check_early(None, locations)
    name, number = named_trial(options.replay, locations.storage_url)
    stop_on_signals(stop.set)
    from hpo.execution.machine_resources import machine_resources
    from hpo.runtime.replay import replay
    from hpo.training.loop import TrialInterrupted

    machine_resources(1)[0].take()
    tell = (lambda _line: None) if options.quiet else say
    try:
        replayed = replay(name, number, locations, tell, should_stop=stop.is_set)
    except TrialInterrupted as stopped:
        raise Interrupted("Stopped; nothing was written.") from stopped
    if options.json:
        json.dump(replayed.as_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(printable(replayed.verdict) + "\n")
    return FAILED if replayed.different else DONE
