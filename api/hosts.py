"""Whom a server without keys answers: only this very machine, calling it by a name of this very machine.

A page in a browser can make its own host name resolve to 127.0.0.1 and then read what answers there (DNS
rebinding); the Host header tells. And whatever the settings say of the address to listen on, another program
may have bound the socket: the address at which the connection arrived tells.
"""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api import errors
from api.problems import respond
from store.settings import is_loopback


def without_port(host: str) -> str:
    """`localhost:8000` → `localhost`, `[::1]:8000` → `[::1]`."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and not name.endswith(":") else host


def arrived_on_loopback(scope: Scope) -> bool:
    """Whether both ends of a connection are this machine's; a socket in a file is not."""
    here, there = ((scope.get(end) or ("", None))[0] for end in ("server", "client"))
    return is_loopback(here) and not _is_elsewhere(there)


def _is_elsewhere(address: str) -> bool:
    """Whether this is another machine's address; a proxy that says for whom it asks gives itself away."""
    try:
        return not ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class LoopbackHostsOnly:
    """Refuses requests that did not arrive on loopback, or whose Host is another."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_ours(scope):
            await self.app(scope, receive, send)
            return
        detail = (
            "this server answers only under a loopback name, such as localhost, while it asks for no keys"
        )
        await respond(errors.report(errors.MisdirectedRequestError(detail)), scope)(scope, receive, send)

    @staticmethod
    def _is_ours(scope: Scope) -> bool:
        hosts = Headers(scope=scope).getlist("host") or [""]
        return all(is_loopback(without_port(host)) for host in hosts) and arrived_on_loopback(scope)
