"""Who is claimed along with a job, to be trained together with it: others like it that have never run.

What ran before goes on from a checkpoint of its own, or is suspected of what became of its last worker, and
is claimed alone; so a job that kills its worker takes others with it at most once.
"""

from __future__ import annotations

import math

import sqlalchemy as sa

from store.columns import Real, now
from store.jobs.turns import Next
from store.session import Connection
from store.tables import jobs, workers

Conditions = tuple[sa.ColumnElement[bool], ...]

GPU_WEIGHT = 8
"""A process with a GPU counts as so many with one of the CPU's threads.

A step on a GPU takes hardly longer for 64 small networks than for one, so a small share would leave it idle;
8 is the most processes that a machine without a GPU starts by itself: one GPU process weighs one machine.
"""


def hold(tx: Connection, leader: Next, worker: str, *, at_most: int, lease_seconds: float) -> list[str]:
    """The ids of those to claim along with `leader`, oldest first, which nobody else takes meanwhile.

    With it there are no more than `at_most`, than the leader's own limit, and than this worker's share.
    On PostgreSQL those that another claim is just taking are passed over.
    """
    most = min(at_most, leader.stack_limit)
    if most < 2 or leader.attempt or leader.stack_key is None or leader.requested_action:
        return []
    waiting = _waiting(leader)
    found = len(tx.execute(sa.select(jobs.c.id).where(*waiting).limit(most - 1)).all())
    if not found:
        return []
    wanted = min(most, _share(tx, leader, worker, found + 1, most, lease_seconds)) - 1
    oldest = sa.select(jobs.c.id).where(*waiting).order_by(jobs.c.created_at, jobs.c.id)
    return list(tx.execute(oldest.limit(wanted).with_for_update(skip_locked=True)).scalars())


def _alike(leader: Next) -> Conditions:
    """One probe of `ix_jobs_stack`, which knows only what has not ended."""
    same = (jobs.c.dataset_id, jobs.c.stack_key, jobs.c.queue, jobs.c.priority, jobs.c.project_id)
    equal = (column == getattr(leader, column.name) for column in same)
    return (*equal, jobs.c.finished_at.is_(None))


def _waiting(leader: Next) -> Conditions:
    """The moment stands wrapped, so that SQLite, which knows no lengths, does not go by all that is due."""
    is_due = sa.func.coalesce(jobs.c.due_at, jobs.c.created_at) <= now()
    free = (jobs.c.status == "queued", is_due, jobs.c.requested_action.is_(None))
    return (*_alike(leader), jobs.c.attempt == 0, *free, jobs.c.id != leader.job_id)


def _share(tx: Connection, leader: Next, worker: str, found: int, most: int, lease_seconds: float) -> int:
    """A share of what is left to do of such jobs, and not only of what nobody has taken yet.

    Who claimed a moment ago has its share already, so that two idle workers get half of the jobs each.
    """
    weights = _listening(tx, leader, worker, lease_seconds)
    if len(weights) == 1:
        return found
    own, all_ = weights[worker], sum(weights.values())
    if found == most:
        # More may wait; beyond a full stack for everybody it makes no difference how many.
        some = sa.select(jobs.c.id).where(*_waiting(leader)).limit(most * all_).subquery()
        found = 1 + tx.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return math.ceil((found + _left_of_running(tx, leader, worker)) * own / all_)


def _listening(tx: Connection, leader: Next, worker: str, lease_seconds: float) -> dict[str, int]:
    """What each worker process that takes from the leader's queue weighs; each says so four times in a lease.

    This one is included, heard of or not.
    """
    columns = (workers.c.id, workers.c.queues, workers.c.device)
    heard = tx.execute(sa.select(*columns).where(workers.c.seen_at > now(-lease_seconds))).all()
    listening = {row.id: row.device or "cpu" for row in heard if leader.queue in row.queues}
    listening.setdefault(worker, "cpu")
    if all(device == "cpu" for device in listening.values()) or _is_for_the_cpu(tx, leader):
        return dict.fromkeys(listening, 1)
    return {id_: 1 if device == "cpu" else GPU_WEIGHT for id_, device in listening.items()}


def _is_for_the_cpu(tx: Connection, leader: Next) -> bool:
    """Whether such jobs are trained on the CPU wherever there is a GPU; they are all alike in that."""
    spec = tx.execute(sa.select(jobs.c.spec).where(jobs.c.id == leader.job_id)).scalar() or {}
    return (spec.get("training") or {}).get("device") == "cpu"


def _left_of_running(tx: Connection, leader: Next, worker: str) -> float:
    """Such jobs that others are training, each as far as it has still to go."""
    left = 1.0 - sa.cast(jobs.c.epoch, Real) / sa.func.nullif(jobs.c.max_epochs, 0)
    theirs = (jobs.c.attempt == 1, jobs.c.status == "running", jobs.c.worker_id != worker)
    return float(tx.execute(sa.select(sa.func.sum(left)).where(*_alike(leader), *theirs)).scalar() or 0.0)
