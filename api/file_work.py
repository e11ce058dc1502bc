"""Threads for whatever touches files, apart from those that the database's work and the answers take.

A file store may hang: a dead network folder does so without end, and nothing in this process can break that
off. Then these threads are all taken, whoever needs files is told so, and everybody else notices nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, ParamSpec, TypeVar

import anyio
import anyio.to_thread

from api.errors import UnavailableError

AT_ONCE: Final = 40
"""As many as the server has for everything else."""
PATIENCE_SECONDS: Final = 5.0
"""How long a request waits for one of them; where none has come free for so long, it does not wait at all."""

P = ParamSpec("P")
T = TypeVar("T")


class FileWork:
    """Of one server; everything but the work itself happens on the event loop's thread."""

    def __init__(self, at_once: int = AT_ONCE, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._at_once = at_once
        self._patience_seconds = patience_seconds
        self._turns = asyncio.Semaphore(at_once)
        self._all_taken_since = float("inf")

    async def run(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """What the work returns; `UnavailableError` where no thread comes free in time."""
        await self._take_turn()
        # A thread may hang for longer than its request lives; its turn is given back when it ends.
        task = asyncio.create_task(self._carry_out(lambda: work(*arguments, **options)))
        task.add_done_callback(_look_at)
        return await asyncio.shield(task)

    async def pieces(self, source: Iterator[bytes]) -> AsyncIterator[bytes]:
        """What comes out of a source that reads files, a piece at a time; an empty one is its end."""
        while piece := await self.run(next, source, b""):
            yield piece

    async def _take_turn(self) -> None:
        taken_for = time.monotonic() - self._all_taken_since
        try:
            if self._turns.locked() and taken_for >= self._patience_seconds:
                raise TimeoutError
            async with asyncio.timeout(self._patience_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise UnavailableError("the file store does not answer; what needs files has to wait") from None
        if self._turns.locked():
            self._all_taken_since = time.monotonic()

    async def _carry_out(self, work: Callable[[], T]) -> T:
        try:
            # Limited by the turns, which are waited for only so long.
            return await anyio.to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
        finally:
            self._all_taken_since = float("inf")
            self._turns.release()


def _look_at(task: asyncio.Task[T]) -> None:
    """Where nobody waits for it any more, nobody else asks how it ended."""
    if not task.cancelled():
        task.exception()
