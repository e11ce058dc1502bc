"""What a job may take of this process's memory: refused where it is asked for, noticed where it was not.

And which errors say that memory, the machine's or a GPU's, has run out.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import psutil

ROOM_BYTES = 1024**3
"""Beside a job: tables kept for the next one, stacks of threads, what libraries load late."""

KEPT_BYTES = 3 * 1024**3 // 2
"""A process that has held more than this at any time is not kept for further jobs."""


_OF_A_GPU = re.compile(
    r"(CUDA|HIP)( driver)?( error:)? out of memory"
    r"|(CUBLAS|CUSOLVER|CUDNN|CUSPARSE|HIPBLAS|HIPSOLVER)_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)"
    r"|CUDNN_STATUS_INTERNAL_ERROR_(HOST|DEVICE)_ALLOCATION_FAILED"
    r"|CUSOLVER_STATUS_INTERNAL_ERROR, when calling .cusolver\w*Create"
    r"|rocblas_status_memory_error|miopenStatus(AllocFailed|NotInitialized)",
    re.IGNORECASE,
)
"""The words of torch, the runtime, the driver, and of libraries that find no room for their workspace."""


class Memory:
    """Watches how much more this process holds than when its job began."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._process = psutil.Process()
        self._before = self._resident()

    def begin(self) -> None:
        """A job begins: what is held now is not its doing."""
        self._before = self._resident()

    @property
    def exceeded(self) -> bool:
        """Whether the job holds more than a job may."""
        return self._resident() - self._before > self.limit_bytes

    def _resident(self) -> int:
        return int(self._process.memory_info().rss)


def is_out_of_memory(error: BaseException) -> bool:
    """Python's own, a GPU's, and torch's on a CPU, which only its words tell from other errors."""
    if isinstance(error, MemoryError) or is_out_of_gpu_memory(error):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def is_out_of_gpu_memory(error: BaseException) -> bool:
    """Whether a GPU had no room, whoever of torch, driver and libraries says so, each in words of its own."""
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and bool(_OF_A_GPU.search(str(error)))


def refuse_beyond(limit_bytes: int) -> None:
    """Have the kernel refuse this process what goes beyond: the allocation fails, and not the machine.

    Linux counts what a process may write to and has to itself, touched or not. Elsewhere nothing is done.
    """
    held = _private_bytes()
    if held is None:
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = held + limit_bytes + ROOM_BYTES
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _private_bytes() -> int | None:
    """This process's `VmData`; None where there is no such thing."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = status.read_text().splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmData:")), None)
