"""Whom a server without keys answers: only those who called it by a name of this very machine.

A page in a browser can make its own host name resolve to 127.0.0.1 and then read what answers there (DNS
rebinding). The Host header tells.
"""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api import errors
from api.problems import respond


def is_loopback(host: str) -> bool:
    """Whether a host name, or an address, is this machine talking to itself."""
    name = host.strip().lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def without_port(host: str) -> str:
    """`localhost:8000` → `localhost`, `[::1]:8000` → `[::1]`."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and not name.endswith(":") else host


class LoopbackHostsOnly:
    """Refuses requests whose Host is not loopback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = Headers(scope=scope).get("host", "") if scope["type"] == "http" else "localhost"
        if is_loopback(without_port(host)):
            await self.app(scope, receive, send)
            return
        detail = (
            "this server answers only under a loopback name, such as localhost, while it asks for no keys"
        )
        await respond(errors.report(errors.MisdirectedRequestError(detail)), scope)(scope, receive, send)
