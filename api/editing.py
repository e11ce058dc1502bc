"""From a merge patch to a job or a dataset that is called, labelled and noted otherwise."""

from __future__ import annotations

from typing import Any

from api.access import Caller
from api.deps import Server
from api.errors import BundledDatasetError, InvalidInputError
from api.plans import large_metadata
from api.schemas.changes import MOST_LABELS, DatasetChanges, JobChanges
from models.errors import Complaint
from store import datasets, jobs, projects, usage
from store.columns import json_text
from store.datasets import Dataset
from store.jobs import Described, Job
from store.session import Connection


def edit_job(server: Server, caller: Caller, job_id: str, changes: JobChanges) -> Job:
    """Commit what is to become different of a job, in whatever status it is."""

    def change(job: Job) -> Described:
        metadata = _merge_labels(changes, job.metadata)
        return Described(changes.name_or(job.name), metadata, changes.notes_or(job.notes))

    with caller.database.writing() as tx:
        job = jobs.edit(tx, job_id, change)
        _refuse_without_room(server, tx)
    return job


def edit_dataset(server: Server, caller: Caller, dataset_id: str, changes: DatasetChanges) -> Dataset:
    """Commit what is to become different of a dataset; 409 for a bundled one."""

    def change(dataset: Dataset) -> tuple[str, dict[str, Any], str | None]:
        if dataset.bundled:
            raise BundledDatasetError("a bundled dataset is everybody's, and stays as it is")
        metadata = _merge_labels(changes, dataset.metadata)
        return changes.name_or(dataset.name), metadata, changes.notes_or(dataset.user_notes)

    with caller.database.writing() as tx:
        dataset = datasets.edit(tx, dataset_id, change)
        _refuse_without_room(server, tx)
    return dataset


def _refuse_without_room(server: Server, tx: Connection) -> None:
    """Whoever takes away, or says as much as before, needs no room."""
    if usage.charged(tx, projects.current(tx)).stored_bytes > 0:
        server.quotas.make_room_for_bytes(tx)


def _merge_labels(changes: JobChanges | DatasetChanges, before: dict[str, Any]) -> dict[str, Any]:
    """The labels as they are to be, within the bounds of a spec's."""
    merged = changes.metadata_over(before)
    if json_text(merged) == json_text(before):
        return before  # They may be from before there were bounds.
    if len(merged) > MOST_LABELS:
        detail = f"there may be {MOST_LABELS} labels, and these would be {len(merged)}"
        raise InvalidInputError(
            errors=[Complaint("/metadata", detail, suggestion="take some away with null")]
        )
    if (complaint := large_metadata(merged)) is not None:
        raise InvalidInputError(errors=[complaint])
    return merged
