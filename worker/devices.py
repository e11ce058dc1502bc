"""Which queues a worker listens on, and where its jobs are trained. Loads no torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import cache

import structlog

from store import machine

log = structlog.get_logger(__name__)

GPU_QUEUE = "gpu"
"""Whoever listens on it trains on a GPU, and nobody else does, whatever the machine has."""

ASKING_SECONDS = 120.0
"""Loading torch from a cold disk takes most of a minute; a driver that hangs would take for ever."""
_PROBE = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"


class NoDeviceError(Exception):
    """No GPU can be used here, for a reason that lies with this machine and with no job."""


def queues(setting: str) -> tuple[str, ...]:
    """The queues of a setting such as `gpu,cpu`; `auto` is `cpu`, and before it `gpu` where there is one."""
    if setting.strip() == "auto":
        return (GPU_QUEUE, "cpu") if gpus() else ("cpu",)
    return tuple(name for part in setting.split(",") if (name := part.strip()))


@cache
def gpus() -> int:
    """How many GPUs torch can train on here.

    A worker's parent process must not load torch, so where there is a driver a process of its own is asked:
    once, and its children are told (`Settings.hand_down`).
    """
    return _ask() if machine.has_gpu_driver() else 0


def _ask(seconds: float = ASKING_SECONDS, probe: str = _PROBE) -> int:
    command = [sys.executable, "-c", probe]
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, timeout=seconds, check=False
        )
        return int(done.stdout)
    except subprocess.TimeoutExpired:
        log.error("torch was asked for GPUs and does not answer; it is taken that there are none")
    except ValueError:
        log.error("torch cannot be asked for GPUs; it is taken that there are none", error=done.stderr[-500:])
    return 0


def choose(asked: str, gpu: str | None) -> str:
    """The torch device for a job that asked for `auto`, `cpu` or `cuda`, in a process that has this GPU."""
    if asked == "cpu":
        return "cpu"
    if gpu:
        return gpu
    if asked == "cuda":
        raise NoDeviceError("the job asks for a GPU, and this worker has none")
    return "cpu"


def share(index: int, processes: int, gpus: int) -> tuple[int, int]:
    """Which GPU the process `index` of a pool of so many has, and how many of them have that one."""
    own = index % gpus
    return own, max(1, len(range(own, processes, gpus)))


def without_gpu(queues: Sequence[str]) -> tuple[str, ...]:
    """What is left to a process that was to have a GPU and finds none."""
    return tuple(name for name in queues if name != GPU_QUEUE)
