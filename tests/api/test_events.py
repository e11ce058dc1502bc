"""A job's log, and the live stream that loses and repeats nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.__main__ import AttentiveServer
from api.deps import Server
from api.routes import events as routes
from tests.api.acting import Worker, pointers, problem, submit

STREAM = {"Accept": "text/event-stream"}


@dataclass(frozen=True)
class Told:
    number: int
    kind: str
    data: dict[str, Any]


def told(text: str) -> list[Told]:
    """The events in the text of a stream; comments are passed over."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if "data" in lines:
            found.append(Told(int(lines["id"]), lines["event"], json.loads(lines["data"])))
    return found


@contextmanager
def listening(address: str, job_id: str, after: int = 0) -> Iterator[Iterator[Told]]:
    """A stream as it comes over the wire."""
    headers = {**STREAM, "Last-Event-ID": str(after)}
    with httpx2.stream("GET", f"{address}/v1/jobs/{job_id}/events", headers=headers, timeout=20) as response:
        assert response.status_code == 200
        yield (event for block in _blocks(response) for event in told(block))


def _blocks(response: httpx2.Response) -> Iterator[str]:
    lines: list[str] = []
    for line in response.iter_lines():
        lines.append(line)
        if not line:
            yield "\n".join(lines) + "\n"
            lines.clear()


@pytest.fixture(scope="module")
def address(app: FastAPI) -> Iterator[str]:
    """The application behind a real server."""
    config = uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=5)
    serving = AttentiveServer(config, app)
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    while not serving.started:
        time.sleep(0.01)
    port = serving.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    serving.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=address) as client:
        yield client


def test_the_log_is_numbered_and_paged(client: TestClient, worker: Worker) -> None:
    job_id = worker.done(client)
    answer = client.get(f"/v1/jobs/{job_id}/events").json()
    assert [(event["event"], event["data"].get("status")) for event in answer["data"]] == [
        ("status", "queued"),
        ("status", "running"),
        ("status", "succeeded"),
        ("end", "succeeded"),
    ]
    assert [event["number"] for event in answer["data"]] == [1, 2, 6, 7]
    page = client.get(f"/v1/jobs/{job_id}/events?limit=3")
    following = client.get(page.links["next"]["url"]).json()
    assert [event["number"] for event in following["data"]] == [7]
    assert following["next"] is None
    assert client.get(f"/v1/jobs/{job_id}/events?after=6").json()["data"] == following["data"]


def test_a_finished_job_is_told_from_the_beginning_and_the_stream_ends(
    client: TestClient, worker: Worker
) -> None:
    job_id = worker.done(client)
    response = client.get(f"/v1/jobs/{job_id}/events", headers=STREAM)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    events = told(response.text)
    assert [event.number for event in events] == list(range(1, 8))
    assert [event.kind for event in events] == [
        "status",
        "status",
        "epoch",
        "epoch",
        "epoch",
        "status",
        "end",
    ]
    assert events[2].data["values"] == {"train_loss": 0.9, "val_loss": 0.8}


def test_what_was_missed_is_replayed_and_nothing_else(client: TestClient, worker: Worker) -> None:
    job_id = worker.done(client)
    address = f"/v1/jobs/{job_id}/events"
    everything = told(client.get(address, headers=STREAM).text)
    assert told(client.get(address, headers={**STREAM, "Last-Event-ID": "4"}).text) == everything[4:]
    assert told(client.get(f"{address}?after=4", headers=STREAM).text) == everything[4:]


def test_who_has_heard_the_end_is_told_not_to_come_back(client: TestClient, worker: Worker) -> None:
    job_id = worker.done(client)
    response = client.get(f"/v1/jobs/{job_id}/events", headers={**STREAM, "Last-Event-ID": "7"})
    assert (response.status_code, response.content) == (204, b"")


def test_events_come_while_they_happen(address: str, client: TestClient, worker: Worker) -> None:
    job_id = submit(client)["id"]
    with listening(address, job_id) as events:
        assert next(events).data["status"] == "queued"
        job = worker.begin(job_id)
        assert next(events).data["status"] == "running"
        started = time.perf_counter()
        worker.record(job, {"val_loss": [0.5]})
        epoch = next(events)
        assert (epoch.kind, epoch.data["epoch"], epoch.data["values"]) == ("epoch", 1, {"val_loss": 0.5})
        assert time.perf_counter() - started < 2
        worker.succeed(job)
        assert [event.kind for event in events] == ["status", "end"]


def test_a_broken_line_is_taken_up_where_it_broke(address: str, client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client)["id"])
    heard: list[Told] = []
    for epoch in range(1, 6):
        worker.record(job, {"val_loss": [1 / epoch]}, first=epoch)
        with listening(address, job.id, after=heard[-1].number if heard else 0) as events:
            heard.append(next(events))
            if epoch == 1:
                heard += [next(events), next(events)]
    worker.succeed(job)
    with listening(address, job.id, after=heard[-1].number) as events:
        heard += list(events)
    assert [event.number for event in heard] == list(range(1, 10))
    assert [event.data["epoch"] for event in heard if event.kind == "epoch"] == [1, 2, 3, 4, 5]


def test_more_events_than_one_look_takes(address: str, client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client)["id"])
    worker.record(job, {"val_loss": [0.1] * 1100})
    worker.succeed(job)
    with listening(address, job.id) as events:
        assert [event.number for event in events] == list(range(1, 1105))


def test_a_silent_stream_is_kept_alive(
    address: str, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT_SECONDS", 0.3)
    job_id = submit(client)["id"]
    with httpx2.stream("GET", f"{address}/v1/jobs/{job_id}/events", headers=STREAM, timeout=20) as response:
        comments = (line for line in response.iter_lines() if line == ": still here")
        assert next(comments)
        assert next(comments)


def test_the_stream_of_a_deleted_job_ends(address: str, client: TestClient, worker: Worker) -> None:
    job = worker.begin(submit(client)["id"])
    with listening(address, job.id, after=2) as events:
        with worker.database.writing() as tx:
            from store.tables import jobs as table

            tx.execute(table.delete().where(table.c.id == job.id))
        assert list(events) == []


def test_open_streams_hold_no_connections(address: str, client: TestClient, server: Server) -> None:
    job_id = submit(client)["id"]
    stream = httpx2.Client()
    sent = [
        stream.build_request("GET", f"{address}/v1/jobs/{job_id}/events", headers=STREAM) for _ in range(60)
    ]  # more than the pool has
    responses = [stream.send(each, stream=True) for each in sent]
    assert b"ridgeline_event_streams 60.0" in client.get("/metrics").content
    started = time.perf_counter()
    assert client.get(f"/v1/jobs/{job_id}").status_code == 200
    assert time.perf_counter() - started < 3
    for response in responses:
        response.close()
    stream.close()
    deadline = time.monotonic() + 10
    while b"ridgeline_event_streams 0.0" not in client.get("/metrics").content:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("headers", "query", "pointer"),
    [
        ({"Last-Event-ID": "seven"}, "", "/header/last-event-id"),
        ({"Last-Event-ID": "9" * 30}, "", "/header/last-event-id"),
        ({}, "?after=-1", "/query/after"),
        ({}, "?cursor=x", "/query/cursor"),
    ],
)
def test_a_place_that_is_none_is_refused(
    client: TestClient, headers: dict[str, str], query: str, pointer: str
) -> None:
    job_id = submit(client)["id"]
    response = client.get(f"/v1/jobs/{job_id}/events{query}", headers={**STREAM, **headers})
    assert pointers(problem(response, 422)) == [pointer]


def test_a_stream_of_nothing_is_a_problem(client: TestClient) -> None:
    problem(client.get("/v1/jobs/none/events", headers=STREAM), 404)
    problem(client.get(f"/v1/jobs/{submit(client)['id']}/events", headers={"Accept": "text/csv"}), 406)
