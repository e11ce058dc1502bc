"""Which web pages of other origins may call (CORS): those that the settings name, and nobody by default.

Two layers, since a page must be able to read every answer, even one that says the server failed, while a
preflight is a request like any other and gets its name and its line in the log. Cookies are never asked for:
a page sends a key, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api import errors
from api.problems import respond

_ALLOWED: Final[dict[str, Any]] = {
    "allow_methods": ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"),
    "allow_headers": (
        *("Authorization", "Accept", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID"),
        *("Prefer", "X-Request-ID", "traceparent", "tracestate"),
    ),
    "expose_headers": (
        *("Allow", "ETag", "Idempotent-Replayed", "Link", "Location", "Preference-Applied", "RateLimit"),
        *("RateLimit-Policy", "Retry-After", "Ridgeline-Notice", "WWW-Authenticate", "X-Request-ID"),
    ),
}


class ReadableAnswers(CORSMiddleware):
    """The outermost layer: says on every answer which page may read it."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(app, allow_origins=origins, **_ALLOWED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.simple_response(scope, receive, send, request_headers=Headers(scope=scope))
        else:
            await self.app(scope, receive, send)


class Preflights(CORSMiddleware):
    """Answers what a browser asks before it sends a page's request; of others' pages it knows nothing."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(app, allow_origins=origins, **_ALLOWED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = Headers(scope=scope) if scope["type"] == "http" else Headers()
        asks = scope.get("method") == "OPTIONS" and "access-control-request-method" in sent
        if not asks or not self.is_allowed_origin(sent.get("origin", "")):
            await self.app(scope, receive, send)
            return
        answer = self.preflight_response(request_headers=sent)
        if answer.status_code >= 400:
            said = bytes(answer.body).decode()
            answer = respond(errors.report(errors.MalformedRequestError(said)), scope)
        await answer(scope, receive, send)
