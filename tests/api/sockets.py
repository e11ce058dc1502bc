"""An application on a real socket, in a thread of the test's process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from api.connections import BoundedProtocol


@contextmanager
def listening(app: ASGIApp, **options: Any) -> Iterator[int]:
    """The port on which our own server answers for this application; `options` are uvicorn's."""
    patience: dict[str, Any] = {"timeout_keep_alive": 1, "timeout_graceful_shutdown": 1}
    config = uvicorn.Config(app, port=0, http=BoundedProtocol, log_config=None, **patience | options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
