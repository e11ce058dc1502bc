"""Which queues a worker listens on, and where its jobs are trained."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

_PROBE = "import sys, torch; sys.exit(not torch.cuda.is_available())"


def queues(setting: str) -> tuple[str, ...]:
    """The queues of a setting such as `gpu,cpu`; `auto` is `cpu`, and before it `gpu` where there is one."""
    if setting.strip() == "auto":
        return ("gpu", "cpu") if has_gpu() else ("cpu",)
    return tuple(name for part in setting.split(",") if (name := part.strip()))


@cache
def has_gpu() -> bool:
    """Whether torch can train on a GPU here.

    A worker's parent process must not load torch, so where there is a driver a process of its own is asked.
    """
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    return subprocess.run([sys.executable, "-c", _PROBE], check=False).returncode == 0  # noqa: S603


def choose(asked: str) -> str:
    """The torch device for a job that asked for `auto`, `cpu` or `cuda`. Loads torch."""
    import torch

    if asked == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise RuntimeError("the job asks for a GPU and this worker has none; its queue must not be `gpu`")
    return "cpu"
