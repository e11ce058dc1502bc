"""How an attempt ends: each ending writes itself into the database, in one transaction and under the fence.

An ending that finds a cancel asked for becomes that cancel: what was acknowledged to people holds, however
far the job had come. Where a pause was asked for, a job is not put back into the queue but aside.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from models.errors import DataError, DatasetError
from store import counters, jobs, weights
from store.errors import DatabaseUnavailable, FileDamaged, FileMissing, FilesFull, FilesUnavailable
from store.files import Stored
from store.session import Connection
from worker.devices import NoDeviceError
from worker.memory import is_out_of_gpu_memory, is_out_of_memory


class Ending(Protocol):
    """What becomes of the job."""

    @property
    def detail(self) -> str:
        """Why, for people."""

    @property
    def final(self) -> bool:
        """Whether the job has ended with it, and not only this attempt."""

    def write(self, tx: Connection, job_id: str, fence: int) -> bool:
        """False where the job is no longer ours; then nothing is written."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The weights that an attempt leaves behind."""

    stored: Stored
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the training, as far as it went."""

    result: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None
    kept: Kept | None = None

    def put_weights(self, tx: Connection, job_id: str, fence: int) -> bool:
        """False where the job is no longer ours."""
        return self.kept is None or weights.put(tx, job_id, fence, self.kept.stored, self.kept.summary)


NOTHING = Outcome()


@dataclass(frozen=True, slots=True)
class Succeeded:
    """It was trained to its end."""

    reason: str
    detail: str
    outcome: Outcome

    @property
    def final(self) -> bool:
        return True

    def write(self, tx: Connection, job_id: str, fence: int) -> bool:
        if not self.outcome.put_weights(tx, job_id, fence):
            return False
        succeeded = jobs.succeed(
            tx,
            job_id,
            fence,
            stop_reason=self.reason,
            stop_detail=self.detail,
            result=self.outcome.result or {},
            environment=self.outcome.environment,
        )
        return succeeded or Cancelled("cancelled as its training ended", self.outcome).write(
            tx, job_id, fence
        )


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody asked for it; the best weights so far are kept."""

    detail: str
    outcome: Outcome = NOTHING

    @property
    def final(self) -> bool:
        return True

    def write(self, tx: Connection, job_id: str, fence: int) -> bool:
        return self.outcome.put_weights(tx, job_id, fence) and jobs.cancelled(
            tx,
            job_id,
            fence,
            stop_detail=self.detail,
            result=self.outcome.result,
            environment=self.outcome.environment,
        )


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot be trained, or it diverged; never retried."""

    reason: str
    detail: str
    outcome: Outcome = NOTHING

    @property
    def final(self) -> bool:
        return True

    def write(self, tx: Connection, job_id: str, fence: int) -> bool:
        return self.outcome.put_weights(tx, job_id, fence) and jobs.fail(
            tx,
            job_id,
            fence,
            stop_reason=self.reason,
            stop_detail=self.detail,
            result=self.outcome.result,
            environment=self.outcome.environment,
        )


@dataclass(frozen=True, slots=True)
class Released:
    """No fault of the job's: it goes back into the queue, or aside if asked to, and nothing is counted."""

    detail: str
    delay_seconds: float = 0.0

    @property
    def final(self) -> bool:
        return False

    def write(self, tx: Connection, job_id: str, fence: int) -> bool:
        released = jobs.release(tx, job_id, fence, detail=self.detail, delay_seconds=self.delay_seconds)
        if released or jobs.paused(tx, job_id, fence, detail=self.detail):
            return True
        return Cancelled("cancelled before it could run again").write(tx, job_id, fence)


@dataclass(frozen=True, slots=True)
class Lost:
    """Its process can go on with nothing, for which the job may be to blame: counted as a lost worker is."""

    detail: str
    with_others: bool
    """What broke is not this job's alone."""
    max_attempts: int
    backoff_seconds: float

    @property
    def final(self) -> bool:
        return False

    def write(self, tx: Connection, job_id: str, fence: int) -> bool:
        surrendered = jobs.surrender(
            tx,
            job_id,
            fence,
            why=self.detail,
            with_others=self.with_others,
            max_attempts=self.max_attempts,
            backoff_seconds=self.backoff_seconds,
        )
        counters.add(tx, "attempts_lost", int(surrendered))
        return surrendered


CROWDED = "other processes held the GPU's memory; it is tried once more"
_OUTAGES = (DatabaseUnavailable, FilesUnavailable, FilesFull)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
"""What the machine has none left of: no fault of a job's."""
_BAD_DATA = (DataError, DatasetError, FileMissing, FileDamaged)
TOO_MUCH_MEMORY = "it took more memory than a job may; a smaller network, batch or dataset needs less"
_OUT_OF_MEMORY = "the worker ran out of memory; a smaller network, batch or dataset needs less"
_OUT_OF_GPU_MEMORY = "the GPU ran out of memory; a smaller network or batch needs less, and so do fewer rows"
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def of(error: BaseException, *, delay_seconds: float) -> Ending:
    """What becomes of a job whose attempt was broken off by an exception, `SystemExit` included."""
    if isinstance(error, (*_OUTAGES, NoDeviceError)) or _is_full(error):
        return Released(said(error), delay_seconds)
    if isinstance(error, _BAD_DATA):
        return Failed("data_error", said(error))
    if is_out_of_memory(error):
        return Failed("out_of_memory", _OUT_OF_GPU_MEMORY if is_out_of_gpu_memory(error) else _OUT_OF_MEMORY)
    return Failed("internal_error", f"{type(error).__name__}: {said(error)}".rstrip(": "))


def said(error: BaseException) -> str:
    """An error's own words, but for the passwords that addresses carry."""
    return _CREDENTIALS.sub("…", str(error))


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _FULL
