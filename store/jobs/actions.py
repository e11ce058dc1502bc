"""What people ask of a job: cancel it, finish it early, delete it."""

from __future__ import annotations

import sqlalchemy as sa

from store import ids
from store.errors import ActionNotAllowed, NotFound
from store.jobs import arrows
from store.jobs.reading import get
from store.jobs.row import FINAL, Action, Job, allowed_actions, select_jobs, to_job
from store.session import Connection
from store.tables import DEFAULT_PROJECT, jobs, weights


def request_cancel(tx: Connection, job_id: str, *, project_id: str = DEFAULT_PROJECT) -> Job:
    """Cancel: at once where nobody has it, else by the worker that does. Once this commits it cannot succeed.

    Cancelling what is cancelled or being cancelled changes nothing.
    """
    job = _held(tx, job_id, project_id)
    if job.status == "cancelled" or job.requested_action == "cancel":
        return job
    if job.is_final:
        raise ActionNotAllowed("cancel", job.status, job.allowed_actions)
    if not arrows.cancel_waiting(tx, job_id):
        _ask(tx, job_id, "cancel")
    return get(tx, job_id, project_id=project_id)


def request_finish(tx: Connection, job_id: str, *, project_id: str = DEFAULT_PROJECT) -> Job:
    """Stop after the running epoch, restore the best weights, succeed. Only a running job can finish.

    Finishing what is finishing, or was finished so, changes nothing.
    """
    job = _held(tx, job_id, project_id)
    if job.requested_action == "finish" or (job.status, job.stop_reason) == ("succeeded", "finished"):
        return job
    if "finish" not in job.allowed_actions:
        raise ActionNotAllowed("finish", job.status, job.allowed_actions)
    _ask(tx, job_id, "finish")
    return get(tx, job_id, project_id=project_id)


def _held(tx: Connection, job_id: str, project_id: str) -> Job:
    """The job, which nobody else changes until this transaction ends: what is decided now holds then."""
    chosen = select_jobs().where(jobs.c.id == job_id, jobs.c.project_id == project_id)
    row = tx.execute(chosen.with_for_update(of=jobs)).one_or_none() if ids.possible(job_id) else None
    if row is None:
        raise NotFound("job", job_id)
    return to_job(row)


def _ask(tx: Connection, job_id: str, action: Action) -> None:
    running = (jobs.c.id == job_id, jobs.c.status == "running")
    tx.execute(jobs.update().where(*running).values(requested_action=action))


def delete(tx: Connection, job_id: str, *, project_id: str = DEFAULT_PROJECT) -> list[str]:
    """Delete a finished job with its curve and log; answers its files' keys, to delete after the commit."""
    job = get(tx, job_id, project_id=project_id)
    keys = list(tx.execute(sa.select(weights.c.key).where(weights.c.job_id == job_id)).scalars())
    gone = tx.execute(jobs.delete().where(jobs.c.id == job_id, jobs.c.status.in_(FINAL))).rowcount
    if not gone:
        raise ActionNotAllowed("delete", job.status, allowed_actions(job.status, job.requested_action))
    return keys
