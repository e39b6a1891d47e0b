#!/bin/sh
# Run by the postgres image on an empty volume: one database and one user for the studies, one for MLflow.
# Optuna and MLflow both keep a table alembic_version, so they must not share a database.
set -eu
: "${HPO_DB_PASSWORD_FILE:?}" "${MLFLOW_DB_PASSWORD_FILE:?}"
# The passwords are read from their files by psql itself: arguments can be seen by all users of a machine.
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set hpo_password `cat "$HPO_DB_PASSWORD_FILE"`
\set mlflow_password `cat "$MLFLOW_DB_PASSWORD_FILE"`
CREATE ROLE hpo LOGIN PASSWORD :'hpo_password';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
-- Whatever encoding the server has as a rule: texts and labels are Unicode.
CREATE DATABASE hpo OWNER hpo ENCODING 'UTF8' TEMPLATE template0;
CREATE DATABASE mlflow OWNER mlflow ENCODING 'UTF8' TEMPLATE template0;
REVOKE CONNECT ON DATABASE hpo, mlflow FROM PUBLIC;
SQL
