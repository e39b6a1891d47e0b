"""What tests of several rooms have in common: real storages, SQLite files and a PostgreSQL server."""

from hypothesis import settings

pytest_plugins = ["tests.storages"]

# A busy machine must not fail a test: speed is for benchmarks.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
