"""The only place that knows MLflow. Importing it does not import MLflow."""

from hpo.tracking.drain import DrainReport, drain_abandoned
from hpo.tracking.keys import registered_name, study_run_key, trial_run_key
from hpo.tracking.local_store import prepare_environment
from hpo.tracking.opening import DatasetInfo
from hpo.tracking.ping import ping
from hpo.tracking.tracker import StudyTracker
from hpo.tracking.trial_run import TrialRun, TrialState
from hpo.tracking.uri import TrackingServerAway, checked_uri

__all__ = [
    "DatasetInfo",
    "DrainReport",
    "StudyTracker",
    "TrackingServerAway",
    "TrialRun",
    "TrialState",
    "checked_uri",
    "drain_abandoned",
    "ping",
    "prepare_environment",
    "registered_name",
    "study_run_key",
    "trial_run_key",
]
