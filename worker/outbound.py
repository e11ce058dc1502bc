"""Requests to addresses that strangers wrote down: one POST, to a public machine, within a time.

The name is looked up once, every answer is judged, and the connection goes to the very address that was
judged, with TLS for the name: a name that leads elsewhere a moment later gains nothing. Redirects are not
followed, proxies of the environment are not asked, and of the answer only its status is read: what a machine
says to us is not told to whoever made us ask.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import httpcore2

from store.destinations import Destination, destination, is_public
from store.errors import BadDestination

MOST_ADDRESSES: Final = 4
"""Of a name's addresses so many are tried at most."""
_LONGEST_RETRY_AFTER: Final = 86_400.0

Lookup = Callable[[str, int], list[str]]


class OutboundError(Exception):
    """There was no answer; the message says why, in words that may be shown to whoever asked for it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the other side answered."""

    status: int
    retry_after_seconds: float | None = None


class Outbound:
    """Sends to where webhooks may lead; shared by any number of threads."""

    def __init__(
        self,
        *,
        seconds: float,
        private_hosts: Collection[str] = (),
        tls: ssl.SSLContext | None = None,
        look_up: Lookup | None = None,
    ) -> None:
        self._seconds = seconds
        self._private_hosts = private_hosts
        self._tls = tls or _trusting_the_known()
        self._look_up = look_up or addresses_of

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Receipt:
        """Send it; everything together takes no longer than was said at the beginning."""
        deadline = time.monotonic() + self._seconds
        try:
            goal = destination(url, self._private_hosts)
        except BadDestination as error:
            raise OutboundError(str(error)) from error
        network = _Guarded(goal, deadline, self._look_up)
        try:
            return self._posted(goal, network, body, {"Host": goal.authority, **headers})
        except httpcore2.TimeoutException as error:
            raise OutboundError(f"no answer within {self._seconds:g} s") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise OutboundError(_in_words(error)) from error

    def _posted(
        self, goal: Destination, network: httpcore2.NetworkBackend, body: bytes, headers: Mapping[str, str]
    ) -> Receipt:
        url = httpcore2.URL(scheme=goal.scheme, host=goal.host, port=goal.port, target=goal.target)
        connection = httpcore2.HTTPConnection(url.origin, ssl_context=self._tls, network_backend=network)
        with (
            connection,
            connection.stream("POST", url, headers=list(headers.items()), content=body) as response,
        ):
            return Receipt(response.status, _retry_after(response.headers))


@cache
def _trusting_the_known() -> ssl.SSLContext:
    """Trusts those whom everybody does; to read who they are takes a while, once a process."""
    return httpcore2.default_ssl_context()


class _Guarded(httpcore2.NetworkBackend):
    """Connects to one destination only, to an address that was judged, and for a limited time."""

    def __init__(self, goal: Destination, deadline: float, look_up: Lookup) -> None:
        self._goal = goal
        self._deadline = deadline
        self._look_up = look_up

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline is stricter
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        found = _within(self._deadline, lambda: self._look_up(host, port))
        if not self._goal.private and not all(is_public(address) for address in found):
            raise OutboundError(f"{host} leads to an address that is not public")
        return _Timed(self._connected(found[:MOST_ADDRESSES], port), self._deadline)

    def _connected(self, addresses: list[str], port: int) -> httpcore2.NetworkStream:
        """A connection to the first that answers; each gets its share of the time that is left."""
        failure: Exception = OutboundError("there is no such host")
        for tried, address in enumerate(addresses):
            share = _left(self._deadline) / (len(addresses) - tried)
            try:
                return httpcore2.SyncBackend().connect_tcp(address, port, share, socket_options=[])
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure


class _Timed(httpcore2.NetworkStream):
    """A stream on which every step has only the time that is left: one that drips does not go on for ever."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        encrypted = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Timed(encrypted, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def addresses_of(host: str, port: int) -> list[str]:
    """Every address of a host, as the system's resolver knows them."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OutboundError("there is no such host, or its name cannot be looked up now") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout
    return left


def _within(deadline: float, look_up: Callable[[], list[str]]) -> list[str]:
    """What it answers in time; the system's resolver cannot be interrupted, so it is left to a thread."""
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(look_up())
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, name="lookup", daemon=True).start()
    try:
        answer = answers.get(timeout=_left(deadline))
    except queue.Empty:
        raise httpcore2.ConnectTimeout from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    """`Retry-After` in seconds, within a day; its other form, a date, is passed over."""
    said = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return min(float(said), _LONGEST_RETRY_AFTER) if said.isdigit() and len(said) < 10 else None


def _in_words(error: Exception) -> str:
    """Why there is no answer, without a word of what the other side sent."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return "TLS could not be agreed on"
    if isinstance(cause, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, httpcore2.ConnectError):
        return "no connection could be made"
    if isinstance(error, httpcore2.ProtocolError):
        return "what was answered is not HTTP, or ended too early"
    return "the connection broke"
