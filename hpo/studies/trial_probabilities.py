"""What complete trials answered on the validation texts, kept with them for ensembles of any worker's making."""

from __future__ import annotations

import hashlib
import io
import logging
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from optuna.trial import TrialState
from sqlalchemy import Connection, Row, select

from hpo.storage.optuna_tables import TRIALS
from hpo.storage.seals import Damaged
from hpo.storage.tables import HPO_PROBABILITIES, upsert
from hpo.studies.studies import OpenStudy

logger = logging.getLogger(__name__)

_HALF_A_DIGIT = 2**-11  # what fp16 rounds a probability by, at most


def keep_probabilities(
    connection: Connection, uid: str, trial_id: int, number: int, probabilities: NDArray[np.float32]
) -> None:
    """Keep the answers of a trial, in place of earlier ones, within a transaction of the caller's.

    Args:
        connection: Of that transaction.
        uid: The study's.
        trial_id: The trial's in the storage.
        number: The trial's in its study.
        probabilities: (validation texts, scores); kept as fp16 where that is about the same. A single
            score is a number, in a unit of which nobody knows how small it is, and kept as it is.
    """
    content = _packed(probabilities)
    row = {"trial_id": trial_id, "seal": _seal(uid, number, content), "content": content}
    upsert(connection, HPO_PROBABILITIES, row, ("trial_id",))


def kept_probabilities(study: OpenStudy) -> Mapping[int, NDArray[np.float32]]:
    """The answers of those complete trials of a study that have kept them, by number.

    What is damaged is told of and left out. Trials of releases before 0.3 have none.
    """
    query = (
        select(TRIALS.c.number, HPO_PROBABILITIES.c.seal, HPO_PROBABILITIES.c.content)
        .join(TRIALS, TRIALS.c.trial_id == HPO_PROBABILITIES.c.trial_id)
        .where(TRIALS.c.study_id == study.study_id, TRIALS.c.state == TrialState.COMPLETE)
        .order_by(TRIALS.c.number)
    )

    def read() -> list[Row[tuple[int, str, bytes]]]:
        with study.storage.read() as connection:
            return list(connection.execute(query))

    found = {}
    for row in study.storage.retry(read, "reading what trials answered"):
        try:
            found[row.number] = _unpacked(study.uid, row.number, row.seal, row.content)
        except Damaged as error:
            logger.warning("the kept probabilities of trial %d are damaged: %s", row.number, error)
    return found


def _packed(probabilities: NDArray[np.float32]) -> bytes:
    with np.errstate(over="ignore"):
        half = probabilities.astype(np.float16)
    close = np.abs(half.astype(np.float32) - probabilities) <= _HALF_A_DIGIT
    file = io.BytesIO()
    rounded = probabilities.shape[1] > 1 and close.all()
    np.save(file, half if rounded else probabilities, allow_pickle=False)
    return zlib.compress(file.getvalue())


def _unpacked(uid: str, number: int, seal: object, content: bytes) -> NDArray[np.float32]:
    """What `_packed` was given. Raises Damaged where it is another's, or no longer what was written."""
    if _seal(uid, number, content) != seal:
        raise Damaged("their digest is not the one that was sealed")
    array = np.load(io.BytesIO(zlib.decompress(content)), allow_pickle=False)
    probabilities: NDArray[np.float32] = array.astype(np.float32)
    return probabilities


def _seal(uid: str, number: int, content: object) -> str:
    if not isinstance(content, bytes):
        raise Damaged(f"{type(content).__name__} in place of bytes")
    return hashlib.sha256(f"{uid}:{number}:".encode() + content).hexdigest()
