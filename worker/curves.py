"""A job's curve on its way into the database: epochs gather here and are flushed by time.

An epoch a row and a row a transaction would cost more than small epochs take to train, so epochs wait up to
`FLUSH_SECONDS`, and a transaction takes all that wait. What could not be written stays and is tried again.
"""

from __future__ import annotations

import time

import structlog

from models.history import Epoch
from store import curves
from store.curves import Point
from store.errors import DatabaseUnavailable
from store.session import Connection, Database
from worker.heartbeat import Lease

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 0.2
"""With a pulse every 0.2 seconds at the least, readers see an epoch within half a second."""


class Recorder:
    """The epochs of one attempt, recorded under its lease."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self._database = database
        self._lease = lease
        self._waiting: list[Point] = []
        self._began_at = time.monotonic()
        self._flushed_at = float("-inf")
        self._recorded = 0

    def pulse(self, epoch: Epoch | None) -> None:
        """Take an epoch and flush where it is time; None is a pulse in mid-epoch, when all of it is due."""
        self.take(epoch)
        if self._waiting and (epoch is None or time.monotonic() - self._flushed_at >= FLUSH_SECONDS):
            self._flush()

    def take(self, epoch: Epoch | None) -> None:
        """Keep an epoch for the next flush."""
        if epoch is not None:
            self._waiting.append(Point(epoch.number, epoch.values))

    def write(self, tx: Connection) -> bool:
        """All that waits, in this transaction; False where the job is no longer ours."""
        if not self._waiting:
            return True
        elapsed = max(time.monotonic() - self._began_at, 1e-6)
        rate = (self._recorded + len(self._waiting)) / elapsed
        return curves.record(tx, self._lease.job_id, self._lease.fence, self._waiting, epochs_per_second=rate)

    def written(self) -> None:
        """What `write` wrote is committed: nothing of it waits any more."""
        self._recorded += len(self._waiting)
        self._waiting.clear()

    def _flush(self) -> None:
        """One short transaction: record and beat. In an outage the epochs wait, until the lease is lost."""
        self._flushed_at = asked_at = time.monotonic()
        try:
            with self._database.writing() as tx:
                self.write(tx)
                answer = self._lease.beat(tx)
        except DatabaseUnavailable as error:
            log.warning("epochs wait for the database", epochs=len(self._waiting), error=str(error))
            return
        self._lease.heard(answer, asked_at=asked_at)
        self.written()
