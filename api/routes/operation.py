"""For those who run the service: is it up, can it take and work off jobs, what has it done."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.deps import Server, ServerDep
from api.outgoing import PiecewiseRoute
from api.problems import documented
from api.readiness import CHECK_SECONDS, check_room, existing
from api.routes.workers import alive_seconds
from api.schemas import Check, Health, Readiness
from api.shortages import FullError
from store import migrate, workers
from store.errors import DatabaseFull, FilesFull, StoreError

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
    checks = (_database, _files, _broker, _worker)
    names = [check.__name__.strip("_") for check in checks]
    found = await asyncio.gather(*map(partial(_checked, server), names, checks))
    ready = all(check.ok for check in found)
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return Readiness(status="ready" if ready else "not_ready", **dict(zip(names, found, strict=True)))


async def _checked(server: Server, name: str, check: Callable[[Server], str | None]) -> Check:
    try:
        return Check(ok=True, status="ok", detail=await server.probes.ask(name, lambda: check(server)))
    except FullError as error:
        return Check(ok=False, status="full", detail=str(error))
    except TimeoutError:
        detail = f"no answer within {CHECK_SECONDS} seconds"
    except (StoreError, LookupError) as error:
        detail = str(error)
    except Exception as error:
        # Whatever a driver raises: the answer is that the thing is not there.
        detail = f"{type(error).__name__}: {error}"[:300]
    return Check(ok=False, status="failing", detail=detail)


def _database(server: Server) -> None:
    server.database.ping()
    migrate.check(server.database)
    server.shortages.check(DatabaseFull)
    url = server.database.url
    if server.database.dialect == "sqlite" and url.database:
        free = shutil.disk_usage(existing(Path(url.database).parent)).free
        check_room("the database lies", free, server.settings.reserve_bytes)


def _files(server: Server) -> None:
    server.files.check()
    server.shortages.check(FilesFull)
    reserve = server.settings.reserve_bytes
    check_room("files lie", server.files.free_bytes(), reserve)
    free = shutil.disk_usage(existing(server.settings.data_dir)).free
    check_room("uploads are received", free, reserve)


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
