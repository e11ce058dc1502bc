"""Curves on their way into the database: epochs gather here, and those of all jobs are flushed by time.

An epoch a row and a row a transaction would cost more than small epochs take to train, so epochs wait up to
`FLUSH_SECONDS`, and a transaction takes all that wait. What could not be written stays and is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from models.history import Epoch
from store import curves, jobs
from store.curves import Point, Recording
from store.errors import DatabaseUnavailable
from store.session import Connection, Database
from worker.heartbeat import Lease

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 0.25
"""No epoch waits longer for its transaction, as far as pulses come evenly."""


class Recorder:
    """The epochs of one attempt, recorded under its lease."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.waiting_since = float("inf")
        self._waiting: list[Point] = []
        self._began_at = time.monotonic()
        self._recorded = 0

    def take(self, epoch: Epoch | None) -> None:
        """Keep an epoch for the next flush."""
        if epoch is not None:
            self._waiting.append(Point(epoch.number, epoch.values))
            self.waiting_since = min(self.waiting_since, time.monotonic())

    @property
    def is_waiting(self) -> bool:
        """Something is to be flushed."""
        return bool(self._waiting)

    def recording(self) -> Recording:
        """All that waits, and how fast it comes."""
        elapsed = max(time.monotonic() - self._began_at, 1e-6)
        rate = (self._recorded + len(self._waiting)) / elapsed
        return Recording(self.lease.job_id, self.lease.fence, list(self._waiting), rate)

    def write(self, tx: Connection) -> bool:
        """All that waits, in this transaction; False where the job is no longer ours."""
        return bool(curves.record_all(tx, [self.recording()]))

    def written(self) -> None:
        """What waited is committed: nothing of it waits any more."""
        self._recorded += len(self._waiting)
        self.forget()

    def forget(self) -> None:
        """Nothing waits any more."""
        self._waiting.clear()
        self.waiting_since = float("inf")


class Pace:
    """When the epochs of several attempts are to be flushed."""

    def __init__(self) -> None:
        self._pulsed_at = time.monotonic()

    def is_due(self, recorders: Sequence[Recorder]) -> bool:
        """To be asked at each pulse: whether something would have waited too long by the time of the next."""
        now = time.monotonic()
        until_next, self._pulsed_at = now - self._pulsed_at, now
        oldest = min((recorder.waiting_since for recorder in recorders), default=float("inf"))
        return now + until_next - oldest >= FLUSH_SECONDS


def flush(database: Database, recorders: Sequence[Recorder]) -> None:
    """One short transaction: record and beat. In an outage the epochs wait, until the leases are lost."""
    asked_at = time.monotonic()
    leases = [recorder.lease for recorder in recorders]
    try:
        with database.writing() as tx:
            curves.record_all(tx, [recorder.recording() for recorder in recorders])
            answers = jobs.beat_all(tx, [lease.renewal() for lease in leases], leases[0].seconds)
    except DatabaseUnavailable as error:
        log.warning("epochs wait for the database", jobs=[lease.job_id for lease in leases], error=str(error))
        return
    for recorder, answer in zip(recorders, answers, strict=True):
        recorder.lease.heard(answer, asked_at=asked_at)
        recorder.written()
