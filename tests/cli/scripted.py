"""A real HTTP server that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Asked:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What to answer."""

    body: bytes = b""
    status: int = 200
    media_type: str = "application/json"
    cut: bool = False
    """Promise more than is sent, and hang up."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Script:
    """The answers to come, one a request, and the requests so far."""

    address: str = ""
    answers: list[Answer] = field(default_factory=list)
    by_path: dict[str, Callable[[], Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, document: Any, status: int = 200) -> None:
        """The next answer is this JSON."""
        kind = "application/problem+json" if status >= 400 else "application/json"
        self.answers.append(Answer(json.dumps(document).encode(), status, kind))

    def stream(self, *events: tuple[int, str, dict[str, Any]], cut: bool = False) -> None:
        """The next answer is this part of an event stream."""
        text = "".join(f"id: {n}\nevent: {kind}\ndata: {json.dumps(data)}\n\n" for n, kind, data in events)
        self.answers.append(
            Answer(b": hello\nretry: 1000\n\n" + text.encode(), 200, "text/event-stream", cut)
        )


class Unmoved(ThreadingHTTPServer):
    """A client that hangs up in the middle is none of its business."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def scripted() -> Iterator[Script]:
    """Such a server on a free port."""
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            script.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            path = self.path.partition("?")[0]
            answer = script.by_path[path]() if path in script.by_path else script.answers.pop(0)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(answer.body) + answer.cut))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = answer.cut

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with Unmoved(("127.0.0.1", 0), Handler) as server:
        script.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()
