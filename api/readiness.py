"""What the service needs, asked so that whoever hangs holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from api.shortages import FullError

CHECK_SECONDS: Final = 0.9
"""A check that takes longer has failed: whoever asks wants to know now."""


class Probes:
    """Checks in threads of their own, each once at a time: one that hangs holds one thread and not many."""

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Task[str | None]] = {}

    async def ask(self, name: str, check: Callable[[], str | None]) -> str | None:
        """What the check says; raises what it raises, or `TimeoutError` where it does not end in time.

        While one is still under way, everybody waits for that one.
        """
        task = self._asked.get(name)
        if task is None or task.done():
            thread = anyio.to_thread.run_sync(check, limiter=anyio.CapacityLimiter(1))
            task = self._asked[name] = asyncio.ensure_future(thread)
            task.add_done_callback(_look_at)
        return await asyncio.wait_for(asyncio.shield(task), CHECK_SECONDS)


def _look_at(task: asyncio.Task[str | None]) -> None:
    """Where nobody waits for it any more, nobody else asks how it ended."""
    if not task.cancelled():
        task.exception()


def check_room(place: str, free_bytes: int | None, reserve_bytes: int) -> None:
    """Raise `FullError` where less is free than is to be left alone."""
    if free_bytes is not None and free_bytes < reserve_bytes:
        raise FullError(
            f"{free_bytes:,} bytes are free where {place}, and {reserve_bytes:,} are to be left alone "
            "(RIDGELINE_RESERVE_BYTES)"
        )


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(above for above in (folder, *folder.parents) if above.exists())
