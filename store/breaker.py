"""A circuit breaker: what has just hung is left alone for a while, so that nobody else waits for it.

    breaker = Breaker("the object store")
    with breaker.watching():
        …ask it…                     # a FilesUnavailable that took long opens the breaker

While it is open, everybody is refused at once; then one is let through to look, and the others are refused
until that one knows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from store.errors import FilesUnavailable

HANG_SECONDS: Final = 1.5
"""A failure that took so long was a hang; a refusal comes sooner, and asking again costs nothing."""
FIRST_REST_SECONDS: Final = 2.0
LONGEST_REST_SECONDS: Final = 15.0
"""How long it is left alone after the first hang and, doubled each time, after many in a row."""
LOOK_SECONDS: Final = 10.0
"""Whoever was let through to look has so long before another may."""


class Breaker:
    """Of one process and one thing that may hang; any number of threads."""

    def __init__(self, name: str, *, hang_seconds: float = HANG_SECONDS) -> None:
        self._name = name
        self._hang_seconds = hang_seconds
        self._lock = threading.Lock()
        self._hangs = 0
        self._shut_out_until = 0.0

    @contextmanager
    def watching(self, *, begun: bool = False) -> Iterator[None]:
        """Raise `FilesUnavailable` at once while it is open; a next step of what has `begun` goes ahead."""
        if not begun:
            self._enter()
        started = time.monotonic()
        try:
            yield
        except FilesUnavailable:
            if time.monotonic() - started >= self._hang_seconds:
                self._open()
            raise
        self._close()

    def _enter(self) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._shut_out_until:
                raise FilesUnavailable(f"{self._name} does not answer")
            if self._hangs:
                self._shut_out_until = now + LOOK_SECONDS

    def _open(self) -> None:
        with self._lock:
            rest = min(FIRST_REST_SECONDS * 2**self._hangs, LONGEST_REST_SECONDS)
            self._hangs = min(self._hangs + 1, 10)
            self._shut_out_until = time.monotonic() + rest

    def _close(self) -> None:
        with self._lock:
            self._hangs, self._shut_out_until = 0, 0.0
