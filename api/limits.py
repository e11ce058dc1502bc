"""How much of a body is taken, and how slowly it may come.

The server below has no limit on either. A body is counted as it arrives, so a missing or lying
Content-Length changes nothing, and nobody can hold a connection open by sending a byte now and then.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import BodyTimeoutError, BodyTooLargeError, report
from api.problems import respond

IDLE_SECONDS = 30.0
"""Longest silence within a body."""
SLOWEST_BYTES_PER_SECOND = 1024
"""A body that comes slower than this, after a minute's grace, is given up."""
GRACE_SECONDS = 60.0

FORM_BYTES = 64 * 1024
"""What a multipart form may hold besides its file."""


class BodyLimits:
    """Hands the application a `receive` that counts and keeps time."""

    def __init__(self, app: ASGIApp, *, body_bytes: int, larger: Mapping[re.Pattern[str], int]) -> None:
        """`larger` are the limits of paths that may be sent more."""
        self.app = app
        self.body_bytes = body_bytes
        self.larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        if announced_bytes(scope) > limit:
            await respond(report(_too_large(limit)), scope)(scope, receive, send)
            return
        await self.app(scope, _Counted(receive, limit).receive, send)

    def _limit(self, path: str) -> int:
        return next((most for where, most in self.larger.items() if where.fullmatch(path)), self.body_bytes)


def announced_bytes(scope: Scope) -> int:
    """What Content-Length says; 0 where it says nothing that makes sense."""
    said = Headers(scope=scope).get("content-length", "")
    return int(said) if said.isdecimal() and len(said) < 20 else 0


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"a body may have at most {limit:,} bytes", headers={"Connection": "close"})


class _Counted:
    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._taken = 0
        self._started = asyncio.get_running_loop().time()
        self._is_over = False

    async def receive(self) -> Message:
        if self._is_over:
            return await self._receive()
        message = await self._in_time()
        self._taken += len(message.get("body", b""))
        self._is_over = not message.get("more_body")
        if self._taken > self._limit:
            raise _too_large(self._limit)
        return message

    async def _in_time(self) -> Message:
        waited = asyncio.get_running_loop().time() - self._started
        if waited > GRACE_SECONDS and self._taken < waited * SLOWEST_BYTES_PER_SECOND:
            raise BodyTimeoutError(f"only {self._taken} bytes arrived in {waited:.0f} seconds")
        try:
            return await asyncio.wait_for(self._receive(), IDLE_SECONDS)
        except TimeoutError:
            raise BodyTimeoutError(f"nothing arrived for {IDLE_SECONDS:.0f} seconds") from None
