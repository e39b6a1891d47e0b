"""What tests of several rooms have in common: real storages, SQLite files and a PostgreSQL server."""

pytest_plugins = ["tests.storages"]
