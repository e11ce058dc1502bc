"""Who still has a job: leases renewed by the database's clock, and what becomes of those that run out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from store.columns import Real, now
from store.fences import held, mine
from store.jobs import arrows
from store.jobs.queues import UNFINISHED_BY_INDEX
from store.jobs.row import Action
from store.jobs.tolls import Loss, Toll
from store.jobs.tolls import toll as toll_of
from store.session import Connection
from store.tables import jobs


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker learns when it renews its lease."""

    still_mine: bool
    requested_action: Action | None = None


@dataclass(frozen=True, slots=True)
class Renewal:
    """A lease to be renewed."""

    job_id: str
    fence: int
    runtime_seconds: float | None = None
    """How long the job has been trained for, over all its attempts; None: as long as is known."""


def beat(
    tx: Connection, job_id: str, fence: int, lease_seconds: float, *, runtime_seconds: float | None = None
) -> Beat:
    """Renew one lease and read what is asked of the job."""
    return beat_all(tx, [Renewal(job_id, fence, runtime_seconds)], lease_seconds)[0]


def beat_all(tx: Connection, renewals: Sequence[Renewal], lease_seconds: float) -> list[Beat]:
    """Renew leases and read what is asked of the jobs; not still mine: stop and write nothing more of it."""
    mine = held(tx, {one.job_id: one.fence for one in renewals}, jobs.c.requested_action)
    rows = [{"renewed": one.job_id, "seconds": one.runtime_seconds} for one in renewals if one.job_id in mine]
    if rows:
        runtime = sa.func.coalesce(sa.bindparam("seconds", type_=Real), jobs.c.runtime_seconds)
        values = {"lease_expires_at": now(lease_seconds), "runtime_seconds": runtime}
        tx.execute(jobs.update().where(jobs.c.id == sa.bindparam("renewed")).values(values), rows)
    return [
        Beat(True, row.requested_action) if (row := mine.get(one.job_id)) else Beat(False) for one in renewals
    ]


@dataclass(frozen=True, slots=True)
class Expired:
    """What became of the jobs whose workers went quiet."""

    requeued: list[str] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)


def expire(
    tx: Connection,
    *,
    max_attempts: int,
    backoff_seconds: float,
    lease_seconds: float = 30.0,
    limit: int = 100,
) -> Expired:
    """Requeue jobs whose lease ran out, fail those that lost `max_attempts` workers, do what was asked.

    Any number of reconcilers may run this: they pass over each other's rows, and each step is conditional.
    """
    columns = (jobs.c.id, jobs.c.fence, jobs.c.lost, jobs.c.lost_together, jobs.c.requested_action)
    found = (
        sa.select(*columns, jobs.c.worker_id, jobs.c.lease_expires_at)
        .where(jobs.c.status == "running", *UNFINISHED_BY_INDEX, jobs.c.lease_expires_at < now())
        .order_by(jobs.c.lease_expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    expired = Expired()
    for row in tx.execute(found).all():
        last_heard_at = row.lease_expires_at - timedelta(seconds=lease_seconds)
        loss = Loss(row.id, row.fence, row.worker_id, last_heard_at, row.lost_together)
        toll = toll_of(tx, loss, lease_seconds=lease_seconds, max_attempts=max_attempts)
        why = f"worker {row.worker_id} went quiet{', and others with it' if toll.together else ''}"
        _settle(tx, row, why, toll, expired, max_attempts, backoff_seconds)
    return expired


def surrender(
    tx: Connection,
    job_id: str,
    fence: int,
    *,
    why: str,
    with_others: bool = False,
    max_attempts: int = 3,
    backoff_seconds: float = 0.0,
) -> bool:
    """Lose an attempt whose process can go on with nothing; False under a stale fence.

    Its worker does at once what `expire` would do after a lease, and says why. `with_others`: what broke is
    not this job's alone, so it counts as one that was lost together with others.
    """
    columns = (jobs.c.id, jobs.c.fence, jobs.c.lost, jobs.c.lost_together, jobs.c.requested_action)
    row = tx.execute(
        sa.select(*columns, jobs.c.worker_id, now().label("clock"))
        .where(*mine(job_id, fence))
        .with_for_update()
    ).one_or_none()
    if row is None:
        return False
    loss = Loss(job_id, fence, row.worker_id, row.clock, row.lost_together, with_others)
    toll = toll_of(tx, loss, lease_seconds=None, max_attempts=max_attempts)
    tx.execute(jobs.update().where(*mine(job_id, fence)).values(lease_expires_at=now(-1)))
    _settle(tx, row, why, toll, Expired(), max_attempts, backoff_seconds)
    return True


def _settle(
    tx: Connection,
    row: sa.Row[*tuple[Any, ...]],
    why: str,
    toll: Toll,
    expired: Expired,
    max_attempts: int,
    backoff_seconds: float,
) -> None:
    """One job whose lease is over."""
    lost = row.lost + toll.lost
    if row.requested_action == "cancel":
        if arrows.bury(tx, row.id, row.fence, detail=f"{why} while it was being cancelled", toll=toll):
            expired.cancelled.append(row.id)
    elif toll.lost and lost >= max_attempts:
        limit = f"{why}; {lost} attempts were lost, and that is the limit"
        if arrows.give_up(tx, row.id, row.fence, detail=limit, toll=toll):
            expired.failed.append(row.id)
    elif row.requested_action == "pause":
        if arrows.shelve(tx, row.id, row.fence, detail=f"{why} while it was being paused", toll=toll):
            expired.paused.append(row.id)
    else:
        delay = _delay(lost, backoff_seconds)
        if arrows.lose(tx, row.id, row.fence, detail=why, delay_seconds=delay, toll=toll):
            expired.requeued.append(row.id)


def _delay(lost: int, most: float) -> float:
    """A quarter of the longest wait, then half, then all of it."""
    return min(most, most / 4 * 2.0 ** max(lost - 1, 0))
