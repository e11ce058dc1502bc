"""Whose fault an error is: the job's, its company's, the machine's, or a GPU's that this process lost."""

from __future__ import annotations

from store import attempts as records
from store.errors import DatabaseUnavailable
from store.session import Database
from worker import endings
from worker.accelerator import DeviceLostError, Gpu
from worker.attempts import Attempt
from worker.devices import NoDeviceError
from worker.endings import CROWDED, Ending, Lost, Released
from worker.fitness import UnfitError
from worker.memory import is_out_of_gpu_memory, is_out_of_memory

ALONE = "from now on it is trained alone"


class Faults:
    """Judges the errors of one claim."""

    def __init__(
        self,
        database: Database,
        gpu: Gpu | None,
        *,
        in_company: bool,
        max_attempts: int,
        backoff_seconds: float,
    ) -> None:
        """`in_company`: several jobs were claimed, so what breaks one may be another's."""
        self.in_company = in_company
        self._database = database
        self._gpu = gpu
        self._max_attempts = max_attempts
        self._backoff_seconds = backoff_seconds

    def of_process(self, error: BaseException) -> UnfitError | None:
        """Why this process is fit for nothing more after such an error, if it is not."""
        if isinstance(error, UnfitError):
            return error
        if self._gpu and self._gpu.is_lost(error):
            return DeviceLostError(f"its GPU was lost: {endings.said(error)}"[:1000])
        return None

    def of_one(self, attempt: Attempt, error: BaseException) -> Ending:
        """What becomes of an attempt by an error in what is its own."""
        if self.in_company and is_out_of_memory(error):
            return Released(f"its stack ran out of memory; {ALONE}")
        return self._of(attempt, error)

    def of_all(self, attempt: Attempt, error: BaseException) -> Ending:
        """What becomes of each attempt by an error in what they share."""
        if self.in_company and not isinstance(error, UnfitError | NoDeviceError):
            why = f"{type(error).__name__}: {endings.said(error)}".rstrip(": ")
            return Released(f"its stack broke off, and {ALONE}: {why}"[:1000])
        return self._of(attempt, error)

    def _of(self, attempt: Attempt, error: BaseException) -> Ending:
        if isinstance(error, UnfitError):  # which the job may have made it
            return Lost(str(error), self.in_company, self._max_attempts, self._backoff_seconds)
        if is_out_of_gpu_memory(error) and self._is_crowded_out(attempt):
            return Released(CROWDED, self._backoff_seconds)
        return endings.of(error, delay_seconds=self._backoff_seconds)

    def _is_crowded_out(self, attempt: Attempt) -> bool:
        """Whether others hold the memory that it lacks, and that is not said of it a second time."""
        if self._gpu is None or not self._gpu.is_crowded():
            return False
        try:
            with self._database.of(attempt.job.project_id).reading() as tx:
                return all(each.detail != CROWDED for each in records.of(tx, attempt.job.id))
        except DatabaseUnavailable:
            return True
