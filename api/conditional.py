"""HEAD, and GET with `ETag`: an answer that the client already has is not sent again.

The tag is a hash of the bytes, so it says truthfully whether anything changed, for JSON and for pictures
alike; a route that knows its own may send it along. What comes in several pieces is not held back to be
hashed, so it has a tag only where its route, or the file server, gives it one.
"""

from __future__ import annotations

import hashlib
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEAD: Final = "ridgeline.is_head"


class ConditionalAnswers:
    """Tags the answers to GET and HEAD, and answers 304 where the client's tag is still right."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        answer = _Tagged(send, Headers(scope=scope).get("if-none-match", ""), scope["method"] == "HEAD")
        inner = scope if scope["method"] == "GET" else {**scope, "method": "GET", _HEAD: True}
        await self.app(inner, receive, answer.send)


class _Tagged:
    """One answer on its way out: its start is held back until its body is known."""

    def __init__(self, send: Send, known_tags: str, is_head: bool) -> None:
        self._send = send
        self._known = known_tags
        self._is_head = is_head
        self._start: Message | None = None
        self._is_over = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif not self._is_over:
            await self._send_body(message)

    async def _send_body(self, message: Message) -> None:
        """Send it on, with the start before it; of an answer that ends here the later pieces are dropped."""
        start, self._start = self._start, None
        if start is not None:
            message = self._tagged(start, message)
            await self._send(start)
        if self._is_head:
            message = {**message, "body": b"", "more_body": False}
        self._is_over = not message.get("more_body")
        await self._send(message)

    def _tagged(self, start: Message, message: Message) -> Message:
        """Give a whole answer its tag; the message that goes on, emptied and the last one for a 304."""
        headers = MutableHeaders(scope=start)
        if start["status"] != 200 or (message.get("more_body") and "ETag" not in headers):
            return message
        tag = headers.get("ETag") or tag_of(message.get("body", b""))
        headers["ETag"] = tag
        headers.setdefault("Cache-Control", "no-cache")
        if not _matches(self._known, tag):
            return message
        start["status"] = 304
        del headers["Content-Length"]
        return {**message, "body": b"", "more_body": False}


def tag_of(content: bytes | memoryview) -> str:
    """The tag of an answer by its bytes, as `ETag` has it."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def needs_no_body(scope: Scope, tag: str) -> bool:
    """Whether of an answer with this tag only the head will be sent: for HEAD, or because it is known."""
    return bool(scope.get(_HEAD)) or _matches(Headers(scope=scope).get("if-none-match", ""), tag)


def is_known(request: Request, tag: str) -> bool:
    """Whether the client has what this tag is of: for routes that would go to some length to send it."""
    return _matches(request.headers.get("if-none-match", ""), tag)


def is_head(request: Request) -> bool:
    """Whether the body will not be sent, so that a route may do without it: it sees every HEAD as a GET."""
    return bool(request.scope.get(_HEAD))


def _matches(known: str, tag: str) -> bool:
    tags = (each.strip().removeprefix("W/") for each in known.split(","))
    return known.strip() == "*" or tag in tags
