"""Gives back to the system what the C library holds free, which it keeps for each thread if nobody asks."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any


@cache
def _trim() -> Any:
    """glibc's own; other C libraries give back by themselves, or cannot be asked."""
    try:
        return ctypes.CDLL(None).malloc_trim if sys.platform == "linux" else None
    except (AttributeError, OSError):
        return None


def give_back() -> None:
    """Some milliseconds' work, without the interpreter: for a thread, and not for every request."""
    trim = _trim()
    if trim is not None:
        trim(0)
