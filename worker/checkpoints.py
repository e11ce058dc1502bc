"""The checkpoints of one attempt: from which it goes on, when another is due, how it is kept.

A checkpoint that cannot be kept, for want of memory too, costs nothing but the way back: training goes on,
the log says so once an outage, and the next one is tried at its time. What a job goes on from is believed
only as far as its digests agree; a damaged file is given up for the one before it, and at last for the start.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from models.checkpoints import load, save
from models.errors import CheckpointError
from models.training import Training
from store import checkpoints, events, jobs
from store.checkpoints import Checkpoint
from store.columns import printable
from store.errors import (
    DatabaseUnavailable,
    FileDamaged,
    FileMissing,
    FilesFull,
    FilesUnavailable,
    StoreError,
)
from store.events import Entry
from store.files import Files, Stored
from store.jobs import Beat, Job
from store.session import Connection, Database
from worker import endings
from worker.curves import Recorder
from worker.heartbeat import Lease
from worker.memory import is_out_of_memory

log = structlog.get_logger(__name__)

Kept = Literal["kept", "paused", "lost", "failed"]

_SHORTEST_SECONDS = 1.0
"""Between two checkpoints, however quick the epochs are."""
_OUTAGES = (OSError, DatabaseUnavailable, FilesUnavailable, FilesFull, FileMissing)
_UNUSABLE = (FileDamaged, FileMissing, CheckpointError)


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often a checkpoint is kept: whichever comes first."""

    seconds: float = 30.0
    epochs: int = 50


class Checkpoints:
    """What one attempt keeps, under its lease."""

    def __init__(
        self, database: Database, files: Files, lease: Lease, recorder: Recorder, cadence: Cadence
    ) -> None:
        self._database = database
        self._files = files
        self._lease = lease
        self._recorder = recorder
        self._cadence = cadence
        self._number = 0
        self._position = (0, 0)
        """Epochs and batches of the newest checkpoint that is known to be kept; (0, 0) is the start."""
        self._tried_at = time.monotonic()
        self._tried_epoch = 0
        self._failed = False
        self._complained = False
        self._keys: set[str] = set()

    # ── going on ────────────────────────────────────────────────────────────────────────────────────────────

    def resumed(self, job: Job, begin: Callable[[], Training]) -> Training | None:
        """A training that goes on from the newest usable checkpoint, or from the start; None: job lost."""
        if job.attempt == 1:
            return begin()
        with self._database.reading() as tx:
            found = checkpoints.of(tx, job.id)
        self._keys.update(one.key for one in found)
        for one in found:
            training = begin()
            try:
                self._resume(training, one)
            except _UNUSABLE as error:
                log.warning("a checkpoint cannot be used", checkpoint=one.key, error=str(error))
                why = printable(str(error), 500) or ""
                with self._database.writing() as tx:
                    if not checkpoints.fall_back(tx, job.id, self._lease.fence, one, why=why):
                        return None
            else:
                log.info("job goes on from a checkpoint", epoch=one.epoch, batch=one.batch)
                return training
        return begin()

    def _resume(self, training: Training, one: Checkpoint) -> None:
        with tempfile.TemporaryDirectory(prefix="ridgeline-") as folder:
            path = self._files.fetch(one.key, Path(folder) / "checkpoint.safetensors", sha256=one.sha256)
            training.resume(load(path))
        self._number, self._position = one.number, (one.epoch, one.batch)
        self._tried_at, self._tried_epoch = time.monotonic(), one.epoch

    # ── keeping ─────────────────────────────────────────────────────────────────────────────────────────────

    def is_due(self, training: Training, *, together: int = 1) -> bool:
        """Whether it is time for another; several that are trained together have that second in turn."""
        elapsed = time.monotonic() - self._tried_at
        epochs = len(training.history) - self._tried_epoch
        enough = epochs >= self._cadence.epochs and elapsed >= _SHORTEST_SECONDS * together
        return enough or elapsed >= self._cadence.seconds

    def may_retry(self) -> bool:
        """Whether the last one that failed is long enough ago to try again for somebody who waits."""
        return not self._failed or time.monotonic() - self._tried_at >= _SHORTEST_SECONDS

    def keep(self, training: Training) -> Kept:
        """Keep where the training is; where a pause is asked for, the same transaction pauses the job."""
        self._tried_at, self._tried_epoch = time.monotonic(), len(training.history)
        position = (len(training.history), training.batch)
        try:
            stored = None if position == self._position else self._store(training)
            kept = self._write(stored, position)
        except Exception as error:
            if not (isinstance(error, _OUTAGES) or is_out_of_memory(error)):
                raise
            self._failed = True
            self._complain(error)
            return "failed"
        if kept == "lost" and stored:
            self._delete([stored.key])
        return kept

    def _store(self, training: Training) -> Stored:
        """Every try under a number of its own: a transaction whose answer was lost may have kept the last."""
        self._number += 1
        key = checkpoints.key(self._lease.job_id, self._lease.fence, self._number)
        self._keys.add(key)
        with tempfile.TemporaryDirectory(prefix="ridgeline-") as folder:
            path = Path(folder) / "checkpoint.safetensors"
            save(path, training)
            return self._files.put(key, path)

    def _write(self, stored: Stored | None, position: tuple[int, int]) -> Kept:
        """One transaction: the epochs that wait, the checkpoint they lead to, the lease, and the pause."""
        asked_at = time.monotonic()
        superseded: list[str] = []
        with self._database.writing() as tx:
            answer = self._lease.beat(tx)
            if answer.still_mine:
                self._recorder.write(tx)
                superseded = self._point_to(tx, stored, position) if stored else []
            paused = self._pause(tx, answer)
        self._lease.heard(answer, asked_at=asked_at)
        if not answer.still_mine:
            return "lost"
        self._recorder.written()
        self._position, self._failed, self._complained = position, False, False
        self._delete(superseded)
        return "paused" if paused else "kept"

    def _point_to(self, tx: Connection, stored: Stored, position: tuple[int, int]) -> list[str]:
        epoch, batch = position
        job_id, fence = self._lease.job_id, self._lease.fence
        return checkpoints.add(tx, job_id, fence, stored, number=self._number, epoch=epoch, batch=batch) or []

    def _pause(self, tx: Connection, answer: Beat) -> bool:
        if not answer.still_mine or answer.requested_action != "pause":
            return False
        return jobs.paused(tx, self._lease.job_id, self._lease.fence)

    def _complain(self, error: Exception) -> None:
        """Tell the job's log, once an outage; while the database is away, as soon as it answers again."""
        if self._complained:
            return
        log.warning("no checkpoint can be kept; training goes on", error=str(error))
        why = printable(endings.said(error), 500)
        told = Entry("warning", {"detail": f"no checkpoint can be kept, and training goes on: {why}"})
        try:
            with self._database.writing() as tx:
                events.append(tx, self._lease.job_id, told, fence=self._lease.fence)
        except DatabaseUnavailable:
            return
        self._complained = True

    # ── clearing away ───────────────────────────────────────────────────────────────────────────────────────

    def discard(self) -> None:
        """The job has ended, and its rows are gone: delete every file that this attempt knows of."""
        self._delete(self._keys)

    def _delete(self, keys: list[str] | set[str]) -> None:
        """Files that no row points to; what cannot be deleted now is swept later."""
        for key in sorted(keys):
            try:
                self._files.delete(key)
            except StoreError as error:
                log.warning("a checkpoint's file is left behind", key=key, error=str(error))
