"""What people ask of a job: pause and resume it, finish it early, cancel it, delete it."""

from __future__ import annotations

import sqlalchemy as sa

from store import checkpoints, ids, usage
from store.errors import ActionNotAllowed, NotFound
from store.jobs import arrows
from store.jobs.reading import get
from store.jobs.row import FINAL, Action, Job, select_jobs, to_job
from store.projects import only
from store.session import Connection
from store.tables import jobs, weights


def request_cancel(tx: Connection, job_id: str) -> Job:
    """Cancel: at once where nobody has it, else by the worker that does. Once this commits it cannot succeed.

    Cancelling what is cancelled or being cancelled changes nothing.
    """
    job = held(tx, job_id)
    if job.status == "cancelled" or job.requested_action == "cancel":
        return job
    if job.is_final:
        raise ActionNotAllowed("cancel", job.status, job.allowed_actions)
    waited = "cancelled while it waited" if job.attempt else "cancelled before it ran"
    if not arrows.cancel_waiting(tx, job_id, detail=waited):
        _ask(tx, job_id, "cancel")
    return get(tx, job_id)


def request_finish(tx: Connection, job_id: str) -> Job:
    """Stop after the running epoch, restore the best weights, succeed. A job that never ran cannot finish.

    Finishing what is finishing, or was finished so, changes nothing. A job that waits is claimed once more,
    goes on from its checkpoint and ends there; a paused one goes into the queue for that.
    """
    job = held(tx, job_id)
    if job.requested_action == "finish" or (job.status, job.stop_reason) == ("succeeded", "finished"):
        return job
    if "finish" not in job.allowed_actions:
        raise ActionNotAllowed("finish", job.status, job.allowed_actions)
    if not arrows.resume(tx, job_id, to_finish=True):
        _ask(tx, job_id, "finish")
    return get(tx, job_id)


def request_pause(tx: Connection, job_id: str) -> Job:
    """Lay the job aside: at once where nobody has it, else its worker keeps a checkpoint first.

    Pausing what is paused or being paused changes nothing.
    """
    job = held(tx, job_id)
    if job.status == "paused" or job.requested_action == "pause":
        return job
    if "pause" not in job.allowed_actions:
        raise ActionNotAllowed("pause", job.status, job.allowed_actions)
    if not arrows.pause_waiting(tx, job_id):
        _ask(tx, job_id, "pause")
    return get(tx, job_id)


def request_resume(tx: Connection, job_id: str) -> Job:
    """Let a paused job go on, or take back a pause that has not come about yet; else nothing changes."""
    job = held(tx, job_id)
    if job.is_final or job.requested_action == "cancel":
        raise ActionNotAllowed("resume", job.status, job.allowed_actions)
    if "resume" not in job.allowed_actions:
        return job
    if not arrows.resume(tx, job_id):
        _ask(tx, job_id, None)
    return get(tx, job_id)


def held(tx: Connection, job_id: str) -> Job:
    """A job that nobody else changes until this transaction ends: what is decided now holds then."""
    chosen = select_jobs().where(jobs.c.id == job_id, only(tx, jobs))
    row = tx.execute(chosen.with_for_update(of=jobs)).one_or_none() if ids.possible(job_id) else None
    if row is None:
        raise NotFound("job", job_id)
    return to_job(row)


def _ask(tx: Connection, job_id: str, action: Action | None) -> None:
    """Leave a wish for whoever has the job, or for the next to have it."""
    unfinished = (jobs.c.id == job_id, jobs.c.status.in_(("queued", "running")))
    tx.execute(jobs.update().where(*unfinished).values(requested_action=action))


def delete(tx: Connection, job_id: str) -> list[str]:
    """Delete a finished job with its curve and log; answers its files' keys, to delete after the commit."""
    job = held(tx, job_id)  # Or notes that are written meanwhile would stay counted.
    gone = 0
    if job.is_final:
        kept = sa.select(weights.c.key).where(weights.c.job_id == job_id)
        keys = [*tx.execute(kept).scalars(), *(one.key for one in checkpoints.of(tx, job_id))]
        usage.forget_jobs(tx, [job_id])
        gone = tx.execute(jobs.delete().where(jobs.c.id == job_id, jobs.c.status.in_(FINAL))).rowcount
    if not gone:
        raise ActionNotAllowed("delete", job.status, job.allowed_actions)
    return keys
