"""Who still has a job: leases renewed by the database's clock, and what becomes of those that run out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from store.columns import now
from store.fences import mine
from store.jobs import arrows
from store.jobs.row import Action
from store.session import Connection
from store.tables import jobs


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker learns when it renews its lease."""

    still_mine: bool
    requested_action: Action | None = None


def beat(tx: Connection, job_id: str, fence: int, lease_seconds: float) -> Beat:
    """Renew the lease and read what is asked, in one statement; not still mine: stop and write nothing."""
    renewed = jobs.update().where(*mine(job_id, fence)).values(lease_expires_at=now(lease_seconds))
    row = tx.execute(renewed.returning(jobs.c.requested_action)).one_or_none()
    return Beat(False) if row is None else Beat(True, row.requested_action)


@dataclass(frozen=True, slots=True)
class Expired:
    """What became of the jobs whose workers went quiet."""

    requeued: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)


def expire(tx: Connection, *, max_attempts: int, backoff_seconds: float, limit: int = 100) -> Expired:
    """Requeue jobs whose lease ran out, fail those that lost `max_attempts` workers, cancel those asked to.

    Any number of reconcilers may run this: they pass over each other's rows, and each step is conditional.
    """
    quiet = (
        sa.select(jobs.c.id, jobs.c.fence, jobs.c.lost, jobs.c.requested_action, jobs.c.worker_id)
        .where(jobs.c.status == "running", jobs.c.lease_expires_at < now())
        .order_by(jobs.c.lease_expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    expired = Expired()
    for row in tx.execute(quiet).all():
        _settle(tx, row, expired, max_attempts, backoff_seconds)
    return expired


def _settle(
    tx: Connection, row: sa.Row[*tuple[Any, ...]], expired: Expired, max_attempts: int, backoff_seconds: float
) -> None:
    """One job whose lease ran out."""
    lost = row.lost + 1
    quiet = f"worker {row.worker_id} went quiet"
    if row.requested_action == "cancel":
        if arrows.bury(tx, row.id, row.fence, detail=f"{quiet} while it was being cancelled"):
            expired.cancelled.append(row.id)
    elif lost >= max_attempts:
        if arrows.give_up(
            tx, row.id, row.fence, detail=f"{quiet}; {lost} attempts were lost, and that is the limit"
        ):
            expired.failed.append(row.id)
    elif arrows.lose(tx, row.id, row.fence, detail=quiet, delay_seconds=_delay(lost, backoff_seconds)):
        expired.requeued.append(row.id)


def _delay(lost: int, most: float) -> float:
    """A quarter of the longest wait, then half, then all of it."""
    return min(most, most / 4 * 2.0 ** (lost - 1))
