"""The user of MLflow that workers and `submit` are: no administrator, and manager of what they make alone."""

from __future__ import annotations

import sqlalchemy
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient

WORKER = "worker"
# As those releases named it, which this is about; later ones hide it behind `mlflow.`.
_MARK = "tags.`hpo.run_key` != ''"


def make_worker(database: str, password: str) -> None:
    """Make the user before the server starts, or give it its password anew.

    Everybody may read; what a user creates, that user manages. Studies of a release whose workers were the
    administrator are handed to the new user once, when it is made.

    Args:
        database: URL of MLflow's own.
        password: Of the user from now on.
    """
    users = SqlAlchemyStore()
    users.init_db(database)
    if users.has_user(WORKER):
        if not users.authenticate_user(WORKER, password):
            users.update_user(WORKER, password=password)
        return
    users.create_user(WORKER, password, is_admin=False)
    if sqlalchemy.inspect(users.engine).has_table("experiments"):
        _hand_over(users, MlflowClient(database, database))


def _hand_over(users: SqlAlchemyStore, client: MlflowClient) -> None:
    """Let the worker manage the experiments of studies, and the models that were made with them."""
    studies = set()
    for experiment in client.search_experiments():
        if client.search_runs([experiment.experiment_id], _MARK, max_results=1):
            users.create_experiment_permission(experiment.experiment_id, WORKER, "MANAGE")
            studies.add(experiment.name)
    for model in client.search_registered_models():
        if model.name in studies or any(tag.startswith("hpo.") for tag in model.tags):
            users.create_registered_model_permission(model.name, WORKER, "MANAGE")
