"""One job from claim to end: claim → table → resume → train → record → finish. There is no Celery in here.

Whatever happens to a job, this process lives on: each attempt ends in an `Ending` that is written under the
attempt's fence, or in nothing at all where the job has become somebody else's.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import structlog
from structlog.contextvars import bound_contextvars

from models.datasets import Description
from models.preprocessing import Preprocessor, prepare
from models.spec import JobSpec
from models.training import Training
from models.weights import save, summarize
from store import datasets, jobs, weights
from store.errors import DatabaseUnavailable
from store.files import Files
from store.jobs import Job
from store.session import Database
from store.tracing import Span, Tracing
from worker import devices, endings, reports
from worker.checkpoints import Cadence, Checkpoints
from worker.curves import Recorder
from worker.datasets import Tables
from worker.endings import Cancelled, Ending, Failed, Kept, Outcome, Released, Succeeded
from worker.heartbeat import Heartbeat, Lease

log = structlog.get_logger(__name__)

Told = Literal["lost", "cancel", "memory", "drain", "pause", "paused", "finish"]
"""Why training ends before it does so by itself."""

RETRY_SECONDS = 0.25
"""Between two tries to write an ending while the database is away."""


class Runner:
    """Runs one job at a time, each to its end."""

    def __init__(
        self,
        database: Database,
        files: Files,
        heartbeat: Heartbeat,
        *,
        backoff_seconds: float = 10.0,
        cadence: Cadence = Cadence(),
        draining: Callable[[], bool] = lambda: False,
        begin: Callable[..., Training] = Training,
        tracing: Tracing = Tracing("", "ridgeline-worker"),
    ) -> None:
        """`draining` says whether this process is asked to stop; `begin` makes a job's `Training`."""
        self._database = database
        self._files = files
        self._tables = Tables(files)
        self._heartbeat = heartbeat
        self._backoff_seconds = backoff_seconds
        self._cadence = cadence
        self._draining = draining
        self._begin = begin
        self._tracing = tracing

    def run_next(self, queues: Sequence[str]) -> bool:
        """Claim the next best job of these queues and run it; False where none is due."""
        since = time.monotonic()
        with self._database.writing() as tx:
            claimed = jobs.claim(
                tx,
                worker=self._heartbeat.worker_id,
                queues=queues,
                lease_seconds=self._heartbeat.lease_seconds,
            )
        if not claimed:
            return False
        (job,) = claimed
        bound = bound_contextvars(job_id=job.id, request_id=job.request_id, attempt=job.attempt)
        traced = self._tracing.span("job", parent=job.traceparent, job_id=job.id, attempt=job.attempt)
        with bound, traced as span, self._heartbeat.keeping(job, since=since) as lease:
            self._run(job, lease, span)
        return True

    def _run(self, job: Job, lease: Lease, span: Span) -> None:
        """From the claim to the end, whatever comes."""
        log.info("job begins", queue=job.queue, dataset=job.dataset_name)
        recorder = Recorder(self._database, lease)
        kept = Checkpoints(self._database, self._files, lease, recorder, self._cadence)
        try:
            ending = self._train(job, lease, recorder, kept)
        except BaseException as error:
            log.exception("job broken off")
            ending = endings.of(error, delay_seconds=self._backoff_seconds)
        span.say(ending=type(ending).__name__.lower() if ending else "left")
        if ending and not self._conclude(lease, recorder, kept, ending):
            log.warning("job is no longer this worker's; nothing more is written")

    # ── training ────────────────────────────────────────────────────────────────────────────────────────────

    def _train(self, job: Job, lease: Lease, recorder: Recorder, kept: Checkpoints) -> Ending | None:
        """How training ended; None where nothing is left to write: the job was paused, or lost on the way."""
        spec = JobSpec.model_validate(job.spec)
        table = self._tables.of(self._dataset(job))
        lease.pulse()
        prepared = prepare(spec, table)
        lease.pulse()
        device = devices.choose(spec.training.device)
        begin = partial(self._begin, spec, prepared, device=device, spent_seconds=job.runtime_seconds)
        training = kept.resumed(job, begin)
        told = self._drive(training, lease, recorder, kept) if training else "lost"
        if training is None or told in ("lost", "paused"):
            log.info("job is let go", because=told)
            return None
        if told == "drain":
            return None if kept.keep(training) == "paused" else Released("its worker was told to stop")
        if told in ("cancel", "memory"):
            training.restore()
        elif told == "finish":
            recorder.take(training.finish())
        keep = partial(self._keep, job, training, prepared.preprocessor, table.description)
        return _ending(training, keep, told=told)

    def _keep(
        self, job: Job, training: Training, preprocessor: Preprocessor, description: Description
    ) -> Kept:
        """Store the weights under a name that carries the fence: a stale worker overwrites nobody's."""
        with tempfile.TemporaryDirectory(prefix="ridgeline-") as folder:
            path = Path(folder) / "weights.safetensors"
            save(
                path,
                network_state=training.network.state_dict(),
                spec=training.spec,
                preprocessor=preprocessor,
                description=description,
            )
            stored = self._files.put(weights.key(job.id, job.fence), path)
        return Kept(stored, summarize(training.network, training.spec, preprocessor))

    def _dataset(self, job: Job) -> datasets.Dataset:
        with self._database.of(job.project_id).reading() as tx:
            return datasets.get(tx, job.dataset_id)

    def _drive(self, training: Training, lease: Lease, recorder: Recorder, kept: Checkpoints) -> Told | None:
        """Train until the end, or until something ends it: then say what."""
        told = self._heed(training, lease, kept)
        if told and (told != "finish" or training.history):
            return told
        for epoch in training.pulses():
            lease.pulse(training.runtime_seconds)
            recorder.pulse(epoch)
            if told := self._heed(training, lease, kept):
                return told
        return None

    def _heed(self, training: Training, lease: Lease, kept: Checkpoints) -> Told | None:
        """What ends training now. A pause is carried out here, since it may be taken back or have to wait."""
        told = self._told(training, lease)
        waits = told == "pause" and kept.may_retry()
        if waits or (told is None and training.stop_reason is None and kept.is_due(training)):
            done = kept.keep(training)
            return done if done in ("paused", "lost") else None
        return None if told == "pause" else told

    def _told(self, training: Training, lease: Lease) -> Told | None:
        """What was asked for, or happened, that weighs most. Training that is over ends as it would have."""
        if lease.lost:
            return "lost"
        if lease.requested_action == "cancel":
            return "cancel"
        if training.stop_reason is not None:
            return None
        if lease.out_of_memory:
            return "memory"
        if self._draining():
            return "drain"
        return lease.requested_action

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────

    def _conclude(self, lease: Lease, recorder: Recorder, kept: Checkpoints, ending: Ending) -> bool:
        """Write the ending with the epochs that still wait; False where the job is no longer ours."""
        try:
            return self._write(lease, recorder, kept, ending)
        except BaseException as error:
            log.exception("the end of the job could not be written")
            # Perhaps its result or its last epochs cannot be stored; that it failed can.
            failure = endings.of(error, delay_seconds=self._backoff_seconds)
        try:
            return self._write(lease, None, kept, failure)
        except BaseException:
            log.exception("the job is left to its lease")
            return False

    def _write(self, lease: Lease, recorder: Recorder | None, kept: Checkpoints, ending: Ending) -> bool:
        """One transaction, tried until the lease is lost."""
        while not lease.lost:
            try:
                with self._database.writing() as tx:
                    if recorder and not recorder.write(tx):
                        return False
                    written = ending.write(tx, lease.job_id, lease.fence)
            except DatabaseUnavailable as error:
                log.warning("the end of the job waits for the database", error=str(error))
                time.sleep(RETRY_SECONDS)
            else:
                log.info("attempt ends", ending=type(ending).__name__.lower(), detail=ending.detail)
                if written and ending.final:
                    kept.discard()
                return written
        return False


def _ending(training: Training, keep: Callable[[], Kept], *, told: Told | None) -> Ending:
    """What came of a training that ended by itself, or was cut short by a finish, a cancel or its size."""
    environment = reports.environment(training)
    short = told in ("cancel", "memory")
    if short or training.stop_reason == "diverged":
        kept = keep() if reports.has_best(training) else None
        outcome = Outcome(reports.so_far(training), environment, kept)
        if told == "cancel":
            return Cancelled(f"cancelled by request after epoch {len(training.history)}", outcome)
        if told == "memory":
            return Failed("out_of_memory", endings.TOO_MUCH_MEMORY, outcome)
        return Failed("diverged", training.stop_detail, outcome)
    outcome = Outcome(training.result(), environment, keep())
    return Succeeded(str(training.stop_reason), training.stop_detail, outcome)
