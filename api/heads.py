"""What the head of a request may be: so large, and with one meaning.

The server below bounds what it gathers before a head is whole (`api.connections`); what is too much for us is
told here, as a problem document. Of two `Host` headers a proxy may heed one and we the other, and so with two
of any other header that takes one value.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import AddressTooLongError, HeadersTooLargeError, MalformedRequestError, WebError, report
from api.problems import respond

ADDRESS_BYTES: Final = 16 * 1024
HEADERS: Final = 100
HEADERS_BYTES: Final = 32 * 1024
SINGLE: Final = frozenset(
    {
        *(b"host", b"content-length", b"content-type", b"transfer-encoding", b"authorization", b"origin"),
        *(b"idempotency-key", b"last-event-id"),
    }
)
"""Headers that take one value; what takes a list, such as `Accept`, may come in parts."""
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]+)(:[0-9]*)?")
"""A name or an address, and a port: without a comma, which some would take for a list."""


class UnambiguousHeads:
    """Refuses requests whose head could be understood in two ways."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (detail := _ambiguity(scope)):
            error = MalformedRequestError(detail, headers={"Connection": "close"})
            await respond(report(error), scope)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _ambiguity(scope: Scope) -> str | None:
    counted = Counter(name for name, _ in scope["headers"] if name in SINGLE)
    if twice := next((name for name, times in counted.items() if times > 1), None):
        return f"the header {twice.decode()} was sent {counted[twice]} times; it takes one value"
    host = next((value for name, value in scope["headers"] if name == b"host"), None)
    if host is None:
        is_needed = scope["http_version"] == "1.1"
        return "a request of HTTP/1.1 needs the header host" if is_needed else None
    return None if _HOST.fullmatch(host) else "the header host must be a name or an address, and a port"


class HeadLimits:
    """Refuses requests whose head is too large."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (error := _too_large(scope)):
            await respond(report(error), scope)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _too_large(scope: Scope) -> WebError | None:
    closing = {"Connection": "close"}
    if len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"") > ADDRESS_BYTES:
        return AddressTooLongError(f"an address may have at most {ADDRESS_BYTES:,} bytes", headers=closing)
    headers = scope["headers"]
    if len(headers) > HEADERS:
        return HeadersTooLargeError(f"a request may have at most {HEADERS} headers", headers=closing)
    if sum(len(name) + len(value) for name, value in headers) > HEADERS_BYTES:
        detail = f"the headers of a request may have at most {HEADERS_BYTES:,} bytes"
        return HeadersTooLargeError(detail, headers=closing)
    return None
