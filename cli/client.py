"""A Ridgeline server as an object: JSON comes out, problems are raised, live events are iterated."""

from __future__ import annotations

import hashlib
import json
import ssl
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

RECONNECT_SECONDS = 60.0
"""A live stream that was cut is taken up again for as long as this, without losing or repeating an event."""
SILENCE_SECONDS = 45.0
"""The server writes something at least every few seconds; a stream this silent is dead."""
RECONNECT_PAUSE_SECONDS = 0.3
NOTHING_MORE = 204
"""The status of a stream whose job has ended and whose events have all been told."""
TRIES = 3


class RidgelineError(Exception):
    """Something is wrong between this command and the server."""


class UnreachableError(RidgelineError):
    """The server does not answer."""

    def __init__(self, server: str, why: str) -> None:
        super().__init__(f"no answer from {server} ({why})")
        self.server = server


class RefusedError(RidgelineError):
    """The server answered with a problem document (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or f"status {status}"))
        self.status = status
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job, with its number in the job's log."""

    number: int
    kind: str
    data: dict[str, Any]


class Client:
    """A connection to one server; close it, or use it as a context."""

    def __init__(self, server: str, *, key: str | None = None, timeout: float = 60.0) -> None:
        self.server = server.rstrip("/")
        local = _is_loopback(self.server)
        self._http = httpx2.Client(
            base_url=self.server,
            # Certificates take longer to load than an answer, and between two local processes there are none.
            # Were one shown all the same, this context would trust nobody's.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if local and server.startswith("http:") else True,
            timeout=httpx2.Timeout(timeout, connect=5.0),
            headers={"User-Agent": "ridgeline-cli"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            trust_env=not local,  # A proxy has no business between two local processes.
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """The JSON at a path."""
        return self._send("GET", path, params=_given(query) or None).json()

    def read(self, path: str, **query: Any) -> bytes:
        """What lies at a path in the format that the query names, held against its digest if one was told."""
        response = self._send("GET", path, params=_given(query) or None)
        told = response.headers.get("repr-digest")
        if told and told != _as_header(hashlib.sha256(response.content).digest()):
            raise RidgelineError(f"{path} arrived damaged; ask for it again")
        return response.content

    def post(self, path: str, document: Any = None) -> Any:
        """Post a JSON document."""
        return self._send("POST", path, json=document).json()

    def patch(self, path: str, document: Any) -> Any:
        """Change what lies at a path."""
        return self._send("PATCH", path, json=document).json()

    def delete(self, path: str, **query: Any) -> None:
        """Delete what lies at a path."""
        self._send("DELETE", path, params=_given(query) or None)

    def create(self, path: str, body: bytes, media_type: str, **query: Any) -> Any:
        """Post a body that makes something; repeated where the answer is lost, and still made only once."""
        headers = {"Content-Type": media_type, "Idempotency-Key": str(uuid.uuid4())}
        return self._send("POST", path, params=_given(query) or None, content=body, headers=headers).json()

    def ask(self, path: str, body: bytes, media_type: str, *, accept: str) -> tuple[bytes, list[str]]:
        """Post a body that is answered and makes nothing: the answer, and the notices in its headers."""
        headers = {"Content-Type": media_type, "Accept": accept}
        response = self._send("POST", path, content=body, headers=headers)
        return response.content, response.headers.get_list("Ridgeline-Notice")

    def download(self, path: str, to: Path, **query: Any) -> int:
        """Write what lies at a path into a file, wholly or not at all; its size in bytes.

        It is held against the digest that the server told; a file that is there stays as it is till then.
        """
        digest = hashlib.sha256()
        partial = to.with_name(f".{to.name[:100]}.{uuid.uuid4().hex}.partial")
        try:
            with (
                self._http.stream("GET", path, params=_given(query) or None) as response,
                partial.open("xb") as target,
            ):
                for chunk in _checked(response).iter_bytes():
                    digest.update(chunk)
                    target.write(chunk)
            if response.headers.get("repr-digest") != _as_header(digest.digest()):
                raise RidgelineError("what arrived is not what the server has; nothing was written")
            size = partial.stat().st_size
            partial.replace(to)
        except httpx2.TransportError as error:
            raise UnreachableError(self.server, str(error) or type(error).__name__) from error
        except OSError as error:
            raise RidgelineError(f"{to} cannot be written: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)
        return size

    def upload(self, file: Path, **fields: str | None) -> Any:
        """Send a dataset; it is read from the disk as it goes out."""
        with file.open("rb") as content:
            form = {"files": {"file": (file.name, content)}, "data": _given(fields)}
            timeout = httpx2.Timeout(None, connect=5.0)  # Reading a large file takes the server its time.
            return self._send("POST", "/v1/datasets", tries=1, timeout=timeout, **form).json()

    def listing(
        self, path: str, limit: int, notices: list[str] | None = None, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """The first `limit` entries of a list, page by page; what it has to say is added to `notices`."""
        cursor: str | None = None
        while limit > 0:
            page = self.get(path, limit=min(limit, 200), cursor=cursor, **query)
            if notices is not None:
                notices += [notice for notice in page.get("notices", []) if notice not in notices]
            yield from page["data"]
            limit, cursor = limit - len(page["data"]), page["next"]
            if cursor is None:
                return

    def events(
        self, job_id: str, after: int = 0, on_cut: Callable[[], None] | None = None
    ) -> Iterator[Event]:
        """Everything that happened to a job and happens from now on, until its end; each event once."""
        deadline = time.monotonic() + RECONNECT_SECONDS
        while True:
            try:
                with self._stream(job_id, after) as response:
                    for event in _told(response):
                        after, deadline = event.number, time.monotonic() + RECONNECT_SECONDS
                        yield event
                        if event.kind == "end":
                            return
                    if response.status_code == NOTHING_MORE:
                        return
            except httpx2.TransportError as error:
                if time.monotonic() > deadline:
                    raise UnreachableError(self.server, str(error)) from error
                if on_cut:
                    on_cut()
            time.sleep(RECONNECT_PAUSE_SECONDS)

    def _stream(self, job_id: str, after: int) -> AbstractContextManager[httpx2.Response]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        timeout = httpx2.Timeout(SILENCE_SECONDS, connect=5.0)
        return self._http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=timeout)

    def _send(self, method: str, path: str, *, tries: int = TRIES, **options: Any) -> httpx2.Response:
        """Send a request, and send it again when its answer is lost: all that come here may be repeated."""
        try:
            response = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            if tries > 1 and not isinstance(error, httpx2.ConnectError):
                return self._send(method, path, tries=tries - 1, **options)
            raise UnreachableError(self.server, str(error) or type(error).__name__) from error
        return _checked(response)


def _told(response: httpx2.Response) -> Iterator[Event]:
    """The events of a stream, as they come in."""
    if _checked(response).status_code == NOTHING_MORE:
        return
    for event in httpx2.EventSource(response):
        if event.data:
            yield Event(int(event.id), event.event, json.loads(event.data))


def _checked(response: httpx2.Response) -> httpx2.Response:
    if response.is_success:
        return response
    response.read()
    try:
        problem = response.json()
    except ValueError:
        problem = None
    raise RefusedError(response.status_code, problem if isinstance(problem, dict) else {})


def _as_header(digest: bytes) -> str:
    return f"sha-256=:{b64encode(digest).decode()}:"


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _is_loopback(server: str) -> bool:
    return urlsplit(server).hostname in ("127.0.0.1", "::1", "localhost")
