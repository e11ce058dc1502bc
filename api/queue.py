"""The queue as the web sees it: a way to say "look at the table", and to ask whether the broker is there.

Publishing never happens within a request: with a broker that hangs it takes many seconds. A thread of its own
sends, and a nudge that cannot be sent is dropped and logged; the row is safe and the reconciler nudges again.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Mapping
from typing import Final

import structlog
from celery import Celery

TASK: Final = "ridgeline.work"
"""The task's name is all that this door and the workers share."""

LONGEST_BACKLOG = 1000
"""Nudges that wait for a slow broker; more than this many say nothing new."""

_OPTIONS: Final = {"socket_timeout": 5, "socket_connect_timeout": 2, "max_retries": 1, "interval_start": 0}
_STOP_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Nudges:
    """Sends nudges in the background, from `start` to `stop`."""

    def __init__(self, broker_url: str, options: Mapping[str, str | float] | None = None) -> None:
        self._app = Celery("ridgeline", broker=broker_url, set_as_current=False)
        self._app.conf.update(
            broker_transport_options={**_OPTIONS, **(options or {})},
            broker_connection_timeout=2,
            task_publish_retry=False,
            task_ignore_result=True,
        )
        self._waiting: queue.Queue[str | None] = queue.Queue(LONGEST_BACKLOG)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._send_all, name="nudges", daemon=True)
        self._thread.start()

    def nudge(self, name: str) -> None:
        """Ask whoever works off this queue to look at the table; returns at once and never fails."""
        try:
            self._waiting.put_nowait(name)
        except queue.Full:
            log.warning("nudge dropped", queue=name, reason="the broker is too slow")

    def stop(self) -> None:
        """Send what waits, unless the broker takes too long."""
        if self._thread is None:
            return
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(_STOP_SECONDS)

    def ping(self) -> None:
        """Raise unless the broker answers."""
        with self._app.connection_for_write(connect_timeout=1) as connection:
            connection.ensure_connection(max_retries=1, timeout=1, interval_start=0.1, errback=None)

    def _send_all(self) -> None:
        while (name := self._waiting.get()) is not None:
            try:
                self._app.send_task(TASK, queue=name, ignore_result=True)
            except Exception as error:
                # Whatever a transport raises: the jobs are committed, and the reconciler will nudge for them.
                dropped = 1 + self._drop_waiting()
                reason = f"{type(error).__name__}: {error}"[:300]
                log.warning("nudges dropped", queue=name, number=dropped, reason=reason)

    def _drop_waiting(self) -> int:
        """Forget what waits, so that a broker that is away is not asked for each of them in turn."""
        names: list[str | None] = []
        with contextlib.suppress(queue.Empty):
            while True:
                names.append(self._waiting.get_nowait())
        if None in names:
            self._waiting.put(None)
        return sum(name is not None for name in names)
