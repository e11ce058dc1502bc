"""A server that takes every connection and then does as a store that hangs: nothing, or next to nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Conduct = Callable[[socket.socket], None]


def silent(_: socket.socket) -> None:
    """Say nothing."""


def dripping(connection: socket.socket) -> None:
    """Answer a byte at a time, for ever, each well within the time for a single read."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nLast-Modified: ")
    connection.sendall(b'Mon, 01 Jan 2024 00:00:00 GMT\r\nETag: "a"\r\n\r\n')
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def dripping_head(connection: socket.socket) -> None:
    """The same before the head of the answer has ended."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


def unavailable(connection: socket.socket) -> None:
    """Refuse, at once."""
    connection.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def steady(pieces: int, seconds: float, size: int = 4096) -> Conduct:
    """Answer slowly, and to the end."""

    def answer(connection: socket.socket) -> None:
        head = f'HTTP/1.1 200 OK\r\nContent-Length: {pieces * size}\r\nETag: "a"\r\n'
        connection.sendall(head.encode() + b"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n")
        for _ in range(pieces):
            connection.sendall(b"y" * size)
            time.sleep(seconds / pieces)

    return answer


@dataclass
class Hanging:
    """A running server, how it behaves, and how many came."""

    port: int
    conduct: Conduct
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def hanging(conduct: Conduct = silent) -> Iterator[Hanging]:
    """A server on a free port of 127.0.0.1, which reads one request of each connection and never hangs up."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listening:
        server = Hanging(listening.getsockname()[1], conduct)

        def attend(connection: socket.socket) -> None:
            with contextlib.suppress(OSError):
                connection.recv(65536)
                server.conduct(connection)

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    server.connections.append(connection)
                    threading.Thread(target=attend, args=(connection,), daemon=True).start()

        threading.Thread(target=listen, daemon=True).start()
        try:
            yield server
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for connection in server.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
