"""How busy the machine is while a trial runs, by MLflow's own monitors: CPU, memory and GPUs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.tracking.local_store import importing_mlflow

logger = logging.getLogger(__name__)

_SAMPLE_SECONDS = 2.0


class SystemMetrics:
    """Samples in a daemon thread, so that a value is one of the training and not of its evaluation."""

    def __init__(self) -> None:
        self._monitors: list[Any] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="hpo-system-metrics", daemon=True).start()

    def read(self) -> Mapping[str, float]:
        """The means since the last call, e.g. `system/cpu_utilization_percentage`; none at the very start."""
        with self._lock:
            _sample(self._monitors)
            means: dict[str, float] = {}
            for monitor in self._monitors:
                means |= monitor.aggregate_metrics()
                monitor.clear_metrics()
        # Under MLflow's own names, which its page of a run shows on a tab of their own.
        return {f"system/{name}": float(mean) for name, mean in means.items()}

    def close(self) -> None:
        self._closed.set()

    def _run(self) -> None:
        # Here, for it imports MLflow and asks the driver, which training need not wait for.
        monitors = None
        while monitors is None:
            monitors = _monitors()
            if monitors is None and self._closed.wait(_SAMPLE_SECONDS):
                return
        # The first sample of the CPU has nothing to compare with.
        _sample(monitors)
        for monitor in monitors:
            monitor.clear_metrics()
        with self._lock:
            self._monitors = monitors
        while not self._closed.wait(_SAMPLE_SECONDS):
            with self._lock:
                _sample(self._monitors)


def _monitors() -> list[Any] | None:
    """Those that work on this machine; None where MLflow cannot be imported right now."""
    try:
        with importing_mlflow():
            from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
            from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    except (ImportError, AttributeError) as error:
        # A thread that is not ours may be in the middle of importing the same modules.
        logger.debug("The monitors cannot be imported yet: %s", error)
        return None
    kinds: Sequence[Any] = (CPUMonitor, GPUMonitor)
    monitors = []
    for kind in kinds:
        try:
            monitors.append(kind())
        except (ImportError, RuntimeError) as error:  # there is no GPU, or no driver
            logger.debug("%s does not work here: %s", kind.__name__, error)
    return monitors


def _sample(monitors: Sequence[Any]) -> None:
    for monitor in monitors:
        try:
            monitor.collect_metrics()
        except Exception:
            # A driver or the system may fail in any way; a trial does not end for that.
            logger.debug("%s has no sample", type(monitor).__name__, exc_info=True)
