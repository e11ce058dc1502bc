"""One attempt at one job: what this process holds of it from its claim to its end, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from structlog.contextvars import bound_contextvars

from models.training import Training
from store.files import Files
from store.jobs import Job
from store.session import Database
from store.tracing import Span
from worker.checkpoints import Cadence, Checkpoints
from worker.curves import Recorder
from worker.heartbeat import Lease

Told = Literal["lost", "cancel", "memory", "drain", "pause", "paused", "finish"]
"""Why training ends before it does so by itself."""


class Attempt:
    """A job that this process has claimed."""

    def __init__(
        self, job: Job, lease: Lease, span: Span, *, database: Database, files: Files, cadence: Cadence
    ) -> None:
        self.job = job
        self.lease = lease
        self.recorder = Recorder(lease)
        self.kept = Checkpoints(database, files, lease, self.recorder, cadence)
        self.is_seated = False
        """It is being trained with others, or alone."""
        self._span = span
        self._training: Training | None = None

    @property
    def training(self) -> Training:
        """Its network on its way."""
        if self._training is None:
            raise RuntimeError("the job's training has not begun")
        return self._training

    @training.setter
    def training(self, training: Training) -> None:
        self._training = training

    @property
    def is_over(self) -> bool:
        """Nothing more is done about it here."""
        return self.lease.over

    def end(self, ending: str) -> None:
        """Nothing more is done about it here."""
        self.lease.over = True
        self._span.say(ending=ending)
        self._span.end()

    @contextmanager
    def in_focus(self) -> Iterator[None]:
        """What is logged meanwhile is about it."""
        job = self.job
        with bound_contextvars(job_id=job.id, request_id=job.request_id, attempt=job.attempt):
            yield

    def told(self, *, draining: bool) -> Told | None:
        """What was asked for, or happened, that weighs most. Training that is over ends as it would have."""
        if self.lease.lost:
            return "lost"
        if self.lease.requested_action == "cancel":
            return "cancel"
        if self.training.stop_reason is not None:
            return None
        if self.lease.out_of_memory:
            return "memory"
        return "drain" if draining else self.lease.requested_action

    def heed(self, *, draining: bool, is_due: bool) -> Told | None:
        """What ends it now; where a checkpoint `is_due`, and nothing does, it is kept here.

        So is the one that a pause waits for, since that may be taken back or have to wait.
        """
        told = self.told(draining=draining)
        waits = told == "pause" and self.kept.may_retry()
        if waits or (told is None and self.training.stop_reason is None and is_due):
            done = self.kept.keep(self.training)
            return done if done in ("paused", "lost") else None
        return None if told == "pause" else told
