"""The server's protocol, with an end to what a client may send before anything of ours sees a request.

uvicorn waits for ever for the rest of a request's head, however large it grows, and for a client to read its
answer. Here a head must be there in time and within bounds, whatever follows it must bear a body and not
only trailers or chunk extensions, a pipeline has so many places, and a client that reads nothing, or next to
nothing, is let go.
What is wrong with a head that has arrived whole is `api.heads`' to say, with a problem document.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_SECONDS: Final = 15.0
"""In which a request's head must arrive."""
DRY_BYTES: Final = 64 * 1024
"""Most that may come without completing a head or adding to a body."""
STALLED_SECONDS: Final = 30.0
"""A client that reads nothing of its answer for so long is let go …"""
SLOWEST_BYTES_PER_SECOND: Final = 1024
"""… and so is one that reads so little meanwhile."""
PIPELINED: Final = 32
"""Most requests that may wait behind one that is being answered, on one connection."""
SPARED_DESCRIPTORS: Final = 128
"""Open files that connections leave to the database, the files and the children that read uploads."""


def most_connections() -> int:
    """How many connections this process can hold; the limit on open files is first raised where it may be."""
    try:
        import resource
    except ImportError:  # Windows counts otherwise.
        return 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(64, soft - SPARED_DESCRIPTORS)


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    most: int = 10_000
    """Connections at the same time; more are closed at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dry = 0
        self._head_due: asyncio.TimerHandle | None = None
        self._reading_due: asyncio.TimerHandle | None = None
        self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self.logger.warning("too many connections; one more was closed")
            transport.abort()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_due, self._reading_due):
            if timer is not None:
                timer.cancel()
        self._head_due = self._reading_due = None
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._head_due is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()
        self._dry += len(data)
        super().data_received(data)
        if self._dry > DRY_BYTES:
            self._refuse(431, b"headers or trailers are too large")

    def on_headers_complete(self) -> None:
        self._dry = 0
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None
        if self.transport.is_closing():
            return
        if len(self.pipeline) >= PIPELINED:
            self.transport.abort()
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._dry = 0
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._dry = 0
        if not self.transport.is_closing():
            super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._reading_due = self.loop.call_later(STALLED_SECONDS, self._still_reading)

    def resume_writing(self) -> None:
        if self._reading_due is not None:
            self._reading_due.cancel()
            self._reading_due = None
        super().resume_writing()

    def _expect_head(self) -> None:
        self._head_due = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_due = None
        if self._dry:
            self._refuse(408, b"the request did not arrive in time")
        else:
            self.transport.close()

    def _still_reading(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread > self._unread - STALLED_SECONDS * SLOWEST_BYTES_PER_SECOND:
            self.transport.abort()
            return
        self._unread = unread
        self._reading_due = self.loop.call_later(STALLED_SECONDS, self._still_reading)

    def _refuse(self, status: int, reason: bytes) -> None:
        """Say so, unless an answer has begun, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            length = str(len(reason)).encode()
            head = b"content-type: text/plain\r\nconnection: close\r\ncontent-length: " + length
            self.transport.write(STATUS_LINE[status] + head + b"\r\n\r\n" + reason)
        self.transport.close()
