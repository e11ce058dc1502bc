"""Jobs from claim to end, with no Celery in it: the next best one, and with it those it is trained with.

Whatever happens to a job, this process lives on: each attempt ends in an `Ending` that is written under the
attempt's fence, or in nothing at all where the job has become somebody else's. What breaks the process itself
is raised as `UnfitError`, once that is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from models.training import Training
from store import jobs
from store.files import Files
from store.jobs import Job
from store.session import Database
from store.tracing import Tracing
from worker.accelerator import Gpu
from worker.attempts import Attempt
from worker.checkpoints import Cadence
from worker.datasets import Tables
from worker.driving import Drive
from worker.heartbeat import Heartbeat, Lease
from worker.open_files import OpenFiles
from worker.stacks import Stacking, stacked


class Runner:
    """Runs the jobs of one claim at a time, each to its end."""

    def __init__(
        self,
        database: Database,
        files: Files,
        heartbeat: Heartbeat,
        *,
        at_most: int = 1,
        backoff_seconds: float = 10.0,
        cadence: Cadence = Cadence(),
        draining: Callable[[], bool] = lambda: False,
        begin: Callable[..., Training] = Training,
        stack: Stacking = stacked,
        tracing: Tracing = Tracing("", "ridgeline-worker"),
        gpu: Gpu | None = None,
        max_attempts: int = 3,
    ) -> None:
        """`at_most`: jobs trained together. `draining` says whether this process is asked to stop; `begin`
        makes a job's `Training`, `stack` brings those of a claim on their way. `gpu`: the one that this
        process has, or none; `max_attempts`: that may be lost."""
        self._database = database
        self._files = files
        self._tables = Tables(files)
        self._open_files = OpenFiles()
        self._heartbeat = heartbeat
        self._at_most = at_most
        self._backoff_seconds = backoff_seconds
        self._cadence = cadence
        self._draining = draining
        self._begin = begin
        self._stack = stack
        self._tracing = tracing
        self._gpu = gpu
        self._max_attempts = max_attempts

    def run_next(self, queues: Sequence[str]) -> bool:
        """Claim the next best job of these queues, with its companions, and run them; False if none is.

        Raises `UnfitError` where this process must claim no more: before it claims, or after those it had.
        """
        if self._gpu is None:
            return self._run_next(queues)
        self._gpu.check()
        try:
            return self._run_next(queues)
        finally:
            self._gpu.give_back()

    def _run_next(self, queues: Sequence[str]) -> bool:
        since = time.monotonic()
        with self._database.reading() as tx:
            # Many a nudge finds nothing, and on SQLite nobody could write while it looked in order to claim.
            if not jobs.any_waits(tx, queues):
                return False
        if not self._open_files.suffice():
            return False
        with self._database.writing() as tx:
            claimed = jobs.claim(
                tx,
                worker=self._heartbeat.worker_id,
                queues=queues,
                lease_seconds=self._heartbeat.lease_seconds,
                at_most=self._at_most,
            )
        if not claimed:
            return False
        with self._heartbeat.keeping(claimed, since=since) as leases:
            attempts = [self._attempt(job, lease) for job, lease in zip(claimed, leases, strict=True)]
            drive = Drive(
                attempts,
                self._database,
                self._files,
                self._tables,
                begin=self._begin,
                stack=self._stack,
                draining=self._draining,
                backoff_seconds=self._backoff_seconds,
                max_attempts=self._max_attempts,
                gpu=self._gpu,
            )
            drive.run()
        return True

    def _attempt(self, job: Job, lease: Lease) -> Attempt:
        span = self._tracing.span("job", parent=job.traceparent, job_id=job.id, attempt=job.attempt)
        return Attempt(job, lease, span, database=self._database, files=self._files, cadence=self._cadence)
