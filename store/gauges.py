"""How things stand at this moment, for whoever watches the service: what waits, what runs, who works.

Every query here counts along an index, only what has not ended, and no more of it than `MOST_COUNTED`: so it
costs the same however many jobs there have been, and never much. What there is more of than that is the rest
of a sum that is kept (`store.usage`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa

from store import counters, jobs, usage
from store.columns import now
from store.jobs import MOST_COUNTED, Status, Waiting
from store.jobs.queues import UNFINISHED_BY_INDEX
from store.session import Connection
from store.tables import deliveries, workers
from store.tables import jobs as running

OPEN: Final[tuple[Status, ...]] = ("queued", "running", "paused")
LATELY_SECONDS: Final = 300.0
"""For as long what has ended is told: a window that every scrape sees several times, whatever it missed."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """One look at everything."""

    unfinished: dict[str, int]
    """Jobs that are queued, running or paused, by status."""
    ended: dict[tuple[str, str], int]
    """Jobs that ended within the last five minutes, by status and stop reason."""
    epochs_per_second: float
    """Of all running jobs together, as they last told."""
    waiting: dict[str, Waiting]
    """Jobs that are due, by queue."""
    workers: dict[str, int]
    """Processes that were heard of lately: `busy` and `idle`."""
    deliveries: dict[str, int]
    """Webhook deliveries that are `pending`, and `dead` ones that were given up."""
    oldest_delivery_seconds: float
    """For how long the pending delivery that is most overdue has been due; 0 where none is."""
    counted: dict[str, int]
    """See `store.counters`."""


def read(tx: Connection, *, alive_seconds: float) -> Gauges:
    """How things stand; workers count that were heard of within `alive_seconds`."""
    if tx.dialect.name == "postgresql":
        # What is counted up to a limit comes in its index's order; to sort it, all would be read.
        tx.exec_driver_sql("SET LOCAL enable_sort = off")
    unfinished, waiting = _open(tx)
    told, oldest = _deliveries(tx)
    return Gauges(
        unfinished=unfinished,
        ended=_ended(tx),
        epochs_per_second=_epochs_per_second(tx),
        waiting=waiting,
        workers=_workers(tx, alive_seconds),
        deliveries=told,
        oldest_delivery_seconds=oldest,
        counted=counters.read(tx),
    )


def _open(tx: Connection) -> tuple[dict[str, int], dict[str, Waiting]]:
    """Jobs that have not ended by status, and those that are due by queue."""
    counted = jobs.counts(tx)
    unfinished = {str(status): counted.get(status, 0) for status in OPEN}
    waiting = jobs.waiting(tx, at_most=MOST_COUNTED)
    depths = {queue: found.jobs for queue, found in waiting.items()}
    if MOST_COUNTED in unfinished.values():
        unfinished = _with_the_rest(unfinished, usage.all_open_jobs(tx))
    if MOST_COUNTED in depths.values():
        depths = _with_the_rest(depths, unfinished["queued"])
    return unfinished, {queue: replace(found, jobs=depths[queue]) for queue, found in waiting.items()}


def _with_the_rest(counted: dict[str, int], total: int) -> dict[str, int]:
    """Counts; one that was broken off is what the others leave of the total, and of two none can be known."""
    broken_off = [name for name, number in counted.items() if number == MOST_COUNTED]
    if len(broken_off) > 1:
        return counted
    rest = total - sum(counted.values()) + MOST_COUNTED
    return {**counted, broken_off[0]: max(MOST_COUNTED, rest)}


def _ended(tx: Connection) -> dict[tuple[str, str], int]:
    how = (running.c.status, running.c.stop_reason)
    lately = sa.select(*how, sa.func.count()).where(running.c.finished_at > now(-LATELY_SECONDS))
    return {
        (status, reason or status): number for status, reason, number in tx.execute(lately.group_by(*how))
    }


def _epochs_per_second(tx: Connection) -> float:
    now_running = (running.c.status == "running", *UNFINISHED_BY_INDEX)
    speeds = sa.select(sa.func.sum(running.c.epochs_per_second)).where(*now_running)
    return float(tx.execute(speeds).scalar() or 0.0)


def _workers(tx: Connection, within_seconds: float) -> dict[str, int]:
    busy = sa.func.count(workers.c.job_id)
    alive = sa.select(sa.func.count(), busy).where(workers.c.seen_at > now(-within_seconds))
    total, at_work = tx.execute(alive).one()
    return {"busy": at_work, "idle": total - at_work}


def _deliveries(tx: Connection) -> tuple[dict[str, int], float]:
    found = {}
    for status in ("pending", "dead"):
        some = sa.select(deliveries.c.due_at).where(deliveries.c.status == status)
        some = some.order_by(deliveries.c.due_at).limit(MOST_COUNTED)
        found[status] = tx.execute(sa.select(sa.func.count()).select_from(some.subquery())).scalar_one()
    first = sa.select(sa.func.min(deliveries.c.due_at), now()).where(deliveries.c.status == "pending")
    due_at, clock = tx.execute(first).one()
    return found, max(0.0, (clock - due_at).total_seconds()) if due_at else 0.0
