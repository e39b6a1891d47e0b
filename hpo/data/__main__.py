# PYTHON_ARGCOMPLETE_OK
"""`python -m hpo.data`: the command, which stands in `hpo/data_command.py` with the others."""

from __future__ import annotations

import sys

from hpo.data_command import main

if __name__ == "__main__":
    sys.exit(main())
