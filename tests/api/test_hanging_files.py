"""A file store that hangs: who needs files is told so, and everybody else notices nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import anyio
import httpx2
import pytest
from starlette.testclient import TestClient

from api.deps import Server
from api.errors import UnavailableError
from api.file_work import FileWork
from api.readiness import Probes
from store.bucket import Bucket, Patience
from tests.api.acting import problem
from tests.api.trained import trained
from tests.silent import Hanging, hanging

SMALL_SECONDS = 1.0
"""A request to the store is tried twice for so long."""
AT_ONCE = 60
CSV = b"a,y\n" + b"".join(b"%d,%s\n" % (row, b"no" if row % 2 else b"yes") for row in range(20))


@pytest.fixture
def job(client: TestClient, server: Server, tmp_path: Path) -> str:
    return trained(client, server, tmp_path)


@pytest.fixture
def store(server: Server, monkeypatch: pytest.MonkeyPatch, job: str) -> Iterator[Hanging]:
    """The server's files, once the job's are stored, are in a bucket that accepts connections and no more."""
    with hanging() as silent:
        settings = {"ENDPOINT_URL": silent.url, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
        for name, value in {**settings, "REGION": "us-east-1", "ALLOW_HTTP": "true"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        bucket = Bucket("s3://ridgeline/prefix", Patience(small=SMALL_SECONDS, pause=SMALL_SECONDS))
        monkeypatch.setitem(vars(server.files), "_place", bucket)
        yield silent


def _needing_files(client: TestClient, job: str, number: int) -> httpx2.Response:
    model = f"/v1/jobs/{job}/model"
    match number % 6:
        case 0:
            return client.get(model)
        case 1:
            return client.get(f"/v1/jobs/{job}/card")
        case 2:
            return client.post(f"/v1/jobs/{job}/predict", json={"rows": []})
        case 3:
            return client.post("/v1/datasets", files={"file": (f"{number}.csv", CSV + b"%d,no\n" % number)})
        case _:
            return client.get(model, params={"format": "safetensors"})


def _quickest(client: TestClient) -> list[httpx2.Response]:
    return [
        client.get("/healthz"),
        client.get("/v1/jobs"),
        client.post("/v1/jobs", json={"dataset": "iris"}),
        client.get("/v1/datasets"),
    ]


def test_sixty_requests_for_files_hold_up_nobody(client: TestClient, job: str, store: Hanging) -> None:
    """They took all of the server's threads before, each for minutes."""
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(_needing_files, client, job, number) for number in range(AT_ONCE)]
        while len(store.connections) < 10:
            assert time.monotonic() - started < 10 * SMALL_SECONDS
            time.sleep(0.01)
        assert [answer.status_code for answer in _quickest(client)] == [200, 200, 202, 200]
        # Whatever a machine takes for four answers: they came while most of the others still hung.
        hung = [each for each in asked if not each.done()]
        assert len(hung) > AT_ONCE / 2
        _check_refused(asked, 3 * SMALL_SECONDS + 2)
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.headers["retry-after"]
    assert not ready.json()["files"]["ok"]
    assert ready.json()["database"]["ok"]
    again = time.monotonic()
    assert problem(_needing_files(client, job, 5), 503)["type"].endswith("files-unavailable")
    assert time.monotonic() - again < SMALL_SECONDS


def _check_refused(asked: list[Future[httpx2.Response]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for each in asked:
        answer = each.result(max(0.0, deadline - time.monotonic()))
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"]


def test_deleting_goes_on_and_leaves_the_file_to_be_swept(
    client: TestClient, job: str, store: Hanging
) -> None:
    started = time.monotonic()
    assert client.delete(f"/v1/jobs/{job}").status_code == 204
    assert time.monotonic() - started < 3 * SMALL_SECONDS
    assert client.get(f"/v1/jobs/{job}").status_code == 404
    assert store.connections


# ── a folder that hangs, which nothing in this process can break off ────────────────────────────────────────


def test_threads_that_hang_are_told_of_and_no_more_are_made() -> None:
    release = threading.Event()

    async def ask() -> tuple[list[float], int]:
        work = FileWork(at_once=3, patience_seconds=0.1)
        hung = [asyncio.create_task(work.run(release.wait, 30)) for _ in range(3)]
        await asyncio.sleep(0.01)
        waits = []
        for _ in range(4):
            started = time.monotonic()
            with pytest.raises(UnavailableError, match="does not answer"):
                await work.run(lambda: None)
            waits.append(time.monotonic() - started)
        for task in hung:  # their clients leave; the threads cannot
            task.cancel()
        await asyncio.gather(*hung, return_exceptions=True)
        with pytest.raises(UnavailableError):
            await work.run(lambda: None)
        before = threading.active_count()
        release.set()
        await asyncio.sleep(0.05)
        return waits, before + await work.run(lambda: 0)

    threads = threading.active_count()
    waits, hanging_threads = asyncio.run(ask())
    assert 0.05 < waits[0] < 0.5
    assert max(waits[1:]) < 0.05  # nobody came free in all that time: at once
    assert hanging_threads <= threads + 3


def test_a_thread_that_comes_free_is_taken() -> None:
    async def ask() -> list[int]:
        work = FileWork(at_once=2, patience_seconds=5)
        return list(await asyncio.gather(*(work.run(lambda n=n: time.sleep(0.01) or n) for n in range(20))))

    assert anyio.run(ask) == list(range(20))


def test_a_probe_that_hangs_is_asked_once() -> None:
    """Every look at /readyz left a thread and a connection behind."""
    asked, release = [], threading.Event()

    def hang() -> str | None:
        asked.append(threading.get_ident())
        release.wait(30)
        return "at last"

    async def look(monkeypatch: pytest.MonkeyPatch) -> str | None:
        probes = Probes()
        monkeypatch.setattr("api.readiness.CHECK_SECONDS", 0.02)
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await probes.ask("database", hang)
        release.set()
        monkeypatch.setattr("api.readiness.CHECK_SECONDS", 5)
        return await probes.ask("database", hang)

    with pytest.MonkeyPatch.context() as monkeypatch:
        assert asyncio.run(look(monkeypatch)) == "at last"
    assert len(asked) == 1
