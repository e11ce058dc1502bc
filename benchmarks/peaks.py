"""How much memory processes take, ours at its worst moment and others' now; only Linux tells."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

from models.datasets import Description

MEGABYTE = 2**20


def resident() -> int:
    """Bytes of this process that are in memory now."""
    return _told("/proc/self/status", "VmRSS")


def peak() -> int:
    """The most that was in memory since `forget_peak`."""
    return _told("/proc/self/status", "VmHWM")


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def give_back_what_is_free() -> None:
    """What was freed goes back to the system, so that it is not taken a second time unseen."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def of_table(description: Description) -> int:
    """Bytes of a table of numbers, its target included."""
    return description.rows * (len(description.columns) + 1) * 8


def of_process(pid: int) -> tuple[int, int]:
    """(RSS, PSS): all that it has in memory, and that with shared pages divided among who shares them."""
    place = f"/proc/{pid}/smaps_rollup"
    return _told(place, "Rss"), _told(place, "Pss")


def _told(place: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(place).read_text(), re.M)
    assert found, f"{place} does not tell {name}"
    return int(found[1]) * 1024
