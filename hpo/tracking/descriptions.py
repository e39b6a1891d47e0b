"""Descriptions in MLflow: one of ours gives way to a later one, and a person's stays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from hpo.outbox.records import Operation, RunRef, SetTags, TagExperiment
from hpo.tracking.keys import NOTE_DIGEST_TAG, NOTE_TAG
from hpo.tracking.limits import MAX_EXPERIMENT_TAG_CHARACTERS, MAX_NOTE_CHARACTERS


def descriptions(study: RunRef, markdown: str) -> list[Operation]:
    """What describes a study where people look: on the page of its run and on that of its experiment."""
    whole = markdown[:MAX_NOTE_CHARACTERS]
    shorter = whole[:MAX_EXPERIMENT_TAG_CHARACTERS]
    return [SetTags(study, {NOTE_TAG: whole}), TagExperiment(study, {NOTE_TAG: shorter})]


def trial_description(run: RunRef, markdown: str) -> Operation:
    """What describes a trial on the page of its run, if MLflow has it."""
    return SetTags(run, {NOTE_TAG: markdown[:MAX_NOTE_CHARACTERS]}, only_if_there=True)


def sparing_edited(
    tags: Mapping[str, str], there: Mapping[str, str], *, unmarked_is_ours: bool = False
) -> dict[str, str]:
    """The tags to set, without the description where a person has written the one that is there.

    Args:
        tags: To be set, perhaps with a description.
        there: What is set already.
        unmarked_is_ours: Whether a description without a digest was written by an earlier release.
    """
    note, known = there.get(NOTE_TAG, ""), there.get(NOTE_DIGEST_TAG)
    if NOTE_TAG not in tags:
        return dict(tags)
    is_ours = unmarked_is_ours if known is None else known == _digest(note)
    if note and not is_ours:
        return {key: value for key, value in tags.items() if key != NOTE_TAG}
    return {**tags, NOTE_DIGEST_TAG: _digest(tags[NOTE_TAG])}


def _digest(note: str) -> str:
    return hashlib.sha256(note.encode()).hexdigest()[:16]
