"""The heartbeat: one thread that says this process is alive and keeps its leases on the jobs it is running.

Renewing leases and reading what is asked of the jobs are one transaction for all of them, so a worker that
still has a job knows what people want of it. A thread can beat while training hangs, and training can go on
while nobody can be told; a `Lease` therefore runs out here by this process's own clock, no later than in the
database, and a job that has shown no progress for too long takes its process with it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psutil
import structlog

from store import ids, jobs, workers
from store.jobs import Action, Beat, Job, Renewal
from store.session import Connection, Database
from worker.memory import Memory

log = structlog.get_logger(__name__)

_LONGEST_INTERVAL = 1.0
"""Seconds between two beats of a running job: a cancel must act within two."""
PRESENCE_SECONDS = 5.0
"""How often a process says that it is there, at least four times in a lease."""


class Lease:
    """A running job as this process last heard of it: still ours, and what is asked of it."""

    def __init__(self, job: Job, seconds: float, *, since: float) -> None:
        """`since` is the monotonic time before the claim was sent: the lease is at least that old."""
        self.job_id = job.id
        self.fence = job.fence
        self.seconds = seconds
        self.requested_action: Action | None = job.requested_action
        self.out_of_memory = False
        """The job holds more memory than a job may."""
        self._runtime_seconds: float | None = None
        self._pulsed_at = self._confirmed_at = since
        self._taken = False
        self.over = False
        """The attempt has ended here, and nobody renews it any more."""

    @property
    def lost(self) -> bool:
        """Somebody else has the job, or may have it by now: write nothing more."""
        return self._taken or time.monotonic() - self._confirmed_at > self.seconds

    def pulse(self, runtime_seconds: float | None = None) -> None:
        """The job gets on, and has been trained for so long."""
        self._pulsed_at, self._runtime_seconds = time.monotonic(), runtime_seconds

    @property
    def stuck_seconds(self) -> float:
        """For how long nothing was heard from the job itself."""
        return time.monotonic() - self._pulsed_at

    def beat(self, tx: Connection) -> Beat:
        """Renew it in this transaction; hand the answer to `heard` once that has committed."""
        return jobs.beat(tx, self.job_id, self.fence, self.seconds, runtime_seconds=self._runtime_seconds)

    def renewal(self) -> Renewal:
        """What renews it, with others in one transaction; hand the answer to `heard` as well."""
        return Renewal(self.job_id, self.fence, self._runtime_seconds)

    def heard(self, answer: Beat, *, asked_at: float) -> None:
        """What the database answered to a beat sent at `asked_at` (monotonic)."""
        if not answer.still_mine:
            self._taken = True
        else:
            self._confirmed_at = max(self._confirmed_at, asked_at)
            self.requested_action = answer.requested_action


class Heartbeat:
    """Beats until it is stopped; one for each process that runs jobs."""

    def __init__(
        self,
        database: Database,
        *,
        queues: tuple[str, ...],
        lease_seconds: float,
        progress_seconds: float = 600.0,
        memory: Memory | None = None,
        version: str | None = None,
        device: str | None = None,
        device_name: str | None = None,
        problem: str | None = None,
        end: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGKILL),
    ) -> None:
        """`end` is what happens to a process whose job hangs: nothing less would free it."""
        self.worker_id = ids.new("worker")
        self._database = database
        self._queues = queues
        self.lease_seconds = lease_seconds
        self._interval = min(_LONGEST_INTERVAL, lease_seconds / 4)
        self._presence_interval = min(PRESENCE_SECONDS, lease_seconds / 4)
        self._progress_seconds = progress_seconds
        self._memory = memory
        self._end = end
        own = {"device": device, "device_name": device_name, "problem": problem}
        self._about = {"node": node(), "version": version, **own}
        self._leases: list[Lease] = []
        self._present_at = float("-inf")
        self._present_with: list[str] = []
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
    def keeping(self, claimed: Sequence[Job], *, since: float) -> Iterator[list[Lease]]:
        """Keep the leases on jobs claimed together, after `since` (monotonic), until each is over."""
        if self._memory:
            self._memory.begin()
        self._leases = leases = [Lease(job, self.lease_seconds, since=since) for job in claimed]
        try:
            yield leases
        finally:
            self._leases = []

    def _run(self) -> None:
        self._beat()
        while not self._stopping.wait(self._interval):
            self._beat()

    def _beat(self) -> None:
        leases, asked_at = self._watched(), time.monotonic()
        job_ids = [lease.job_id for lease in leases]
        present = asked_at - self._present_at < self._presence_interval and job_ids == self._present_with
        if not leases and present:
            return
        try:
            with self._database.writing() as tx:
                renewals = [lease.renewal() for lease in leases]
                answers = jobs.beat_all(tx, renewals, self.lease_seconds) if leases else []
                if not present:
                    self._say_present(tx, job_ids)
        except Exception as error:
            self._note_outage(error)
            return
        self._reachable = True
        for lease, answer in zip(leases, answers, strict=True):
            lease.heard(answer, asked_at=asked_at)
        if not present:
            self._present_at, self._present_with = asked_at, job_ids

    def _watched(self) -> list[Lease]:
        """The leases to renew, after a look at how their jobs behave."""
        leases = [lease for lease in self._leases if not lease.over]
        stuck = [lease.job_id for lease in leases if lease.stuck_seconds > self._progress_seconds]
        if stuck:
            for job_id in stuck:
                log.error("a job hangs; its process is ended", job_id=job_id, seconds=self._progress_seconds)
            self._leases = leases = []
            self._end()
        if leases and self._memory and self._memory.exceeded:
            for lease in leases:
                lease.out_of_memory = True
        return leases

    def _say_present(self, tx: Connection, job_ids: Sequence[str]) -> None:
        workers.seen(
            tx,
            self.worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=self._queues,
            job_ids=job_ids,
            **self._about,
        )

    def _note_outage(self, error: Exception) -> None:
        """Once an outage, not once a second."""
        if self._reachable:
            log.warning("no heartbeat reaches the database", error=str(error))
        self._reachable = False


def node() -> str:
    """The worker whose child this process is; its children share its fate, and its name for that."""
    parent = os.getppid()
    try:
        began = psutil.Process(parent).create_time()
    except psutil.Error:
        began = 0.0
    return f"{socket.gethostname()}:{parent}:{began:.2f}"
