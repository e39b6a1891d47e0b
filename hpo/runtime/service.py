"""A worker that serves a whole storage: the most urgent study first, another when that has nothing to give."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from hpo.closing import Closing
from hpo.errors import (
    DataError,
    ModelError,
    StorageError,
    StudyFailedError,
    StudyFileError,
    StudyGoneError,
    TrackingError,
)
from hpo.runtime.announcement import announce_champion
from hpo.runtime.course import StudyCourse, is_unconfirmed
from hpo.runtime.events import Listener
from hpo.runtime.finish import finish_study, tidy
from hpo.runtime.preparation import Prepared
from hpo.runtime.session import Session, open_session
from hpo.spec.locations import Locations
from hpo.storage.storage import Storage
from hpo.studies.progress import StudyProgress, studies_with_work
from hpo.tracking.registry import Registered

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
# To join a study costs loading its model: one whose last trials are with others is looked at this often.
_LOOK_AT_OTHERS_SECONDS = 60.0


class Service(Closing):
    """A worker's part in all studies of a storage, one of them open at a time."""

    def __init__(
        self,
        storage: Storage,
        locations: Locations,
        *,
        study: str | None,
        on_event: Listener,
        on_study: Callable[[str], None],
        stop: threading.Event,
        on_champion: Callable[[str, Registered], None] = lambda study, seen: None,
    ) -> None:
        """Serve nothing yet: `run` does.

        Args:
            storage: Whose studies are served.
            locations: Where data, models and MLflow are for this process.
            study: Serve only this one, which may be submitted later.
            on_event: Told of the work on each trial.
            on_study: Told the name of each study that is joined.
            stop: Set by whoever wants the work to end.
            on_champion: Told of a finished study's champion as MLflow has it.
        """
        self._storage = storage
        self._locations = locations
        self._only = study
        self._on_event = on_event
        self._on_study = on_study
        self._on_champion = on_champion
        self._stop = stop
        self._held = ExitStack()
        self._current: Session | None = None
        self._course: StudyCourse | None = None
        self._passed_over: dict[str, float] = {}

    def run(self, *, exit_when_done: bool) -> None:
        """Take trials until `stop` is set, or, with exit_when_done, until every budget is met.

        A study that cannot be worked on here is passed over, unless it is the only one asked for: then its
        error is raised. One that is deleted meanwhile is left.

        Raises:
            StorageError: The database stays away.
        """
        while not self._stop.is_set():
            open_ones = studies_with_work(self._storage, self._only)
            if self._is_over(open_ones):
                if not self._is_to_be_confirmed():
                    self._finish_current()
                continue
            if any(self._take_trial(each) for each in open_ones):
                continue
            if exit_when_done and not open_ones:
                return
            self._stop.wait(_LOOK_SECONDS)

    def close(self) -> None:
        """Leave the study that is open."""
        self._leave()

    def _take_trial(self, study: StudyProgress) -> bool:
        """Work on one trial of the study. Whether there was one."""
        try:
            course = self._join(study)
            return course is not None and course.next_trial() is None
        except StudyGoneError as gone:
            logger.warning("study %s is left: %s", study.name, gone)
            self._leave()
            return False
        except (DataError, ModelError, StudyFileError, StudyFailedError) as error:
            if self._only is not None:
                raise
            logger.error("study %s is passed over: %s", study.name, error)
            self._passed_over[study.name] = time.monotonic()
            self._leave()
            return False

    def _join(self, study: StudyProgress) -> StudyCourse | None:
        """This worker's part in the study; None where it is not worth joining now."""
        if self._current is not None and self._current.study.name == study.name:
            return self._course
        looked = self._passed_over.get(study.name)
        if looked is not None and time.monotonic() - looked < _LOOK_AT_OTHERS_SECONDS:
            return None
        if study.is_given_out:
            self._passed_over[study.name] = time.monotonic()
        self._leave()
        self._on_study(study.name)
        self._current = self._held.enter_context(
            open_session(
                self._storage,
                study.name,
                self._locations,
                on_event=self._on_event,
                should_stop=self._stop.is_set,
            )
        )
        self._course = self._held.enter_context(StudyCourse(self._current))
        _log_data(self._current.prepared)
        return self._course

    def _is_over(self, open_ones: Sequence[StudyProgress]) -> bool:
        """Whether the study at hand has no more trials to give."""
        current = self._current
        return current is not None and current.study.name not in {each.name for each in open_ones}

    def _is_to_be_confirmed(self) -> bool:
        """Whether the study at hand has trials to give once more: those that confirm its best."""
        assert self._current is not None
        try:
            return is_unconfirmed(self._current.study)
        except StudyGoneError:
            return False

    def _finish_current(self) -> None:
        """The study's budgets are met: it gets its champion from whoever comes first."""
        session = self._current
        assert session is not None
        try:
            champion = finish_study(session)
            if champion is not None:
                self._on_champion(session.study.name, announce_champion(session, champion))
            self._leave()
            tidy(session)
        except StudyGoneError as gone:
            logger.warning("study %s is left: %s", session.study.name, gone)
        except (ModelError, StorageError, TrackingError) as error:
            # Its trials are all there; `hpo.run` with the same study promotes the best where the weights are.
            logger.error("study %s has no champion yet: %s", session.study.name, error)
        finally:
            self._leave()

    def _leave(self) -> None:
        self._current = self._course = None
        self._held.close()


def _log_data(prepared: Prepared) -> None:
    """What was read of the data, and what looks wrong with them."""
    logger.info("%s", prepared.reading.in_words())
    for warning in prepared.warnings:
        logger.warning("%s", warning)
