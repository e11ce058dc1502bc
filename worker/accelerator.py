"""The GPU of this process: taken at its start, shared with others, given back after each claim, and lost.

A CUDA context that has once gone wrong (an address, a device-side assert, memory that flipped) never works
again in its process, whoever's job that was. So after an error a tiny computation tells whether the GPU still
answers; where it does not, this process is fit for nothing more (`DeviceLostError`).
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import torch

from worker import devices
from worker.devices import NoDeviceError
from worker.fitness import UnfitError
from worker.memory import is_out_of_memory

log = structlog.get_logger(__name__)

SHARED = 0.95
"""Of a GPU's memory, by those that have it together; the rest is for their contexts."""
CONTEXT_BYTES = 512 * 1024**2
"""What a process holds there before its first tensor."""
ANSWER_SECONDS = 60.0
"""A tiny computation that takes longer has met a driver that hangs."""


class DeviceLostError(UnfitError):
    """The GPU answers this process no more."""


class Gpu:
    """A GPU as this process has it."""

    def __init__(
        self,
        device: str,
        *,
        name: str | None = None,
        share_bytes: int | None = None,
        end: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGKILL),
    ) -> None:
        """`device`: as torch calls it; `share_bytes`: of its memory, what this process may take; `end`: what
        happens to this process where the driver hangs."""
        self.device = device
        self.name = name
        self._share_bytes = share_bytes
        self._end = end

    def warm_up(self) -> None:
        """Make the context and load cuBLAS: seconds, and gigabytes of the host's memory, no job's doing."""
        some = torch.ones(2, 4, 4, device=self.device)
        torch.bmm(some, some).sum().item()

    def check(self) -> None:
        """Raises `DeviceLostError` where it does not answer: nothing is to be claimed for it."""
        if not self._answers():
            raise DeviceLostError(f"its GPU, {self.device}, does not answer any more")

    def is_lost(self, error: BaseException) -> bool:
        """Whether this error came of a context that is beyond repair, or broke it."""
        return isinstance(error, RuntimeError) and not self._answers()

    def is_crowded(self) -> bool:
        """Whether others hold memory that is this process's share."""
        if self._share_bytes is None:
            return False
        try:
            free_bytes, _ = torch.cuda.mem_get_info(self.device)
            own_bytes = torch.cuda.memory_reserved(self.device)
        except RuntimeError:
            return True  # not even room to ask
        return free_bytes + own_bytes + CONTEXT_BYTES < self._share_bytes

    def give_back(self) -> None:
        """What the last jobs held is others' to take; torch would keep it for the next ones here."""
        gc.collect()
        try:
            torch.cuda.empty_cache()
        except RuntimeError as error:  # whether it is lost is seen before the next claim
            log.warning("the GPU's memory cannot be given back", error=str(error))

    def _answers(self) -> bool:
        try:
            with self._bounded():
                self._compute()
        except RuntimeError as error:
            return is_out_of_memory(error)
        return True

    def _compute(self) -> None:
        """As little as takes a kernel and a wait for it."""
        torch.ones(2, device=self.device).sum().item()

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """A driver that hangs takes its process with it, as a job that hangs does: no less would free it."""
        limit = threading.Timer(ANSWER_SECONDS, self._hangs)
        limit.daemon = True
        limit.start()
        try:
            yield
        finally:
            limit.cancel()

    def _hangs(self) -> None:
        log.error("the GPU hangs; its process is ended", device=self.device, seconds=ANSWER_SECONDS)
        self._end()


def take(index: int, processes: int) -> Gpu:
    """The GPU of the process `index` of so many in its pool. Raises `NoDeviceError`."""
    if not torch.cuda.is_available():
        raise NoDeviceError("torch finds no GPU; is its driver loaded, and is this torch built for it?")
    number, together = devices.share(index, processes, torch.cuda.device_count())
    try:
        torch.cuda.set_device(number)
        torch.cuda.set_per_process_memory_fraction(SHARED / together, number)
        about = torch.cuda.get_device_properties(number)
        share_bytes = int(SHARED / together * about.total_memory)
        gpu = Gpu(f"cuda:{number}", name=about.name, share_bytes=share_bytes)
        gpu.warm_up()
    except RuntimeError as error:
        raise NoDeviceError(f"the GPU cuda:{number} cannot be used: {error}") from error
    return gpu
