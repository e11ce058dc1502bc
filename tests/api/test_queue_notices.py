"""A job that nobody takes says so: when it is looked over, when it is submitted, and while it waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.deps import Server
from api.queue_notices import waiting
from store import jobs, tables, workers
from tests.api.acting import Worker, submit

ON_CUDA: dict[str, Any] = {"training": {"device": "cuda"}}


@pytest.fixture(autouse=True)
def _nobody_works_and_nothing_waits(client: TestClient, server: Server) -> Iterator[None]:
    yield
    for job in client.get("/v1/jobs", params={"status": "queued"}).json()["data"]:
        client.post(f"/v1/jobs/{job['id']}/cancel")
    with server.database.writing() as tx:
        tx.execute(tables.workers.delete())


def hear_of(server: Server, *queues: str) -> None:
    """A worker that takes these queues says that it is there."""
    with server.database.writing() as tx:
        workers.seen(tx, "worker-of-this-test", host="here", pid=1, queues=queues)


def validated(client: TestClient, **asked: Any) -> list[dict[str, str]]:
    answer = client.post("/v1/jobs/validate", json={"dataset": "iris", **asked})
    found: list[dict[str, str]] = answer.json()["warnings"]
    return found


def looked_at(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}").json()
    return found


def test_a_job_for_a_gpu_that_nobody_has_says_so_everywhere(client: TestClient, server: Server) -> None:
    hear_of(server, "cpu")
    (warned,) = validated(client, **ON_CUDA)
    assert warned["pointer"] == "/training/device"
    assert "no worker that takes the queue `gpu` was seen in the last 15 seconds" in warned["detail"]
    assert '"device": "auto"' in warned["detail"]
    job = submit(client, **ON_CUDA)
    assert job["warnings"] == [warned]
    assert "waiting" not in job
    told = looked_at(client, job)
    assert told["waiting"] == {
        "queue": "gpu",
        "ahead": 0,
        "ahead_is_exact": True,
        "workers": 0,
        "notice": warned["detail"],
    }
    second = looked_at(client, submit(client, **ON_CUDA))
    assert (second["waiting"]["ahead"], second["waiting"]["ahead_is_exact"]) == (1, True)


def test_what_is_stored_stays_and_what_waits_is_told_anew(client: TestClient, server: Server) -> None:
    job = submit(client, **ON_CUDA)
    hear_of(server, "gpu", "cpu")
    assert validated(client, **ON_CUDA) == []
    told = looked_at(client, job)
    assert len(told["warnings"]) == 1
    assert (told["waiting"]["workers"], told["waiting"]["notice"]) == (1, None)
    assert submit(client, **ON_CUDA)["warnings"] == []


def test_any_job_that_no_worker_takes_says_so_but_is_not_marked_for_good(
    client: TestClient, server: Server
) -> None:
    """A worker that restarts is away for seconds: the job's own warnings are no place for that."""
    (warned,) = validated(client)
    assert "no worker that takes the queue `cpu`" in warned["detail"]
    job = submit(client)
    assert job["warnings"] == []
    assert looked_at(client, job)["waiting"]["notice"] == warned["detail"]
    hear_of(server, "cpu")
    assert validated(client) == []
    assert looked_at(client, job)["waiting"]["notice"] is None


def test_who_does_not_wait_is_told_nothing_and_lists_stay_as_they_were(
    client: TestClient, server: Server, worker: Worker
) -> None:
    first, second = submit(client), submit(client)
    assert all("waiting" not in each for each in client.get("/v1/jobs").json()["data"])
    begun = worker.begin(first["id"])
    assert "waiting" not in looked_at(client, first)
    assert looked_at(client, second)["waiting"]["ahead"] == 0
    with server.database.of("default").reading() as tx:
        assert waiting(tx, jobs.get(tx, begun.id), server.settings) is None
