"""Curves and warnings on their way into the database: they gather here and are flushed by time, many at once.

An epoch a row and a row a transaction would cost more than small epochs take to train, so epochs wait up to
`FLUSH_SECONDS`, and a transaction takes all that wait. What could not be written stays and is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import structlog

from models.errors import Notice
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
        self._warnings: list[dict[str, Any]] = []
        self._began_at = time.monotonic()
        self._recorded = 0

    def take(self, epoch: Epoch | None) -> None:
        """Keep an epoch for the next flush."""
        if epoch is not None:
            self._waiting.append(Point(epoch.number, epoch.values))
            self.waiting_since = min(self.waiting_since, time.monotonic())

    def warn(self, notices: Iterable[Notice]) -> None:
        """Keep what the asker should know for the next flush; what the job has already is passed over."""
        self._warnings += [asdict(notice) for notice in notices]
        if self._warnings:
            self.waiting_since = min(self.waiting_since, time.monotonic())

    @property
    def is_waiting(self) -> bool:
        """Something is to be flushed."""
        return bool(self._waiting or self._warnings)

    def recording(self) -> Recording:
        """All that waits, and how fast it comes."""
        elapsed = max(time.monotonic() - self._began_at, 1e-6)
        rate = (self._recorded + len(self._waiting)) / elapsed
        return Recording(self.lease.job_id, self.lease.fence, list(self._waiting), rate)

    def write(self, tx: Connection) -> bool:
        """All that waits, in this transaction; False where the job is no longer ours."""
        return bool(record(tx, [self]))

    def write_warnings(self, tx: Connection) -> None:
        """The warnings that wait, in this transaction."""
        if self._warnings:
            jobs.add_warnings(tx, self.lease.job_id, self.lease.fence, self._warnings)

    def written(self) -> None:
        """What waited is committed: nothing of it waits any more."""
        self._recorded += len(self._waiting)
        self.forget()

    def forget(self) -> None:
        """Nothing waits any more."""
        self._waiting.clear()
        self._warnings.clear()
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


def record(tx: Connection, recorders: Sequence[Recorder]) -> set[str]:
    """All that waits of these, in this transaction; answers which of the jobs are still ours.

    The rows are held first, in one order, by whoever writes epochs: nobody waits for each other.
    """
    mine = curves.record_all(tx, [recorder.recording() for recorder in recorders])
    for recorder in recorders:
        if recorder.lease.job_id in mine:
            recorder.write_warnings(tx)
    return mine


def flush(database: Database, recorders: Sequence[Recorder]) -> None:
    """One short transaction: record and beat. In an outage the epochs wait, until the leases are lost."""
    asked_at = time.monotonic()
    leases = [recorder.lease for recorder in recorders]
    try:
        with database.writing() as tx:
            record(tx, recorders)
            answers = jobs.beat_all(tx, [lease.renewal() for lease in leases], leases[0].seconds)
    except DatabaseUnavailable as error:
        log.warning("epochs wait for the database", jobs=[lease.job_id for lease in leases], error=str(error))
        return
    for recorder, answer in zip(recorders, answers, strict=True):
        recorder.lease.heard(answer, asked_at=asked_at)
        recorder.written()
