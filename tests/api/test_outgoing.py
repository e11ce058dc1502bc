"""Large answers: bounded in bytes, sent in pieces, and held nowhere twice while a client does not read."""

from __future__ import annotations

import contextlib
import socket
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.testclient import TestClient

from api import conditional, errors, outgoing, paging
from api.conditional import ConditionalAnswers
from api.deps import Server
from api.outgoing import PIECE_BYTES, Outgoing, PiecewiseRoute
from api.plans import MOST_METADATA_BYTES
from api.schemas import JobAnswer, Listing
from api.shortages import Shortages
from store import datasets, jobs
from tests.api.acting import Worker, pointers, problem, submit
from tests.api.sockets import listening

SIZE = 4 * 1024**2
MEMORY = 2 * SIZE


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────


def _add(server: Server, number: int, metadata: dict[str, Any]) -> list[str]:
    """Jobs as they were stored when nothing bounded their metadata."""
    with server.database.of("default").writing() as tx:
        dataset = datasets.page(tx).rows[0].id
        spec = {"dataset": "iris", "metadata": metadata}
        return [
            jobs.add(tx, spec=spec, dataset_id=dataset, max_epochs=1, metadata=metadata).id
            for _ in range(number)
        ]


def test_a_page_is_byte_for_byte_what_its_schema_writes(
    client: TestClient, server: Server, worker: Worker
) -> None:
    for number in range(3):
        submit(client, name=f"schema {number}", metadata={"set": "schema", "é": "ü\u2028<&>", "n": 1e16})
    worker.done(client, name="done", metadata={"set": "schema"})
    found = client.get("/v1/jobs?metadata.set=schema&limit=3")
    with server.database.of("default").reading() as tx:
        page = jobs.page(tx, jobs.Filters(metadata={"set": "schema"}), limit=3)
    schema = Listing[JobAnswer](data=[JobAnswer.of(job) for job in page.rows], next=page.next)
    assert found.content == schema.model_dump_json().encode()
    assert found.headers["content-type"] == "application/json"


def test_a_page_ends_where_it_gets_too_large_and_goes_on_behind_that(
    client: TestClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = _add(server, 5, {"set": "bytes"})
    large = _add(server, 3, {"set": "bytes", "x": "x" * 60_000})
    monkeypatch.setattr(paging, "PAGE_BYTES", 100_000)
    address, seen, sizes = "/v1/jobs?metadata.set=bytes&sort=created_at&limit=200", [], []
    while address:
        answer = client.get(address)
        seen += [job["id"] for job in answer.json()["data"]]
        sizes.append(len(answer.json()["data"]))
        assert len(answer.content) <= 101_000 or sizes[-1] == 1
        address = answer.links["next"]["url"] if "next" in answer.links else ""
    assert seen == small + large
    assert sizes == [5, 1, 1, 1]  # A job that is larger than a page is a page.


def test_what_is_behind_a_full_page_stays_in_the_database(
    client: TestClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(server, 20, {"set": "fetched", "x": "x" * 10_000})
    monkeypatch.setattr(paging, "PAGE_BYTES", 30_000)
    read, seen = JobAnswer.of, []
    monkeypatch.setattr(JobAnswer, "of", lambda job: seen.append(job.id) or read(job))
    answer = client.get("/v1/jobs?metadata.set=fetched&limit=200")
    assert len(answer.json()["data"]) == 1
    assert len(seen) == 2


def _metadata(size: int) -> dict[str, str]:
    """Metadata of so many bytes as JSON in UTF-8, and of about half as many characters."""
    metadata = {f"k{place}": "é" * 900 for place in range(9)}
    return metadata | {"k9": "x" * (size - len(orjson.dumps(metadata | {"k9": ""})))}


def test_metadata_are_bounded_in_bytes(client: TestClient) -> None:
    submit(client, metadata=_metadata(MOST_METADATA_BYTES))
    for path in ("/v1/jobs", "/v1/jobs/validate"):
        more = {"dataset": "iris", "metadata": _metadata(MOST_METADATA_BYTES + 1)}
        document = problem(client.post(path, json=more), 422)
        assert pointers(document) == ["/metadata"]
        assert "16,384 bytes" in document["detail"]
        assert "16,385" in document["detail"]


def test_larger_metadata_from_before_are_listed_read_and_trained(
    client: TestClient, server: Server, worker: Worker
) -> None:
    (old,) = _add(server, 1, {f"old{place}": "x" * 8_000 for place in range(50)})
    assert client.get(f"/v1/jobs/{old}").json()["metadata"]["old7"] == "x" * 8_000
    assert client.get("/v1/jobs?limit=1").json()["data"][0]["id"] == old
    assert worker.begin(old).metadata["old7"] == "x" * 8_000


# ── pieces ──────────────────────────────────────────────────────────────────────────────────────────────────


def _app(folder: Path, **limits: int) -> FastAPI:
    app = FastAPI()
    app.state.server = SimpleNamespace(outgoing=Outgoing(folder, **limits), shortages=Shortages())
    router = APIRouter(route_class=PiecewiseRoute)

    @router.get("/large")
    def large(byte: str = "x", size: int = SIZE) -> Response:
        return Response(byte.encode() * size, media_type="text/plain")

    app.include_router(router)
    app.add_middleware(ConditionalAnswers)
    errors.install(app)
    return app


@pytest.mark.parametrize("memory_bytes", [SIZE, 0], ids=["memory", "file"])
def test_an_answer_in_pieces_is_the_same_answer(tmp_path: Path, memory_bytes: int) -> None:
    app = _app(tmp_path, memory_bytes=memory_bytes)
    client = TestClient(app)
    for size in (10, PIECE_BYTES, PIECE_BYTES + 1, 10 * PIECE_BYTES, SIZE):
        answer = client.get(f"/large?size={size}")
        assert answer.content == b"x" * size
        assert answer.headers["content-length"] == str(size)
        assert answer.headers["etag"] == conditional.tag_of(answer.content)
        known = client.get(f"/large?size={size}", headers={"If-None-Match": answer.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
        head = client.head(f"/large?size={size}")
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])
        assert head.headers["content-length"] == str(size)
    assert list(tmp_path.iterdir()) == []
    assert app.state.server.outgoing._memory_left == memory_bytes


def test_every_route_of_ours_sends_in_pieces(app: FastAPI) -> None:
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    ours = [route for route in routes if isinstance(route, APIRoute)]
    assert len(ours) > 50
    assert [route.path for route in ours if not isinstance(route, PiecewiseRoute)] == []


def test_where_there_is_no_room_for_more_that_is_said(tmp_path: Path) -> None:
    full = TestClient(_app(tmp_path, memory_bytes=0, disk_bytes=SIZE - 1))
    answer = full.get("/large")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert full.get("/large?size=1000").status_code == 200
    nowhere = TestClient(_app(tmp_path / "gone", memory_bytes=0))
    assert nowhere.get("/large").status_code == 503


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, Outgoing]]:
    app = _app(tmp_path, memory_bytes=MEMORY)
    with listening(app) as port:
        yield port, app.state.server.outgoing


def _ask(port: int) -> socket.socket:
    """Of a client that takes little at a time."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.settimeout(20)
    client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return client


def _until(is_so: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert is_so()


def test_clients_that_read_nothing_cost_no_memory(served: tuple[int, Outgoing]) -> None:
    port, held = served
    number = 24
    tracemalloc.start()
    try:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(_ask(port)) for _ in range(number)]
            _until(lambda: held._memory_left + outgoing.DISK_BYTES - held._disk_left >= (number - 2) * SIZE)
            _until(lambda: tracemalloc.get_traced_memory()[0] < MEMORY + number * 4 * PIECE_BYTES)
            # And they get all of it as soon as they want it, be it from memory or from a file.
            for client in (clients[0], clients[-1]):
                said = bytearray()
                while piece := client.recv(2**20):
                    said += piece
                assert said.endswith(b"x" * SIZE)
    finally:
        tracemalloc.stop()
    _until(lambda: (held._memory_left, held._disk_left) == (MEMORY, outgoing.DISK_BYTES))
