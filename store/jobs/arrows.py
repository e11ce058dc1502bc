"""The state machine: each arrow is one function and one conditional UPDATE. Nothing else writes `status`.

    add → queued            cancel_waiting: queued, paused → cancelled
    claim: queued → running
    succeed: running → succeeded      fail: running → failed      cancelled: running → cancelled
    release: running → queued, by the worker that has it
    lose: running → queued, give_up: running → failed, bury: running → cancelled, for a worker that went quiet

An arrow that finds no row to change answers None or False: someone else was faster, or the fence is stale,
and then nothing at all is written. Every arrow that changes something says so in the job's log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from store import attempts, ids
from store.attempts import Outcome
from store.columns import now, printable
from store.errors import NotFound
from store.events import Entry, write
from store.fences import mine
from store.jobs import labels
from store.jobs.reading import get
from store.jobs.row import Job, select_jobs, to_job
from store.nonfinite import finite
from store.session import Connection
from store.tables import DEFAULT_PROJECT, jobs, points, weights

_CANCEL_ASKED = jobs.c.requested_action == "cancel"
_CANCEL_NOT_ASKED = jobs.c.requested_action.is_distinct_from("cancel")


def add(
    tx: Connection,
    *,
    spec: Mapping[str, Any],
    dataset_id: str,
    max_epochs: int,
    queue: str = "cpu",
    name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    priority: int = 0,
    warnings: Sequence[Mapping[str, Any]] = (),
    equivalents: Mapping[str, Any] | None = None,
    request_id: str | None = None,
    study_id: str | None = None,
    project_id: str = DEFAULT_PROJECT,
) -> Job:
    """A new job, queued. Once this is committed the job is accepted: a queued row is its own outbox."""
    entries = [_told("queued"), *(Entry("warning", dict(warning)) for warning in warnings)]
    values = {
        "id": ids.new("job"),
        "project_id": project_id,
        "dataset_id": dataset_id,
        "study_id": study_id,
        "name": name,
        "status": "queued",
        "spec": dict(spec),
        "equivalents": equivalents,
        "warnings": [dict(warning) for warning in warnings],
        "metadata": dict(metadata or {}),
        "request_id": request_id,
        "queue": queue,
        "priority": priority,
        "max_epochs": max_epochs,
        "last_event": len(entries),
    }
    job = _inserted(tx, values)
    write(tx, job.id, job.last_event, entries)
    labels.write(tx, job)
    return job


def _inserted(tx: Connection, values: Mapping[str, Any]) -> Job:
    try:
        tx.execute(jobs.insert().values(values))
    except IntegrityError as error:
        # The only foreign key is the dataset's, and that may have been deleted a moment ago.
        raise NotFound("dataset", values["dataset_id"]) from error
    return get(tx, values["id"], project_id=values["project_id"])


def claim(tx: Connection, *, worker: str, queues: Sequence[str], lease_seconds: float) -> Job | None:
    """queued → running: the next best job that is due, by priority and age; None where nothing waits.

    Raises the fence, so that whoever had the job before can write nothing more, and clears what an earlier
    attempt recorded, in the same transaction.
    """
    values = {
        "status": "running",
        "fence": jobs.c.fence + 1,
        "attempt": jobs.c.attempt + 1,
        "worker_id": worker,
        "lease_expires_at": now(lease_seconds),
        "started_at": sa.func.coalesce(jobs.c.started_at, now()),
        "last_event": jobs.c.last_event + sa.case((jobs.c.epoch > 0, 2), else_=1),
        "epoch": 0,
        "epochs_per_second": None,
        "progress_at": None,
    }
    waiting = (jobs.c.id == _next(queues), jobs.c.status == "queued")
    claimed = tx.execute(jobs.update().where(*waiting).values(values).returning(jobs.c.id)).scalar()
    if claimed is None:
        return None
    job = to_job(tx.execute(select_jobs().where(jobs.c.id == claimed)).one())
    _begin_attempt(tx, job, worker)
    return job


def _next(queues: Sequence[str]) -> sa.ScalarSelect[str]:
    """The id of the next best job, passing over those that another claim is just taking."""
    waiting = jobs.alias("waiting")
    return (
        sa.select(waiting.c.id)
        .where(waiting.c.status == "queued", waiting.c.due_at <= now(), waiting.c.queue.in_(queues))
        .order_by(waiting.c.priority.desc(), waiting.c.created_at, waiting.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )


def _begin_attempt(tx: Connection, job: Job, worker: str) -> None:
    """Open the attempt's record, and rewind the curve where an earlier attempt left one."""
    attempts.begin(tx, job.id, number=job.attempt, fence=job.fence, worker=worker)
    entries = [_told("running", attempt=job.attempt)]
    if job.attempt > 1:
        tx.execute(weights.delete().where(weights.c.job_id == job.id))
        if tx.execute(points.delete().where(points.c.job_id == job.id)).rowcount:
            entries.insert(0, Entry("rewound", {"epoch": 0, "attempt": job.attempt}))
    write(tx, job.id, job.last_event, entries)


def succeed(
    tx: Connection,
    job_id: str,
    fence: int,
    *,
    stop_reason: str,
    stop_detail: str | None = None,
    result: Mapping[str, Any],
    environment: Mapping[str, Any] | None = None,
) -> bool:
    """running → succeeded. False under a stale fence, or once a cancel is asked for: then end `cancelled`."""
    values = {"stop_reason": stop_reason, "result": finite(result), "environment": environment}
    return _end(tx, "succeeded", values, stop_detail, *mine(job_id, fence), _CANCEL_NOT_ASKED)


def fail(
    tx: Connection,
    job_id: str,
    fence: int,
    *,
    stop_reason: str,
    stop_detail: str | None = None,
    error: Mapping[str, Any] | None = None,
    result: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
) -> bool:
    """running → failed. `error` defaults to `{"code": stop_reason, "detail": stop_detail}`."""
    detail = printable(stop_detail, 2000)
    values = {
        "stop_reason": stop_reason,
        "error": _clean(error) if error else {"code": stop_reason, "detail": detail},
        "result": finite(result),
        "environment": environment,
    }
    return _end(tx, "failed", values, detail, *mine(job_id, fence))


def cancelled(
    tx: Connection,
    job_id: str,
    fence: int,
    *,
    stop_detail: str | None = None,
    result: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
) -> bool:
    """running → cancelled, by the worker that was asked to; `result` tells of the best weights so far."""
    values = {"stop_reason": "cancelled", "result": finite(result), "environment": environment}
    return _end(tx, "cancelled", values, stop_detail, *mine(job_id, fence), _CANCEL_ASKED)


def cancel_waiting(tx: Connection, job_id: str) -> bool:
    """queued or paused → cancelled, at once: nobody has it."""
    waiting = (jobs.c.id == job_id, jobs.c.status.in_(("queued", "paused")))
    return _end(tx, "cancelled", {"stop_reason": "cancelled"}, "cancelled before it ran", *waiting)


def release(tx: Connection, job_id: str, fence: int, *, detail: str, delay_seconds: float = 0.0) -> bool:
    """running → queued, uncounted, by the worker that has it: it is draining, or its disk is full."""
    return _requeue(tx, "released", detail, delay_seconds, {}, *mine(job_id, fence), _CANCEL_NOT_ASKED)


def lose(tx: Connection, job_id: str, fence: int, *, detail: str, delay_seconds: float) -> bool:
    """running → queued, counted: its worker went quiet."""
    quiet = (*_quiet(job_id, fence), _CANCEL_NOT_ASKED)
    return _requeue(tx, "lost", detail, delay_seconds, {"lost": jobs.c.lost + 1}, *quiet)


def give_up(tx: Connection, job_id: str, fence: int, *, detail: str) -> bool:
    """running → failed: its worker went quiet, once too often."""
    error = {"code": "worker_lost", "detail": detail}
    values = {
        "stop_reason": "worker_lost",
        "error": error,
        "lost": jobs.c.lost + 1,
        "fence": jobs.c.fence + 1,
    }
    return _end(tx, "failed", values, detail, *_quiet(job_id, fence), _CANCEL_NOT_ASKED, outcome="lost")


def bury(tx: Connection, job_id: str, fence: int, *, detail: str) -> bool:
    """running → cancelled: a cancel was asked for and its worker went quiet before it could."""
    values = {"stop_reason": "cancelled", "lost": jobs.c.lost + 1, "fence": jobs.c.fence + 1}
    return _end(tx, "cancelled", values, detail, *_quiet(job_id, fence), _CANCEL_ASKED, outcome="lost")


def _quiet(job_id: str, fence: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (*mine(job_id, fence), jobs.c.lease_expires_at < now())


def _end(
    tx: Connection,
    status: Outcome,
    values: Mapping[str, Any],
    detail: str | None,
    *conditions: sa.ColumnElement[bool],
    outcome: Outcome | None = None,
) -> bool:
    """Into a final status, which no arrow leaves again."""
    detail = printable(detail, 2000)
    final = {
        **values,
        "status": status,
        "stop_detail": detail,
        "requested_action": None,
        "lease_expires_at": None,
        "finished_at": now(),
    }
    told = {"stop_reason": values["stop_reason"], "stop_detail": detail}
    entries = [_told(status, **told), Entry("end", {"status": status, **told})]
    return _change(tx, final, entries, outcome or status, detail, *conditions)


def _requeue(
    tx: Connection,
    outcome: Outcome,
    detail: str,
    delay_seconds: float,
    values: Mapping[str, Any],
    *conditions: sa.ColumnElement[bool],
) -> bool:
    """Back into the queue under a new fence; the curve stays readable until the next claim clears it."""
    waiting = {
        **values,
        "status": "queued",
        "fence": jobs.c.fence + 1,
        "worker_id": None,
        "lease_expires_at": None,
        "due_at": now(delay_seconds),
    }
    return _change(tx, waiting, [_told("queued", detail=detail)], outcome, detail, *conditions)


def _change(
    tx: Connection,
    values: Mapping[str, Any],
    entries: Sequence[Entry],
    outcome: Outcome,
    detail: str | None,
    *conditions: sa.ColumnElement[bool],
) -> bool:
    """The one conditional UPDATE of an arrow out of `queued` or `running`, its log and its attempt's end."""
    numbered = {**values, "last_event": jobs.c.last_event + len(entries)}
    returned = (jobs.c.id, jobs.c.last_event, jobs.c.attempt)
    changed = tx.execute(jobs.update().where(*conditions).values(numbered).returning(*returned)).one_or_none()
    if changed is None:
        return False
    write(tx, changed.id, changed.last_event, entries)
    attempts.end(tx, changed.id, number=changed.attempt, outcome=outcome, detail=detail)
    return True


def _told(status: str, **more: Any) -> Entry:
    return Entry("status", {"status": status, **more})


def _clean(error: Mapping[str, Any]) -> dict[str, Any]:
    """An exception's words may hold anything; they must not keep its job from failing."""
    return {
        name: printable(value, 20_000) if isinstance(value, str) else value for name, value in error.items()
    }
