"""`python -m api`: the web server on the settings' address.

It tells the application of a signal at once, so that event streams and long polls end instead of holding the
shutdown up; whatever still hangs after `DRAIN_SECONDS` is cut off.
"""

from __future__ import annotations

import math
import sys
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.connections import BoundedProtocol, most_connections
from store import logs
from store.settings import Settings

SWITCH_SECONDS: Final = 0.0005
"""How long a thread may hold the interpreter while another wants it; Python's own 5 ms is more than a whole
answer takes, and a thread has to wait for it after every statement that it sends to the database."""


class AttentiveServer(uvicorn.Server):
    """uvicorn's server, which passes signals on to the application."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.state.server.stopping.set()
        super().handle_exit(sig, frame)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    logs.configure(settings.log_level)
    sys.setswitchinterval(SWITCH_SECONDS)
    app = create_app(settings)
    BoundedProtocol.most = most_connections()
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=math.ceil(min(settings.drain_seconds, 10)),
    )
    AttentiveServer(config, app).run()


def main() -> None:
    """The settings come from the environment."""
    settings = Settings()
    if settings.refusal:
        sys.exit(settings.refusal)
    serve(settings)


if __name__ == "__main__":
    main()
