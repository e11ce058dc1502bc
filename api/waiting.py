"""Waiting for a job without holding anything: no connection, no thread, only a timer between short looks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.concurrency import run_in_threadpool

from api.access import Caller
from api.deps import Server
from api.errors import InvalidInputError, UnauthorizedError
from models.errors import Complaint
from store import jobs
from store.jobs import Glance

LONGEST_SECONDS = 60
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25
"""Seconds between two looks: a tenth of the time waited so far, so that short jobs are not kept waiting."""

_PREFERENCE = re.compile(r"\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:;.*)?", re.IGNORECASE)


async def _documented(
    prefer: Annotated[
        str | None,
        Header(
            description="`wait=20`: answer when the job has ended, or after so many seconds (at most 60)."
        ),
    ] = None,
) -> None:
    """For the OpenAPI document alone: `preferred_seconds` reads it, and says what is wrong with it."""


MAY_WAIT = Depends(_documented)


def preferred_seconds(request: Request) -> float | None:
    """The `wait` of `Prefer: wait=20` (RFC 7240), or None; other preferences are passed over, as it says."""
    parts = ",".join(request.headers.getlist("prefer")).split(",")
    waits = [part for part in parts if part.strip().lower().startswith("wait")]
    if not waits:
        return None
    match = _PREFERENCE.fullmatch(waits[0])
    if match is None or int(match[1]) > LONGEST_SECONDS:
        detail = f"wait is a number of seconds from 0 to {LONGEST_SECONDS}"
        raise InvalidInputError(errors=[Complaint("/header/prefer", detail, suggestion="wait=20")])
    return float(match[1])


async def until(
    request: Request,
    server: Server,
    caller: Caller,
    job_id: str,
    seconds: float,
    enough: Callable[[Glance], bool],
) -> None:
    """Return when a look at the job is enough, or the time is up, the client gone, or the server stopping."""
    clock = asyncio.get_running_loop().time
    start = clock()
    while not enough(await glance(caller, job_id)):
        waited = clock() - start
        left = seconds - waited
        if left <= 0 or await request.is_disconnected():
            return
        if not await server.access.still(caller):
            raise UnauthorizedError
        pause = min(max(waited / 10, _SHORTEST_PAUSE), _LONGEST_PAUSE, left)
        if await stops_within(server.stopping, pause):
            return


async def stops_within(stopping: asyncio.Event, seconds: float) -> bool:
    """Sleep, unless the server is told to stop meanwhile: then True, at once."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def glance(caller: Caller, job_id: str) -> Glance:
    """A look at what changes of a job, on a connection that is given back at once."""

    def look() -> Glance:
        with caller.database.reading() as tx:
            return jobs.glance(tx, job_id)

    return await run_in_threadpool(look)
