"""What the loss of an attempt counts against its job.

A job that kills its workers must not be tried for ever; one that only happened to be there is not to blame.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from store.session import Connection
from store.tables import attempts, checkpoints, jobs, workers


@dataclass(frozen=True, slots=True)
class Toll:
    """What is added to `jobs.lost`, which is limited, and to `jobs.lost_together`."""

    lost: int = 1
    together: int = 0

    @property
    def values(self) -> dict[str, sa.ColumnElement[int]]:
        """What an UPDATE of the job sets."""
        return {"lost": jobs.c.lost + self.lost, "lost_together": jobs.c.lost_together + self.together}


NOTHING = Toll(lost=0)
ONE = Toll()


@dataclass(frozen=True, slots=True)
class Loss:
    """An attempt whose lease ran out."""

    job_id: str
    fence: int
    worker_id: str
    last_heard_at: datetime
    lost_together: int
    """How often its job was lost together with others before."""
    with_others: bool = False
    """Its worker knows that what broke is not this job's alone."""


def toll(tx: Connection, loss: Loss, *, lease_seconds: float | None, max_attempts: int) -> Toll:
    """Nothing where the attempt got as far as a checkpoint: the next goes on from there, nearer to the end.

    Nothing either where others were lost with it, of its stack or of its machine, but only `max_attempts`
    times: a job that takes its whole machine down each time would never be found out. Without `lease_seconds`
    its worker says so itself, and its machine lives.
    """
    if tx.execute(sa.select(_progressed(loss))).scalar():
        return NOTHING
    with_machine = lease_seconds is not None and _with_its_machine(tx, loss, lease_seconds)
    if loss.with_others or with_machine or _in_a_stack(tx, loss):
        return Toll(lost=int(loss.lost_together >= max_attempts), together=1)
    return ONE


def _progressed(loss: Loss) -> sa.Exists:
    return sa.exists().where(checkpoints.c.job_id == loss.job_id, checkpoints.c.fence == loss.fence)


def _in_a_stack(tx: Connection, loss: Loss) -> bool:
    """Whether it was trained together with others, of whom any may be to blame: the next time it is alone."""
    mine = (attempts.c.job_id == loss.job_id, attempts.c.fence == loss.fence)
    return tx.execute(sa.select(attempts.c.together).where(*mine)).scalar() not in (None, 1)


def _with_its_machine(tx: Connection, loss: Loss, lease_seconds: float) -> bool:
    """Whether no process of its node was heard of since, or another fell silent on a job at the same moment.

    All of a node's processes beat at least every quarter of a lease. A pool that lives replaces a dead child
    at once, and the new one is heard of long before the lease of the old one is over.
    """
    own = sa.select(workers.c.node).where(workers.c.id == loss.worker_id).scalar_subquery()
    others = sa.select(workers.c.job_id, workers.c.seen_at)
    others = others.where(workers.c.node == own, workers.c.id != loss.worker_id)
    if tx.execute(sa.select(own)).scalar() is None:
        return False
    beat = timedelta(seconds=lease_seconds / 4)
    seen = tx.execute(others).all()
    if all(seen_at <= loss.last_heard_at + beat for _, seen_at in seen):
        return True
    moment = (loss.last_heard_at - 2 * beat, loss.last_heard_at + beat)
    return any(job_id is not None and moment[0] <= seen_at <= moment[1] for job_id, seen_at in seen)
