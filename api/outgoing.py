"""Large answers on their way out: written piece by piece, as fast as the client reads them.

An answer that is written as a whole stays in memory, twice, until its client has read it, and a client need
not. Here it is held once, in memory up to a sum over all clients and in a file without a name beyond that,
and a piece of it is taken when the one before has left.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api import conditional
from api.errors import UnavailableError

PIECE_BYTES: Final = 64 * 1024
"""Answers up to this are written as they are."""
MEMORY_BYTES: Final = 64 * 1024**2
"""Of large answers, held in memory at the same time."""
DISK_BYTES: Final = 4 * 1024**3
"""Of large answers, held in files at the same time: more are refused until some have been read."""
AT_ONCE: Final = 8
"""Answers that may become large and are made at the same time; others wait without a thread."""


class Outgoing:
    """The large answers of one server. Only the event loop's thread counts them, so nothing needs a lock."""

    def __init__(
        self, folder: Path, *, memory_bytes: int = MEMORY_BYTES, disk_bytes: int = DISK_BYTES
    ) -> None:
        """`folder` is where the files lie."""
        self._folder = folder
        self._memory_left = memory_bytes
        self._disk_left = disk_bytes
        self.turns = asyncio.Semaphore(AT_ONCE)
        """Taken by whoever makes an answer that may become large."""

    @asynccontextmanager
    async def pieces(self, response: Piecewise) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of an answer, whose own body is let go of; `UnavailableError` where there is no room."""
        size = len(response.body)
        if size <= self._memory_left:
            self._memory_left -= size
            try:
                yield _of_memory(response.take())
            finally:
                self._memory_left += size
            return
        if size > self._disk_left:
            raise UnavailableError("too many large answers wait to be read by those who asked for them")
        self._disk_left -= size
        try:
            file = await run_in_threadpool(_written, self._folder, response.take())
            with file:
                yield _of_file(file)
        finally:
            self._disk_left += size


class Piecewise(Response):
    """An answer that was made as a whole, sent in pieces; it does not keep its body while that is sent."""

    def __init__(self, made: Response, outgoing: Outgoing) -> None:
        super().__init__(status_code=made.status_code, background=made.background)
        self.raw_headers = made.raw_headers
        self.body = made.body
        self._outgoing = outgoing

    def take(self) -> bytes:
        """The body, which is the caller's from now on."""
        body, self.body = bytes(self.body), b""
        return body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = scope["method"] == "GET" and self.status_code == 200
        if is_read and "ETag" not in self.headers:
            self.headers["ETag"] = await run_in_threadpool(conditional.tag_of, self.body)
        if is_read and conditional.needs_no_body(scope, self.headers["ETag"]):
            await super().__call__(scope, receive, send)  # The layer that knows why sends the head of it.
            return
        async with self._outgoing.pieces(self) as pieces:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        if self.background is not None:
            await self.background()


class PiecewiseRoute(APIRoute):
    """A route whose answers are sent in pieces where they are large."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def piecewise(request: Request) -> Response:
            made = await handle(request)
            if isinstance(made, StreamingResponse | FileResponse) or len(made.body) <= PIECE_BYTES:
                return made
            outgoing: Outgoing = request.app.state.server.outgoing
            return Piecewise(made, outgoing)

        return piecewise


async def _of_memory(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]


async def _of_file(file: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await run_in_threadpool(file.read, PIECE_BYTES):
        yield piece


def _written(folder: Path, content: bytes) -> IO[bytes]:
    """A file of this content that has no name, so that nothing of it outlives this process."""
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by whoever reads it
        try:
            file.write(content)
            file.seek(0)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise UnavailableError("there is no room for an answer as large as this one now") from error
    return file
