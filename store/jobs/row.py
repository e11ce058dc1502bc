"""One job as the other rooms see it, and what may be asked of it in each state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal, cast

import sqlalchemy as sa

from store import tables

Status = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
Action = Literal["cancel", "finish", "pause"]

UNFINISHED: Final = ("queued", "running", "paused")
FINAL: Final = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Job:
    """A row of `jobs`, with what everyone wants to know of its dataset."""

    id: str
    project_id: str
    dataset_id: str
    dataset_name: str
    dataset_sha256: str
    study_id: str | None
    name: str | None
    status: Status
    stop_reason: str | None
    stop_detail: str | None
    requested_action: Action | None
    spec: dict[str, Any]
    equivalents: dict[str, Any] | None
    warnings: list[dict[str, Any]]
    metadata: dict[str, Any]
    notes: str | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    environment: dict[str, Any] | None
    request_id: str | None
    traceparent: str | None
    queue: str
    priority: int
    due_at: datetime
    fence: int
    attempt: int
    lost: int
    lost_together: int
    worker_id: str | None
    lease_expires_at: datetime | None
    last_event: int
    epoch: int
    """The last epoch recorded by the present attempt."""
    max_epochs: int
    epochs_per_second: float | None
    progress_at: datetime | None
    runtime_seconds: float
    created_at: datetime
    started_at: datetime | None
    """When its first attempt began."""
    finished_at: datetime | None

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def allowed_actions(self) -> list[str]:
        """What may be asked of it now and would change something."""
        return allowed_actions(self.status, self.requested_action, self.epoch)


def allowed_actions(status: str, requested: str | None, epoch: int) -> list[str]:
    """Actions that make sense in a state; those already asked for are left out.

    A cancel holds against everything, and a finish against all but a cancel; a pause may be taken back.
    """
    if status in FINAL:
        return ["delete"]
    if requested == "cancel":
        return []
    if requested == "finish":
        return ["cancel"]
    steer = "resume" if status == "paused" or requested == "pause" else "pause"
    # A job that waits has something to finish only once it has run.
    finish = ["finish"] if status == "running" or epoch > 0 else []
    return [steer, *finish, "cancel"]


_JOINED = ("dataset_name", "dataset_sha256")
_COLUMNS = [tables.jobs.c[field.name] for field in fields(Job) if field.name not in _JOINED]


def select_jobs() -> sa.Select[Any]:
    """SELECT of whole jobs. Every job has its dataset: the join is an outer one only to keep SQLite from
    starting at `datasets`."""
    dataset = tables.datasets
    joined = tables.jobs.outerjoin(dataset, dataset.c.id == tables.jobs.c.dataset_id)
    names = (dataset.c.name.label("dataset_name"), dataset.c.sha256.label("dataset_sha256"))
    return sa.select(*_COLUMNS, *names).select_from(joined)


def to_job(row: sa.Row[Any]) -> Job:
    """A row of `select_jobs` as a `Job`."""
    return Job(**cast("Mapping[str, Any]", row._mapping))
