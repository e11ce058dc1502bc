"""How large the head of a request may be: its address, its headers and their number.

The server below bounds what it gathers before a head is whole (`api.connections`); what is too much for us is
told here, as a problem document.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import AddressTooLongError, HeadersTooLargeError, WebError, report
from api.problems import respond

ADDRESS_BYTES: Final = 16 * 1024
HEADERS: Final = 100
HEADERS_BYTES: Final = 32 * 1024


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
