"""What clients do before there is a request, or after it: raw bytes over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api import connections
from api.connections import BoundedProtocol, most_connections
from api.heads import ADDRESS_BYTES, HEADERS, HEADERS_BYTES, HeadLimits
from tests.api.sockets import listening

LARGE = 64 * 1024**2


async def hello(request: Request) -> Response:
    return PlainTextResponse(f"{len(await request.body())}")


async def large(_: Request) -> Response:
    return PlainTextResponse(b"x" * LARGE)


async def slow(_: Request) -> Response:
    await asyncio.sleep(1)
    return PlainTextResponse("late")


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """The port of a server with the limits of production and the patience of a test."""
    routes = [Route("/", hello, methods=["GET", "POST"]), Route("/large", large), Route("/slow", slow)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(connections, "HEAD_SECONDS", 0.4)
        patched.setattr(connections, "STALLED_SECONDS", 0.3)
        with listening(HeadLimits(Starlette(routes=routes))) as port:
            yield port


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """One server for all who do not count its connections."""
    with serving() as port:
        yield port


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        yield client


def rest(client: socket.socket) -> bytes:
    """Everything until the server closes."""
    said = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65_536):
            said += piece
    return bytes(said)


def flood(client: socket.socket, piece: bytes, most: int) -> int:
    """Send again and again until the server has enough; how much that was."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < most:
            sent += client.send(piece)
    return sent


HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


def test_a_request_is_answered_and_another_on_the_same_connection(port: int) -> None:
    with connected(port) as client:
        for pause in (0, 0, 0.5):  # longer than a head may take: an idle connection is not a late head
            time.sleep(pause)
            client.sendall(HEAD + b"\r\n")
            assert b"200 OK" in client.recv(4096)


@pytest.mark.parametrize("begun", [b"", b"GET", HEAD, HEAD + b"X-Long: "])
def test_a_head_that_does_not_come_ends_the_connection(port: int, begun: bytes) -> None:
    with connected(port) as client:
        client.sendall(begun)
        started = time.monotonic()
        said = rest(client)
        assert 0.2 < time.monotonic() - started < 3
    assert said.startswith(b"HTTP/1.1 408 ") if begun else said == b""


def test_a_head_that_drips_ends_the_connection(port: int) -> None:
    with connected(port) as client:
        started = time.monotonic()
        with contextlib.suppress(OSError):
            for byte in HEAD * 20:
                client.sendall(bytes([byte]))
                time.sleep(0.02)
        assert time.monotonic() - started < 3


def test_empty_lines_after_a_request_do_not_keep_a_connection(port: int) -> None:
    with connected(port) as client:
        client.sendall(HEAD + b"\r\n")
        assert b"200 OK" in client.recv(4096)
        started = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - started < 5:
                client.sendall(b"\r\n")
                time.sleep(0.1)
        assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /",
        HEAD + b"X-Long: ",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Long: ",
    ],
    ids=["address", "header", "chunk extension", "trailer"],
)
def test_what_grows_without_end_is_cut_off(port: int, begun: bytes) -> None:
    with connected(port) as client:
        client.sendall(begun)
        assert flood(client, b"a" * 65_536, LARGE) < 16 * 1024**2


def test_many_headers_without_end_are_cut_off(port: int) -> None:
    with connected(port) as client:
        client.sendall(HEAD)
        assert flood(client, b"a: b\r\n" * 1000, LARGE) < 16 * 1024**2


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"?" + b"a" * ADDRESS_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n", b"414"),
        (HEAD + b"a: b\r\n" * HEADERS, b"431"),
        (HEAD + b"a: " + b"b" * HEADERS_BYTES + b"\r\n", b"431"),
        (HEAD + b"a: b\r\n" * (HEADERS - 1), b"200"),
    ],
)
def test_a_head_that_is_too_much_is_a_problem(port: int, head: bytes, status: bytes) -> None:
    with connected(port) as client:
        client.sendall(head + b"\r\n")
        said = client.recv(65_536)
    assert said.split(b" ")[1] == status
    assert status == b"200" or b"application/problem+json" in said


def test_a_long_body_is_no_long_head(port: int) -> None:
    body = b"x" * 3 * 1024**2
    with connected(port) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert client.recv(4096).endswith(str(len(body)).encode())
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(300):
            client.sendall(b"400;x=y\r\n" + b"x" * 1024 + b"\r\n")
        client.sendall(b"0\r\nX-Trailer: 1\r\n\r\n")
        assert client.recv(4096).endswith(b"307200")


def test_a_client_that_does_not_read_is_let_go(port: int) -> None:
    with connected(port) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.5)
        assert len(rest(client)) < LARGE


def test_one_that_reads_slowly_is_not(port: int) -> None:
    with connected(port) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        taken = 0
        for _ in range(10):
            taken += len(client.recv(1024**2))
            time.sleep(0.1)
        assert taken + len(rest(client)) > LARGE


def test_a_pipeline_has_so_many_places(port: int) -> None:
    with connected(port) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + (HEAD + b"\r\n") * 1000)
        assert rest(client).count(b"200 OK") <= connections.PIPELINED + 1


def test_so_many_connections_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "most", 3)
    with serving() as port, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(port)) for _ in range(6)]
        answered = 0
        for client in clients:
            with contextlib.suppress(OSError):
                client.sendall(HEAD + b"\r\n")
                answered += b"200 OK" in client.recv(4096)
        assert answered == 3


def test_descriptors_are_left_for_everything_else() -> None:
    assert most_connections() >= 64


def test_a_client_that_takes_a_byte_now_and_then_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALLED_SECONDS", 30.0)
    enough = int(30 * connections.SLOWEST_BYTES_PER_SECOND)
    for taken, is_let_go in ((0, True), (1, True), (enough - 1, True), (enough, False)):
        transport = SimpleNamespace(get_write_buffer_size=lambda taken=taken: 100_000 - taken, abort=Mock())
        loop = SimpleNamespace(call_later=Mock())
        protocol: Any = SimpleNamespace(transport=transport, loop=loop, _unread=100_000, _still_reading=None)
        BoundedProtocol._still_reading(protocol)
        assert transport.abort.called == is_let_go
        assert loop.call_later.called != is_let_go
