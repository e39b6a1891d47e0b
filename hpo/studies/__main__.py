# PYTHON_ARGCOMPLETE_OK
"""`python -m hpo.studies`: the command, which stands in `hpo/studies_command.py` with the others."""

from __future__ import annotations

import sys

from hpo.studies_command import main

if __name__ == "__main__":
    sys.exit(main())
