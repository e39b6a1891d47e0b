"""Checkpoints: all that a trial needs to go on as if it had never stopped, in one safetensors file.

A file is written whole or not at all, holds what is trained and nothing that is frozen, and is read
without unpickling. The part that is not tensors travels as JSON in the file's header.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hpo.atomic import remove_partial, whole_file
from hpo.digests import fast_digest
from hpo.documents import parse_json
from hpo.errors import ModelError
from hpo.formats import CHECKPOINT, check_format
from hpo.model.weights_file import write_weights
from hpo.spec.training import CheckpointPolicy

logger = logging.getLogger(__name__)

_LEAST_SECONDS_BETWEEN = 5.0
_MOST_SHARE_OF_TIME = 0.02
_BYTES_PER_SECOND = 500e6  # of a plain disk, until the first write tells


@dataclass(frozen=True)
class Checkpoint:
    """A point of a trial's training: weights, best weights and optimiser state; the rest as JSON."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class CheckpointFile:
    """The checkpoint of one trial, at one path, and when it is worth writing."""

    def __init__(self, path: Path, policy: CheckpointPolicy) -> None:
        self.path = path
        self.policy = policy
        self._write_seconds: float | None = None

    def is_due(self, seconds_since_last: float, size: int) -> bool:
        """Whether the time at risk outweighs the cost of writing a checkpoint of `size` bytes."""
        if self.policy != "auto":
            return self.policy == "always"
        cost = size / _BYTES_PER_SECOND if self._write_seconds is None else self._write_seconds
        return seconds_since_last >= max(_LEAST_SECONDS_BETWEEN, cost / _MOST_SHARE_OF_TIME)

    def write(self, checkpoint: Checkpoint, *, clock: Callable[[], float]) -> None:
        """Put a checkpoint on the disk in place of the last one, unless the policy is never to.

        Args:
            checkpoint: Tensors of any device, and facts that JSON can hold.
            clock: Tells the time in seconds, to learn what writing costs.

        Raises:
            OSError: It cannot be written; the last one is as it was.
        """
        if self.policy == "never":
            return
        started = clock()
        with whole_file(self.path, durable=True) as partial:
            tensors = {n: t.detach().cpu().contiguous() for n, t in checkpoint.tensors.items()}
            facts = json.dumps(checkpoint.facts)
            header = {"facts": facts, "digest": _digest(tensors, facts)}
            write_weights(partial, tensors, {**header, "format": str(CHECKPOINT.number)})
        self._write_seconds = clock() - started

    def read(self) -> Checkpoint | None:
        """The last whole checkpoint; None where there is none or, with a warning, where it cannot be read.

        One of an earlier version may have no digest, and is believed.
        """
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata() or {}
                check_format(CHECKPOINT, str(self.path), header.get("format"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if header.get("digest") in (None, _digest(tensors, header["facts"])):
                return Checkpoint(tensors, dict(parse_json(header["facts"])))
            damage = "other bytes than were written"
        except ModelError as newer:
            logger.warning("%s Its trial begins anew", newer)
            return None
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            damage = f"{type(error).__name__}: {error}"
        logger.warning("%s is damaged (%s); its trial begins anew", self.path, damage)
        return None

    def remove(self) -> None:
        """The trial is finished: nothing will go on from here, nor from what a killed one left."""
        self.path.unlink(missing_ok=True)
        remove_partial(self.path)


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    """Of tensors on the CPU by name, and of what travels with them."""
    parts: list[bytes | memoryview] = [facts.encode()]
    for name, tensor in sorted(tensors.items()):
        parts.append(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        parts.append(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return fast_digest(parts)
