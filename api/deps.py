"""What a running server works with, and how a route gets at it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.addresses import unknown_queries
from api.bundles import Bundles
from api.describing import Describer
from api.errors import InvalidInputError
from api.metering import Meter
from api.queue import Nudges
from store.files import Files
from store.session import Database
from store.settings import Settings


@dataclass(frozen=True, slots=True)
class Server:
    """Everything that outlives a request."""

    settings: Settings
    database: Database
    files: Files
    nudges: Nudges
    meter: Meter
    describer: Describer
    bundles: Bundles
    stopping: asyncio.Event
    """Set when the server is told to stop: open streams and long polls end then."""


def server(request: Request) -> Server:
    """The server that a request came to."""
    found: Server = request.app.state.server
    return found


async def known_queries_only(request: Request) -> None:
    """A misspelt filter that is passed over would answer another question than was asked."""
    if errors := unknown_queries(request):
        raise InvalidInputError(errors=errors)


ServerDep = Annotated[Server, Depends(server)]
