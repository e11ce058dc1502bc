"""HTTP for somebody who must know what became of each request: nothing is hidden, everything is noted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx2

from tests.chaos.history import SEEN, Answer, Connected, History, Told

NOTHING_MORE = 204
PAUSE_SECONDS = 0.2
"""Before a request that got no answer is sent again."""


class Caller:
    """One client, which goes to the next address when one does not answer."""

    def __init__(self, name: str, addresses: list[str], history: History) -> None:
        self.name = name
        self._addresses = addresses
        self._turn = sum(name.encode()) % len(addresses)
        self._history = history
        self.nothing_more = False
        """Whether a stream has said that there is nothing more to tell."""
        timeout = httpx2.Timeout(15.0, connect=3.0)
        self._http = httpx2.Client(timeout=timeout, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, *, key: str | None = None, document: Any = None) -> Answer:
        """One request, once; noted with whatever became of it."""
        headers = {"Idempotency-Key": key} if key else {}
        sent_at, address = time.time(), self._addresses[self._turn]
        try:
            response = self._http.request(method, address + path, headers=headers, json=document)
        except httpx2.TransportError as error:
            self._turn = (self._turn + 1) % len(self._addresses)
            about: dict[str, Any] = {"status": None, "detail": f"{type(error).__name__}: {error}"}
        else:
            about = {"status": response.status_code, **_about(response)}
        place = path.partition("?")[0]
        answer = Answer(sent_at, time.time(), self.name, method, place, key=key, **about)
        self._history.note(answer)
        return answer

    def follow(self, job_id: str, after: int) -> Iterator[Told]:
        """A job's stream from behind an event until it is cut or ends; noted event by event."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        address, path = self._addresses[self._turn], f"/v1/jobs/{job_id}/events"
        sent_at = time.time()
        try:
            with self._http.stream("GET", address + path, headers=headers, timeout=20.0) as response:
                if response.status_code != 200:
                    response.read()
                    self.nothing_more = response.status_code == NOTHING_MORE
                    about = _about(response)
                    noted = Answer(
                        sent_at, time.time(), self.name, "GET", path, response.status_code, **about
                    )
                    self._history.note(noted)
                    return
                self._history.note(Connected(sent_at, self.name, job_id, after))
                for event in httpx2.EventSource(response):
                    if event.data:
                        told = self._told(job_id, event)
                        self._history.note(told)
                        yield told
        except httpx2.TransportError:
            self._turn = (self._turn + 1) % len(self._addresses)

    def _told(self, job_id: str, event: Any) -> Told:
        return Told(time.time(), self.name, job_id, int(event.id), event.event, json.loads(event.data))


def _about(response: httpx2.Response) -> dict[str, Any]:
    """What of an answer is worth keeping."""
    document: Any = None
    with suppress(ValueError):
        document = response.json()
    about: dict[str, Any] = {"retry_after": "retry-after" in response.headers}
    if not isinstance(document, dict):
        return about
    if response.is_success and str(document.get("id")).startswith("job_"):
        about["job"] = {name: document.get(name) for name in SEEN}
    elif not response.is_success:
        about["detail"] = str(document.get("detail") or document.get("title") or "")[:300]
    return about
