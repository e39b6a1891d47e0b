"""Experiment-tracking hyperparameter search for fine-tuning GPT-2 text classifiers."""

from typing import TYPE_CHECKING, Any

from hpo.version import __version__

if TYPE_CHECKING:
    from hpo.api.model import Model as Model
    from hpo.api.model import load_model as load_model
    from hpo.api.study import Study as Study
    from hpo.api.trials import StopStudy as StopStudy
    from hpo.api.trials import Trial as Trial
    from hpo.errors import HpoError as HpoError

# Imported on their first use, so that `import hpo` costs nothing.
_PLACES = {
    "HpoError": "hpo.errors",
    "Model": "hpo.api.model",
    "StopStudy": "hpo.api.trials",
    "Study": "hpo.api.study",
    "Trial": "hpo.api.trials",
    "load_model": "hpo.api.model",
}
__all__ = ["HpoError", "Model", "StopStudy", "Study", "Trial", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    """A name of the face, imported now."""
    if name not in _PLACES:
        raise AttributeError(f"module 'hpo' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The names of the face, those that were not used yet among them."""
    return sorted({*globals(), *_PLACES})
