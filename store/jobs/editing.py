"""What people may change of a job in any status: its name, its metadata, their notes.

The spec stays what was submitted; what is shown, searched and sorted by is the job's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from store import row_sizes, usage
from store.columns import json_text
from store.jobs import labels
from store.jobs.actions import held
from store.jobs.row import Job
from store.session import Connection
from store.tables import jobs


@dataclass(frozen=True, slots=True)
class Described:
    """What people say of a job."""

    name: str | None
    metadata: Mapping[str, Any]
    notes: str | None


def edit(tx: Connection, job_id: str, change: Callable[[Job], Described]) -> Job:
    """Say something else of a job; `change` is told how it stands, which nobody else changes meanwhile."""
    job = held(tx, job_id)
    wanted = change(job)
    edited = replace(job, name=wanted.name, metadata=dict(wanted.metadata), notes=wanted.notes)
    relabelled = json_text(edited.metadata) != json_text(job.metadata)
    if (edited.name, edited.notes) == (job.name, job.notes) and not relabelled:
        return job
    more = _bytes_of(edited) - _bytes_of(job)
    values = {"name": edited.name, "metadata": edited.metadata, "notes": edited.notes}
    tx.execute(jobs.update().where(jobs.c.id == job.id).values(**values, row_bytes=jobs.c.row_bytes + more))
    usage.charge(tx, job.project_id, stored_bytes=more)
    if relabelled:
        labels.rewrite(tx, edited)
    return edited


def _bytes_of(job: Job) -> int:
    documents = row_sizes.of_documents([job.metadata])
    return documents + row_sizes.LABEL * len(job.metadata) + row_sizes.of_text(job.notes)
