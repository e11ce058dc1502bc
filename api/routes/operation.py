"""For those who run the service: is it up, can it take and work off jobs, what has it done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST

from api.deps import Server, ServerDep
from api.outgoing import PiecewiseRoute
from api.problems import documented
from api.routes.workers import alive_seconds
from api.schemas import Check, Health, Readiness
from store import migrate, workers
from store.errors import StoreError

CHECK_SECONDS: Final = 0.9
"""A check that takes longer has failed: whoever asks wants to know now."""

router = APIRouter(tags=["operation"], route_class=PiecewiseRoute)


@cache
def ridgeline_version() -> str:
    """This version, also from a checkout that was never installed."""
    try:
        return version("ridgeline")
    except PackageNotFoundError:
        return "0.1.0"


@router.get("/healthz", responses=documented())
async def get_health() -> Health:
    """The process is up; says nothing of what it needs."""
    return Health(version=ridgeline_version())


@router.get(
    "/readyz", responses=documented() | {503: {"model": Readiness, "description": "Something is missing."}}
)
async def get_readiness(server: ServerDep, response: Response) -> Readiness:
    """Whether a job submitted now would be taken and worked off; each part says what is wrong with it."""
    database, broker, worker = await asyncio.gather(
        _checked(lambda: _database(server)),
        _checked(lambda: _broker(server)),
        _checked(lambda: _worker(server)),
    )
    ready = database.ok and broker.ok and worker.ok
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return Readiness(
        status="ready" if ready else "not_ready", database=database, broker=broker, worker=worker
    )


async def _checked(check: Callable[[], str | None]) -> Check:
    try:
        return Check(ok=True, detail=await asyncio.wait_for(run_in_threadpool(check), CHECK_SECONDS))
    except TimeoutError:
        return Check(ok=False, detail=f"no answer within {CHECK_SECONDS} seconds")
    except (StoreError, LookupError) as error:
        return Check(ok=False, detail=str(error))
    except Exception as error:
        # Whatever a driver raises: the answer is that the thing is not there.
        return Check(ok=False, detail=f"{type(error).__name__}: {error}"[:300])


def _database(server: Server) -> None:
    server.database.ping()
    migrate.check(server.database)


def _broker(server: Server) -> None:
    server.nudges.ping()


def _worker(server: Server) -> str:
    within = alive_seconds(server.settings)
    with server.database.reading() as tx:
        alive = workers.alive(tx, within)
    if not alive:
        raise LookupError(f"no worker was heard of for {within:.0f} seconds; jobs wait until one comes")
    return f"{len(alive)} heard of, the last one {alive[0].quiet_seconds:.1f} seconds ago"


_TEXT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Prometheus' text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


@router.get("/metrics", responses=documented() | _TEXT, response_class=Response)
def read_metrics(server: ServerDep) -> Response:
    """Counters in Prometheus' text format."""
    return Response(server.meter.text(), media_type=CONTENT_TYPE_LATEST)
