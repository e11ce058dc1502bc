"""What a running server works with, and how a route gets at it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.access import Access, Caller
from api.addresses import wrong_queries
from api.bundles import Bundles
from api.describing import Describer
from api.errors import InvalidInputError, UnauthorizedError
from api.file_work import FileWork
from api.in_flight import InFlight
from api.metering import Meter
from api.networks import Networks
from api.outgoing import Outgoing
from api.queue import Nudges
from api.quotas import Quotas
from api.readiness import Probes
from api.shortages import Shortages
from store.files import Files
from store.session import Database
from store.settings import Settings
from store.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Server:
    """Everything that outlives a request."""

    settings: Settings
    database: Database
    """Of no project: what people ask for goes through their own, `caller.database`."""
    access: Access
    quotas: Quotas
    files: Files
    file_work: FileWork
    """Where everything that touches files is done."""
    nudges: Nudges
    in_flight: InFlight
    meter: Meter
    describer: Describer
    bundles: Bundles
    networks: Networks
    outgoing: Outgoing
    tracing: Tracing
    probes: Probes
    shortages: Shortages
    stopping: asyncio.Event
    """Set when the server is told to stop: open streams and long polls end then."""


# Dependencies that wait for nothing are `async`: FastAPI sends every other one through a thread of its own.


async def server(request: Request) -> Server:
    """The server that a request came to."""
    found: Server = request.app.state.server
    return found


async def caller(request: Request) -> Caller:
    """Who sent a request, as `api.access` let them in; where it let in everybody, there is none."""
    found: Caller | None = getattr(request.state, "caller", None)
    if found is None:
        raise UnauthorizedError
    return found


async def known_queries_only(request: Request) -> None:
    """A filter that is passed over, misspelt or repeated, would answer another question than was asked."""
    if errors := wrong_queries(request):
        raise InvalidInputError(errors=errors)


ServerDep = Annotated[Server, Depends(server)]
CallerDep = Annotated[Caller, Depends(caller)]
