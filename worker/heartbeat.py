"""The heartbeat: one thread that says this process is alive and keeps its lease on the job it is running.

Renewing a lease and reading what is asked of the job are one statement, so a worker that still has its job
knows what people want of it. A thread can beat while training hangs, and training can go on while nobody can
be told; a `Lease` therefore runs out here by this process's own clock, no later than in the database.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from store import ids, jobs, workers
from store.jobs import Action, Beat, Job
from store.session import Connection, Database

log = structlog.get_logger(__name__)

_LONGEST_INTERVAL = 1.0
"""Seconds between two beats of a running job: a cancel must act within two."""
PRESENCE_SECONDS = 5.0
"""How often an idle process says that it is there."""


class Lease:
    """A running job as this process last heard of it: still ours, and what is asked of it."""

    def __init__(self, job: Job, seconds: float, *, since: float) -> None:
        """`since` is the monotonic time before the claim was sent: the lease is at least that old."""
        self.job_id = job.id
        self.fence = job.fence
        self.seconds = seconds
        self.requested_action: Action | None = job.requested_action
        self._confirmed_at = since
        self._taken = False

    @property
    def lost(self) -> bool:
        """Somebody else has the job, or may have it by now: write nothing more."""
        return self._taken or time.monotonic() - self._confirmed_at > self.seconds

    def beat(self, tx: Connection) -> Beat:
        """Renew it in this transaction; hand the answer to `heard` once that has committed."""
        return jobs.beat(tx, self.job_id, self.fence, self.seconds)

    def heard(self, answer: Beat, *, asked_at: float) -> None:
        """What the database answered to a beat sent at `asked_at` (monotonic)."""
        if not answer.still_mine:
            self._taken = True
        else:
            self._confirmed_at = max(self._confirmed_at, asked_at)
            self.requested_action = answer.requested_action


class Heartbeat:
    """Beats until it is stopped; one for each process that runs jobs."""

    def __init__(self, database: Database, *, queues: tuple[str, ...], lease_seconds: float) -> None:
        self.worker_id = ids.new("worker")
        self._database = database
        self._queues = queues
        self.lease_seconds = lease_seconds
        self._interval = min(_LONGEST_INTERVAL, lease_seconds / 4)
        self._lease: Lease | None = None
        self._present_at = float("-inf")
        self._present_with: str | None = None
        self._reachable = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop beating and sign off."""
        self._stopping.set()
        self._thread.join(timeout=self._interval)
        try:
            with self._database.writing() as tx:
                workers.gone(tx, self.worker_id)
        except Exception as error:  # the row is swept once it is stale
            log.warning("could not sign off", error=str(error))

    @contextmanager
    def keeping(self, job: Job, *, since: float) -> Iterator[Lease]:
        """Keep the lease on a job that was claimed after `since` (monotonic)."""
        self._lease = Lease(job, self.lease_seconds, since=since)
        try:
            yield self._lease
        finally:
            self._lease = None

    def _run(self) -> None:
        self._beat()
        while not self._stopping.wait(self._interval):
            self._beat()

    def _beat(self) -> None:
        lease, asked_at = self._lease, time.monotonic()
        job_id = lease.job_id if lease else None
        present = asked_at - self._present_at < PRESENCE_SECONDS and job_id == self._present_with
        if lease is None and present:
            return
        try:
            with self._database.writing() as tx:
                answer = lease.beat(tx) if lease else None
                if not present:
                    self._say_present(tx, job_id)
        except Exception as error:
            self._note_outage(error)
            return
        self._reachable = True
        if lease and answer:
            lease.heard(answer, asked_at=asked_at)
        if not present:
            self._present_at, self._present_with = asked_at, job_id

    def _say_present(self, tx: Connection, job_id: str | None) -> None:
        workers.seen(
            tx,
            self.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=self._queues,
            job_id=job_id,
        )

    def _note_outage(self, error: Exception) -> None:
        """Once an outage, not once a second."""
        if self._reachable:
            log.warning("no heartbeat reaches the database", error=str(error))
        self._reachable = False
