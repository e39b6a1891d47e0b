"""`hpo COMMAND` and `python -m hpo COMMAND`: the same commands as `python -m hpo.COMMAND`."""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "run": "create or continue a study and work on it until its budget is met",
    "worker": "take trials of the studies in a storage",
    "submit": "register a study and its budget for workers elsewhere",
    "ui": "serve the MLflow UI and the Optuna dashboard",
    "doctor": "check storage, tracking server, device, hub, cache and disk",
}


def main() -> int:
    """Hand over to a command; without one, say which there are."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        sys.argv = [f"hpo {arguments[0]}", *arguments[1:]]
        return int(importlib.import_module(f"hpo.{arguments[0]}").main())
    if arguments and arguments[0] not in ("-h", "--help"):
        return _unknown(arguments[0])
    lines = ["usage: hpo COMMAND [OPTIONS]", "", "commands:"]
    lines += [f"  {name:8} {what}" for name, what in COMMANDS.items()]
    lines += ["", "`hpo COMMAND --help` tells a command's options."]
    print("\n".join(lines), file=sys.stdout if arguments else sys.stderr)
    return 0 if arguments else 2


def _unknown(command: str) -> int:
    from hpo.errors import OptionError, nearest_name
    from hpo.options import say

    near = nearest_name(command, COMMANDS)
    error = OptionError(
        "hpo",
        found=repr(command),
        expected="a command: " + ", ".join(COMMANDS),
        hint=f"Did you mean {near}?" if near else "`hpo --help` tells what each does.",
    )
    say(f"error: {error}")
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
