"""The outermost layer: every request has a name, a line in the log, and an answer even where we are at fault.

`X-Request-ID` is taken if it is printable and short, made otherwise, echoed on every answer and kept in the
request's state for whoever stores it.
"""

from __future__ import annotations

import re
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors
from api.problems import respond
from store import ids

HEADER = "X-Request-ID"
_ACCEPTABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/=@-]{0,127}")
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

log = structlog.get_logger(__name__)


class RequestIdentity:
    """Names requests, logs them, and turns what nobody foresaw into a 500 that says where to look."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get(HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._answered(scope, receive, answer)

    async def _answered(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        started = time.perf_counter()
        try:
            await self.app(scope, receive, answer.send)
        except Exception as error:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if answer.status is None:
                await respond(errors.report(error), scope)(scope, receive, answer.send)
        finally:
            seconds = round(time.perf_counter() - started, 4)
            log.info(
                "request", method=scope["method"], path=scope["path"], status=answer.status, seconds=seconds
            )


class _Answer:
    """Watches the answer go by, and gives it the headers that every answer has."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[HEADER] = self._request_id
            for name, value in _SECURITY.items():
                headers.setdefault(name, value)
        await self._send(message)


def _request_id(given: str | None) -> str:
    return given if given and _ACCEPTABLE.fullmatch(given) else ids.new("req")
