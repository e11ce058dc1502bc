"""What this machine has: processors, and a GPU's driver or none. Nothing is loaded to find that out."""

from __future__ import annotations

import os
from pathlib import Path

_DRIVERS = (
    "/proc/driver/nvidia/version",
    "/dev/nvidiactl",
    "/dev/nvidia[0-9]*",
    "/dev/dxg",  # WSL2, whose driver is Windows'
    "/dev/kfd",  # ROCm
)


def processors() -> int:
    """The processors this process may use: in a container fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_gpu_driver(root: Path = Path("/")) -> bool:
    """Whether a driver left its traces below `root`; torch may still find no GPU that it can use."""
    return any(any(root.glob(pattern.lstrip("/"))) for pattern in _DRIVERS)
