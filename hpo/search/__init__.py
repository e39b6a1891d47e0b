"""Which point comes next, and when a trial is given up: a history in, a point or a verdict out, no database."""
