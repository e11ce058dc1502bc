"""Disks that are full: 507 to whoever writes, answers to whoever reads, and all is well with room again."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict, namedtuple
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from api import describing, shortages
from api.access import needed
from api.deps import Server
from models.datasets import bundled
from models.describe import NO_ROOM
from tests.api.acting import Worker, problem, submit
from tests.api.belongings import Party, furnish, routes
from tests.api.trained import trained

CSV = b"a,y\n" + b"".join(b"%d,%s\n" % (row, b"no" if row % 2 else b"yes") for row in range(20))
HOOK = "https://hooks.example.com/a"


@contextmanager
def full_database(server: Server) -> Iterator[None]:
    """SQLite itself says that there is no room, at the commit of whatever is written.

    Were it only kept from growing, what is small would find room in pages that are there.
    """
    engine = server.database._pool.engine

    def fill(connection: sa.Connection) -> None:
        if not connection.get_execution_options().get("ridgeline_writes"):
            return
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        try:
            connection.exec_driver_sql("INSERT INTO counters VALUES (hex(zeroblob(10000000)), 0)")
        finally:
            connection.exec_driver_sql("PRAGMA max_page_count=4294967294")

    sa.event.listen(engine, "commit", fill)
    try:
        yield
    finally:
        sa.event.remove(engine, "commit", fill)


@pytest.fixture(autouse=True)
def _nothing_seen_before(server: Server) -> None:
    server.shortages._seen_at.clear()


@pytest.fixture
def ids(client: TestClient, server: Server, worker: Worker) -> dict[str, str]:
    """One thing of each kind, and a job in each state that something may be asked of."""
    owner = Party(client, "default", {"admin": "none is asked for"})
    furnish(owner, server)
    running = worker.begin(submit(client)["id"])
    paused = submit(client)["id"]
    assert client.post(f"/v1/jobs/{paused}/pause").json()["status"] == "paused"
    return owner.ids | {"running": running.id, "paused": paused, "queued": submit(client)["id"]}


BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/jobs": {"json": {"dataset": "iris"}},
    "POST /v1/datasets": {"files": {"file": ("another.csv", CSV)}},
    "POST /v1/keys": {"json": {"name": "another"}},
    "POST /v1/projects": {"json": {"name": "another"}},
    "PATCH /v1/projects/{project_id}": {"json": {"name": "renamed"}},
    "PATCH /v1/jobs/{job_id}": {"json": {"name": "renamed"}},
    "PATCH /v1/datasets/{dataset_id}": {"json": {"name": "renamed"}},
    "POST /v1/webhooks": {"json": {"url": HOOK}},
    "PATCH /v1/webhooks/{webhook_id}": {"json": {"url": f"{HOOK}/b"}},
}
WRITING = ("POST", "PATCH", "PUT", "DELETE")
JOBS = {"cancel": "queued", "pause": "queued", "resume": "paused", "finish": "running"}


def _writing(app: FastAPI) -> list[tuple[str, str]]:
    found = [
        (method, path)
        for method, path in routes(app)
        if method in WRITING and needed(method, path.format_map(_ANY)) != "read"
    ]
    # What others need goes last.
    return sorted(found, key=lambda route: (route[0] == "DELETE", route[1] == "/v1/webhooks/{webhook_id}"))


_ANY = defaultdict(lambda: "x")


def _send(client: TestClient, ids: dict[str, str], method: str, path: str) -> Any:
    state = JOBS.get(path.rpartition("/")[2]) if path.startswith("/v1/jobs/") else None
    filled = path.format(**(ids | ({"job_id": ids[state]} if state else {})))
    return client.request(method, filled, **BODIES.get(f"{method} {path}", {}))


def test_whatever_writes_answers_507_and_then_works(
    app: FastAPI, client: TestClient, server: Server, ids: dict[str, str]
) -> None:
    """Every writing route that there is; it was a 503 that told people to come back in five seconds."""
    found = _writing(app)
    assert len(found) > 15
    before = {one.key for folder in ("datasets", "weights") for one in server.files.list(folder)}
    with full_database(server):
        for method, path in found:
            answer = _send(client, ids, method, path)
            document = problem(answer, 507)
            assert document["type"].endswith("#database-full"), (method, path)
            assert int(answer.headers["retry-after"]) >= 1
        for path in ("/v1/jobs", "/v1/datasets", "/v1/keys", f"/v1/jobs/{ids['job_id']}", "/metrics"):
            assert client.get(path).status_code == 200
        assert client.post(f"/v1/jobs/{ids['queued']}/cancel").status_code == 507
        assert client.get(f"/v1/jobs/{ids['queued']}").json()["status"] == "queued"
        assert before <= {one.key for folder in ("datasets", "weights") for one in server.files.list(folder)}
    for method, path in found:
        if path.endswith("/cancel"):
            continue  # it was asked to pause
        assert _send(client, ids, method, path).is_success, (method, path)


def test_a_database_that_cannot_grow_ends_in_507(client: TestClient, server: Server) -> None:
    """What still fits is taken; nothing in between is anything but one of the two."""
    engine = server.database._pool.engine
    pages: list[int] = []

    def hold(connection: sa.Connection) -> None:
        pages or pages.append(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages[0]}")

    sa.event.listen(engine, "begin", hold)
    try:
        metadata = {"note": "x" * 400}
        answers = [client.post("/v1/jobs", json={"dataset": "iris", "metadata": metadata}) for _ in range(60)]
        assert {answer.status_code for answer in answers} <= {202, 507}
        assert answers[-1].status_code == 507
        (job, *_) = client.get("/v1/jobs?status=queued").json()["data"]
        assert client.get(f"/v1/jobs/{job['id']}").status_code == 200
    finally:
        sa.event.remove(engine, "begin", hold)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=4294967294")
        engine.dispose()
    assert client.post("/v1/jobs", json={"dataset": "iris"}).status_code == 202


def test_ready_tells_of_a_full_database_and_forgets_it(
    client: TestClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/readyz").json()["database"]["status"] == "ok"
    with full_database(server):
        assert client.post("/v1/jobs", json={"dataset": "iris"}).status_code == 507
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["database"] | {"detail": ""} == {"ok": False, "status": "full", "detail": ""}
    assert "refused" in ready.json()["database"]["detail"]
    assert ready.json()["files"]["ok"]
    monkeypatch.setattr(shortages, "SHORTAGE_SECONDS", 0.0)
    assert client.get("/readyz").json()["database"]["ok"]


def test_ready_tells_of_too_little_room(
    client: TestClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything was refused: less is free than is to be left alone."""
    usage = namedtuple("usage", "total used free")(0, 0, server.settings.reserve_bytes - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    ready = client.get("/readyz").json()
    for part in ("database", "files"):
        assert (ready[part]["ok"], ready[part]["status"]) == (False, "full")
        assert f"{server.settings.reserve_bytes - 1:,} bytes are free" in ready[part]["detail"]


# ── what the system refuses elsewhere ───────────────────────────────────────────────────────────────────────

REFUSALS = {errno.ENOSPC: 507, errno.EDQUOT: 507, errno.EMFILE: 503, errno.ENFILE: 503, errno.ENOMEM: 503}


@pytest.fixture
def job(client: TestClient, server: Server, tmp_path: Path) -> str:
    return trained(client, server, tmp_path)


@pytest.mark.parametrize("code", REFUSALS)
def test_no_room_for_a_workspace(
    client: TestClient, server: Server, job: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For an upload, a network that is to be asked, a file that is to be made: it was a 500."""

    def refuse(*_: object, **__: object) -> str:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    monkeypatch.setattr(server.networks, "_ready", server.networks._ready.copy())
    server.networks._ready.clear()
    rows = {"rows": [dict.fromkeys(bundled("iris").columns, 1.0)]}
    for answer in (
        client.post("/v1/datasets", files={"file": ("b.csv", CSV)}),
        client.post(f"/v1/jobs/{job}/predict", json=rows),
        client.get(f"/v1/jobs/{job}/model"),
        client.get(f"/v1/jobs/{job}/card"),
    ):
        problem(answer, REFUSALS[code])
        assert answer.headers["retry-after"]
    assert (client.get("/readyz").json()["files"]["status"] == "full") == (REFUSALS[code] == 507)


@pytest.mark.usefixtures("real_children")
def test_no_process_for_the_child_that_reads(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("api.describing.asyncio.create_subprocess_exec", refuse)
    problem(client.post("/v1/datasets", files={"file": ("c.csv", CSV + b"30,yes\n")}), 503)


if sys.platform == "linux":

    def test_a_child_that_finds_the_disk_full_says_so(tmp_path: Path) -> None:
        """It looked like a file that takes too much memory: 422, and a smaller one was asked for."""
        (tmp_path / "a.csv").write_bytes(CSV)
        (tmp_path / "full").symlink_to("/dev/full")
        command = [sys.executable, "-m", "models.describe", tmp_path / "a.csv", "--out", tmp_path / "full"]
        done = subprocess.run(command, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (NO_ROOM, b""), done.stderr


def test_a_child_without_room_is_507(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = describing._child

    def without_room(_: Sequence[str]) -> Any:
        return begin([sys.executable, "-c", f"import sys; sys.exit({NO_ROOM})"])

    monkeypatch.setattr(describing, "_child", without_room)
    document = problem(client.post("/v1/datasets", files={"file": ("d.csv", CSV + b"31,yes\n")}), 507)
    assert document["type"].endswith("#files-full")
