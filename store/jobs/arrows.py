"""The state machine: each arrow is one function and one conditional UPDATE. Nothing else writes `status`.

    add → queued                      claim: queued → running (several at once that are trained together)
    pause_waiting: queued → paused    resume: paused → queued    cancel_waiting: queued, paused → cancelled
    by the worker that has it:
        succeed: running → succeeded  fail: running → failed     cancelled: running → cancelled
        release: running → queued     paused: running → paused
    for a worker that went quiet, or says that it is broken:
        lose: running → queued        give_up: running → failed
        shelve: running → paused      bury: running → cancelled

An arrow that finds no row to change answers None or False: someone else was faster, or the fence is stale,
and then nothing at all is written. Every arrow that changes something says so in the job's log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from store import attempts, checkpoints, curves, ids, row_sizes, scores, usage, weights
from store.attempts import Outcome
from store.columns import now, printable, printable_values
from store.errors import NotFound
from store.events import Entry
from store.fences import mine
from store.jobs import companions, labels, turns
from store.jobs.reading import get
from store.jobs.row import Job, select_jobs, to_job
from store.jobs.telling import tell, told
from store.jobs.tolls import ONE, Toll
from store.nonfinite import finite
from store.projects import current
from store.session import Connection
from store.tables import jobs

_CANCEL_ASKED = jobs.c.requested_action == "cancel"
_CANCEL_NOT_ASKED = jobs.c.requested_action.is_distinct_from("cancel")
_PAUSE_ASKED = jobs.c.requested_action == "pause"
_MAY_WAIT = sa.and_(_CANCEL_NOT_ASKED, jobs.c.requested_action.is_distinct_from("pause"))
"""It may go back into the queue: nobody asked for anything that keeps it from running again."""

Values = Mapping[str, Any]
Condition = sa.ColumnElement[bool]
Ended = tuple[Outcome, str | None]
"""How an attempt ended, and why."""
_NOBODYS = {"fence": jobs.c.fence + 1, "worker_id": None, "lease_expires_at": None}


def add(
    tx: Connection,
    *,
    spec: Values,
    dataset_id: str,
    max_epochs: int,
    queue: str = "cpu",
    name: str | None = None,
    metadata: Values | None = None,
    priority: int = 0,
    warnings: Sequence[Values] = (),
    equivalents: Values | None = None,
    request_id: str | None = None,
    traceparent: str | None = None,
    study_id: str | None = None,
    stack_key: str | None = None,
    stack_limit: int = 1,
) -> Job:
    """A new job, queued. Once this is committed the job is accepted: a queued row is its own outbox."""
    entries = [told("queued"), *(Entry("warning", dict(warning)) for warning in warnings)]
    values = {
        "id": ids.new("job"),
        "project_id": current(tx),
        "dataset_id": dataset_id,
        "study_id": study_id,
        "name": name,
        "status": "queued",
        "spec": dict(spec),
        "equivalents": equivalents,
        "warnings": [dict(warning) for warning in warnings],
        "metadata": dict(metadata or {}),
        "request_id": request_id,
        "traceparent": traceparent,
        "queue": queue,
        "priority": priority,
        "max_epochs": max_epochs,
        "stack_key": stack_key,
        "stack_limit": stack_limit,
        "last_event": len(entries),
    }
    row_bytes = row_sizes.of_job(values) + row_sizes.of_entries(entries)
    try:
        tx.execute(jobs.insert(), {**values, "row_bytes": row_bytes})
    except IntegrityError as error:
        # The only foreign key is the dataset's, and that may have been deleted a moment ago.
        raise NotFound("dataset", dataset_id) from error
    job = get(tx, str(values["id"]))
    usage.charge(tx, job.project_id, stored_bytes=row_bytes, open_jobs=1)
    tell(tx, [(job.id, job.last_event)], entries)
    labels.write(tx, job)
    return job


def claim(
    tx: Connection, *, worker: str, queues: Sequence[str], lease_seconds: float, at_most: int = 1
) -> list[Job]:
    """queued → running: the next best job that is due (see `turns`); none where nothing waits.

    With it come others, `at_most` together, that may be trained with it (see `companions`). Raises the fence,
    so that whoever had a job before can write nothing more, and sets the curve back to the newest checkpoint,
    from which the attempt goes on: all in one transaction, and one turn of the project.
    """
    first = turns.next_job(tx, queues)
    if first is None:
        return []
    others = companions.hold(tx, first, worker, at_most=at_most, lease_seconds=lease_seconds)
    epoch = next((one.epoch for one in checkpoints.of(tx, first.job_id)), 0) if first.attempt else 0
    entries = [told("running", attempt=first.attempt + 1)]
    if rewound := first.epoch > epoch:
        entries.insert(0, Entry("rewound", {"epoch": epoch, "attempt": first.attempt + 1}))
    more = row_sizes.ATTEMPT + row_sizes.of_entries(entries)
    values = {
        "status": "running",
        "fence": jobs.c.fence + 1,
        "attempt": jobs.c.attempt + 1,
        "worker_id": worker,
        "lease_expires_at": now(lease_seconds),
        "started_at": sa.func.coalesce(jobs.c.started_at, now()),
        "last_event": jobs.c.last_event + len(entries),
        "row_bytes": jobs.c.row_bytes + more,
        "epoch": epoch,
        "epochs_per_second": None,
        "progress_at": None,
    }
    waiting = (jobs.c.id.in_([first.job_id, *others]), jobs.c.status == "queued")
    taken = tx.execute(jobs.update().where(*waiting).values(values).returning(jobs.c.id)).scalars().all()
    rows = tx.execute(select_jobs().where(jobs.c.id.in_(taken)).order_by(jobs.c.created_at, jobs.c.id))
    claimed = [to_job(row) for row in rows]
    turns.take(tx, first.project_id)
    attempts.begin(tx, claimed, worker=worker)
    if rewound:
        curves.rewind(tx, first.job_id, epoch)
    if first.attempt:
        weights.drop(tx, first.job_id, first.project_id)
    tell(tx, [(job.id, job.last_event) for job in claimed], entries)
    usage.charge(tx, first.project_id, stored_bytes=more * len(claimed))
    return claimed


def succeed(
    tx: Connection,
    job_id: str,
    fence: int,
    *,
    stop_reason: str,
    stop_detail: str | None = None,
    result: Values,
    environment: Values | None = None,
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
    error: Values | None = None,
    result: Values | None = None,
    environment: Values | None = None,
) -> bool:
    """running → failed. `error` defaults to `{"code": stop_reason, "detail": stop_detail}`."""
    told_by_default = {"code": stop_reason, "detail": printable(stop_detail, 2000)}
    values = {
        "stop_reason": stop_reason,
        "error": printable_values(error, 20_000) if error else told_by_default,
        "result": finite(result),
        "environment": environment,
    }
    return _end(tx, "failed", values, stop_detail, *mine(job_id, fence))


def cancelled(
    tx: Connection,
    job_id: str,
    fence: int,
    *,
    stop_detail: str | None = None,
    result: Values | None = None,
    environment: Values | None = None,
) -> bool:
    """running → cancelled, by the worker that was asked to; `result` tells of the best weights so far."""
    values = {"stop_reason": "cancelled", "result": finite(result), "environment": environment}
    return _end(tx, "cancelled", values, stop_detail, *mine(job_id, fence), _CANCEL_ASKED)


def paused(tx: Connection, job_id: str, fence: int, *, detail: str | None = None) -> bool:
    """running → paused, by the worker that was asked to; it goes on from its newest checkpoint."""
    return _pause(tx, {}, ("paused", detail), *mine(job_id, fence), _PAUSE_ASKED)


def cancel_waiting(tx: Connection, job_id: str, *, detail: str = "cancelled before it ran") -> bool:
    """queued or paused → cancelled, at once: nobody has it."""
    waiting = (jobs.c.id == job_id, jobs.c.status.in_(("queued", "paused")))
    return _end(tx, "cancelled", {"stop_reason": "cancelled"}, detail, *waiting)


def pause_waiting(tx: Connection, job_id: str) -> bool:
    """queued → paused, at once: nobody has it."""
    return _pause(tx, {}, None, jobs.c.id == job_id, jobs.c.status == "queued")


def resume(tx: Connection, job_id: str, *, to_finish: bool = False) -> bool:
    """paused → queued, due now; `to_finish`: only to restore its best weights and end."""
    values = {"status": "queued", "due_at": now(), "requested_action": "finish" if to_finish else None}
    entries = [told("queued", detail="resumed to be finished" if to_finish else "resumed")]
    return _change(tx, values, entries, None, jobs.c.id == job_id, jobs.c.status == "paused") is not None


def release(tx: Connection, job_id: str, fence: int, *, detail: str, delay_seconds: float = 0.0) -> bool:
    """running → queued, uncounted, by the worker that has it: it is draining, or its disk is full."""
    return _requeue(tx, {}, ("released", detail), delay_seconds, *mine(job_id, fence), _MAY_WAIT)


def lose(
    tx: Connection, job_id: str, fence: int, *, detail: str, delay_seconds: float, toll: Toll = ONE
) -> bool:
    """running → queued: its worker went quiet."""
    return _requeue(tx, toll.values, ("lost", detail), delay_seconds, *_quiet(job_id, fence), _MAY_WAIT)


def shelve(tx: Connection, job_id: str, fence: int, *, detail: str, toll: Toll = ONE) -> bool:
    """running → paused: a pause was asked for and its worker went quiet before it could."""
    return _pause(tx, toll.values, ("lost", detail), *_quiet(job_id, fence), _PAUSE_ASKED)


def give_up(tx: Connection, job_id: str, fence: int, *, detail: str, toll: Toll = ONE) -> bool:
    """running → failed: its worker went quiet, once too often."""
    error = {"code": "worker_lost", "detail": detail}
    values = {"stop_reason": "worker_lost", "error": error, "fence": jobs.c.fence + 1, **toll.values}
    return _end(tx, "failed", values, detail, *_quiet(job_id, fence), _CANCEL_NOT_ASKED, outcome="lost")


def bury(tx: Connection, job_id: str, fence: int, *, detail: str, toll: Toll = ONE) -> bool:
    """running → cancelled: a cancel was asked for and its worker went quiet before it could."""
    values = {"stop_reason": "cancelled", "fence": jobs.c.fence + 1, **toll.values}
    return _end(tx, "cancelled", values, detail, *_quiet(job_id, fence), _CANCEL_ASKED, outcome="lost")


def _quiet(job_id: str, fence: int) -> tuple[Condition, ...]:
    return (*mine(job_id, fence), jobs.c.lease_expires_at < now())


def _end(
    tx: Connection,
    status: Outcome,
    values: Values,
    detail: str | None,
    *conditions: Condition,
    outcome: Outcome | None = None,
) -> bool:
    """Into a final status, which no arrow leaves again, and from which nothing goes on."""
    detail = printable(detail, 2000)
    final = {
        **values,
        "status": status,
        "stop_detail": detail,
        "requested_action": None,
        "lease_expires_at": None,
        "finished_at": now(),
    }
    why = {"stop_reason": values["stop_reason"], "stop_detail": detail}
    entries = [told(status, **why), Entry("end", {"status": status, **why})]
    job = _change(tx, final, entries, (outcome or status, detail), *conditions)
    if job is not None:
        times = {"started_at": job.started_at, "finished_at": job.finished_at}
        scores.write(tx, job.id, job.project_id, result=final.get("result"), **times)
        checkpoints.forget(tx, job.id, job.project_id)
        usage.charge(tx, job.project_id, open_jobs=-1)
    return job is not None


def _pause(tx: Connection, values: Values, ended: Ended | None, *conditions: Condition) -> bool:
    """Aside, under a new fence, until somebody resumes it."""
    aside = {**values, "status": "paused", "requested_action": None, **_NOBODYS}
    entries = [told("paused", detail=ended[1] if ended else None)]
    return _change(tx, aside, entries, ended, *conditions) is not None


def _requeue(
    tx: Connection, values: Values, ended: Ended, delay_seconds: float, *conditions: Condition
) -> bool:
    """Back into the queue under a new fence; the curve stays readable until the next claim sets it back."""
    waiting = {**values, "status": "queued", "due_at": now(delay_seconds), **_NOBODYS}
    return _change(tx, waiting, [told("queued", detail=ended[1])], ended, *conditions) is not None


def _change(
    tx: Connection, values: Values, entries: Sequence[Entry], ended: Ended | None, *conditions: Condition
) -> sa.Row[Any] | None:
    """The one conditional UPDATE of an arrow, its log, its attempt's end; whose row it changed, if any."""
    more = row_sizes.of_ending(values) + row_sizes.of_entries(entries)
    grown = {"last_event": jobs.c.last_event + len(entries), "row_bytes": jobs.c.row_bytes + more}
    shown = ("id", "project_id", "last_event", "attempt", "started_at", "finished_at")
    returned = [jobs.c[name] for name in shown]
    changing = jobs.update().where(*conditions).values({**values, **grown})
    changed = tx.execute(changing.returning(*returned)).one_or_none()
    if changed is None:
        return None
    tell(tx, [(changed.id, changed.last_event)], entries)
    if ended:
        attempts.end(tx, changed.id, number=changed.attempt, outcome=ended[0], detail=ended[1])
    usage.charge(tx, changed.project_id, stored_bytes=more)
    return changed
