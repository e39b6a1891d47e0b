"""The texts of loaded splits."""

from __future__ import annotations

from hpo.data.dataset import LabelledData


def texts_of(data: LabelledData) -> list[set[str]]:
    return [set(split.texts) for split in (data.train, data.validation, data.test)]
