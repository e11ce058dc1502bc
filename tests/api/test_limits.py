"""Bodies that come slowly, or not at all, or grow: nobody holds a connection open for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from api import limits
from api.access import PREDICT
from api.errors import BodyTimeoutError, BodyTooLargeError
from api.limits import BodyLimits
from api.uploads import PATH


async def reading(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that wants the whole body."""
    scope["read"] = await Request(scope, receive).body()


def read(receive: Callable[[], Awaitable[Message]], path: str = "/v1/jobs") -> bytes:
    """The body that such an application gets through limits of 100 bytes, and of 1000 for uploads."""

    async def send(_: Message) -> None:
        pass

    scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": []}
    larger = {PATH: 1000 + limits.FORM_BYTES, PREDICT: 300}
    limited = BodyLimits(reading, body_bytes=100, larger=larger)
    asyncio.run(limited(scope, receive, send))
    body: bytes = scope["read"]
    return body


def pieces(*contents: bytes, pause: float = 0.0, endless: bool = False) -> Callable[[], Awaitable[Message]]:
    """A client that sends these pieces and then stays silent."""
    left = list(contents)

    async def receive() -> Message:
        if not left:
            await asyncio.sleep(30)
        await asyncio.sleep(pause)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or endless}

    return receive


def test_a_body_within_its_limit_passes_whole() -> None:
    assert read(pieces(b"a" * 60, b"b" * 40)) == b"a" * 60 + b"b" * 40


def test_a_body_is_counted_as_it_comes() -> None:
    with pytest.raises(BodyTooLargeError, match="100"):
        read(pieces(b"a" * 60, b"b" * 41))


def test_uploads_may_be_larger() -> None:
    assert len(read(pieces(b"a" * 60, b"b" * 900), "/v1/datasets")) == 960
    with pytest.raises(BodyTooLargeError):
        read(pieces(b"a" * (limits.FORM_BYTES + 1001)), "/v1/datasets")


def test_rows_to_predict_may_be_larger() -> None:
    assert len(read(pieces(b"a" * 300), "/v1/jobs/job_1/predict")) == 300
    for path in ("/v1/jobs/job_1/predict", "/v1/jobs/predict", "/v1/jobs/job_1/predict\n"):
        with pytest.raises(BodyTooLargeError):
            read(pieces(b"a" * 301), path)


def test_a_client_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IDLE_SECONDS", 0.05)
    with pytest.raises(BodyTimeoutError, match="nothing arrived"):
        read(pieces(b"a", endless=True))


def test_a_client_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GRACE_SECONDS", 0.1)
    with pytest.raises(BodyTimeoutError, match="only"):
        read(pieces(*[b"a"] * 50, pause=0.02))
