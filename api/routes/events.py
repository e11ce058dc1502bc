"""What happens to a job, in order: as a log, or as a live stream that loses and repeats nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
import structlog
from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse

from api import negotiation, waiting
from api.access import Caller
from api.deps import CallerDep, Server, ServerDep
from api.outgoing import PiecewiseRoute
from api.paging import Limit, Number, page_of
from api.problems import documented
from api.schemas import Listing, LoggedEvent
from store import events, jobs
from store.errors import DatabaseUnavailable, NotFound
from store.events import Event
from store.jobs import FINAL

EVENT_STREAM = "text/event-stream"
HEARTBEAT_SECONDS = 15.0
_PAUSES = (0.1, 0.5)
"""Between two looks at a job: at first, and at most while nothing happens."""
_BATCH = 500

LastEventId = Annotated[int, Header(ge=0, le=2**53)]

log = structlog.get_logger(__name__)
router = APIRouter(tags=["events"], route_class=PiecewiseRoute)


@router.get(
    "/v1/jobs/{job_id}/events",
    response_model=Listing[LoggedEvent],
    responses=documented()
    | {
        200: {
            "description": "The log, or the stream.",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
        },
        204: {"description": "Stream only: the job has ended and nothing was missed."},
    },
)
async def read_events(
    request: Request,
    job_id: str,
    caller: CallerDep,
    server: ServerDep,
    after: Number = 0,
    cursor: Number = 0,
    limit: Limit = 200,
    last_event_id: LastEventId = 0,
) -> Response:
    """The log behind event `after`.

    With `Accept: text/event-stream`, a stream of `status`, `epoch`, `warning`, `rewound` and `end`, which
    starts behind `Last-Event-ID` or `after` and ends with the job.
    """
    after = max(after, cursor)
    kind = negotiation.chosen(request.headers.get("accept", ""), [negotiation.JSON, EVENT_STREAM])
    if kind == EVENT_STREAM:
        return await _stream(server, caller, job_id, max(after, last_event_id))
    found = await run_in_threadpool(_log, caller, job_id, after, limit + 1)
    return page_of(request, found, limit=limit, answer=_logged, cursor=lambda event: str(event.number))


def _log(caller: Caller, job_id: str, after: int, limit: int) -> list[Event]:
    with caller.database.reading() as tx:
        jobs.glance(tx, job_id)
        return events.log(tx, job_id, after=after, limit=limit)


def _logged(event: Event) -> LoggedEvent:
    return LoggedEvent(number=event.number, event=event.kind, at=event.at, data=event.data)


async def _stream(server: Server, caller: Caller, job_id: str, after: int) -> Response:
    """The stream; or 204, which tells an EventSource not to come back, where all has been told."""
    now = await waiting.glance(caller, job_id)
    if now.status in FINAL and now.last_event <= after:
        return Response(status_code=204)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_told(server, caller, job_id, after), media_type=EVENT_STREAM, headers=headers)


async def _told(server: Server, caller: Caller, job_id: str, after: int) -> AsyncIterator[bytes]:
    """Events as they come, with a comment now and then so that proxies keep the line open."""
    clock = asyncio.get_running_loop().time
    pause, last_sent = _PAUSES[0], clock()
    with server.meter.stream():
        yield b": this stream ends with the job\nretry: 1000\n\n"
        while not server.stopping.is_set():
            news = await _news(server, caller, job_id, after)
            for event in news or ():
                yield _written(event)
                after, last_sent = event.number, clock()
                if event.kind == "end":
                    return
            if news is None:
                return
            if clock() - last_sent >= HEARTBEAT_SECONDS:
                yield b": still here\n\n"
                last_sent = clock()
            pause = _PAUSES[0] if news else min(pause * 1.2, _PAUSES[1])
            await waiting.stops_within(server.stopping, 0 if len(news) == _BATCH else pause)


async def _news(server: Server, caller: Caller, job_id: str, after: int) -> list[Event] | None:
    """What is new; nothing while the database is away; None where job or key is gone, or all is told."""

    def read() -> list[Event] | None:
        with caller.database.reading() as tx:
            now = jobs.glance(tx, job_id)
            if now.last_event <= after:
                return None if now.status in FINAL else []
            return events.stream_after(tx, job_id, after, limit=_BATCH)

    try:
        return await run_in_threadpool(read) if await server.access.still(caller) else None
    except NotFound:
        return None
    except DatabaseUnavailable as error:
        log.warning("event stream waits for the database", job_id=job_id, reason=str(error))
        return []


def _written(event: Event) -> bytes:
    data = orjson.dumps({**event.data, "at": event.at}, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z)
    return format_sse_event(data_str=data.decode(), event=event.kind, id=str(event.number))
