"""What the tests of the web need besides a server: a worker played by hand, and an eye for problems."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import httpx2
from starlette.testclient import TestClient

from store import curves, jobs, weights
from store.curves import Point
from store.files import Stored
from store.jobs import Job
from store.session import Database

RESULT = {
    "best_epoch": 2,
    "last_epoch": 3,
    "restored_epoch": 2,
    "parameters": 17,
    "train": {"loss": 0.5},
    "validation": {"loss": 0.4},
    "test": None,
    "generalization_gap": -0.1,
}


def submit(client: TestClient, **spec: Any) -> dict[str, Any]:
    """A queued job."""
    response = client.post("/v1/jobs", json={"dataset": "iris", **spec})
    assert response.status_code == 202, response.text
    answer: dict[str, Any] = response.json()
    return answer


class Worker:
    """Moves jobs along as a worker does, without training anything."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def begin(self, job_id: str) -> Job:
        """Claim this job; whatever else waits is cancelled first."""
        while True:
            with self.database.writing() as tx:
                claimed = jobs.claim(tx, worker="by-hand", queues=["cpu", "gpu"], lease_seconds=60)
                assert claimed, f"nothing waits, not even {job_id}"
                (job,) = claimed
                if job.id == job_id:
                    return job
                jobs.fail(tx, job.id, job.fence, stop_reason="internal_error", stop_detail="in the way")

    def record(self, job: Job, values: dict[str, list[float]], *, first: int = 1) -> None:
        """Epochs from `first` on, by series."""
        rows = zip(*values.values(), strict=True)
        points = [Point(first + row, dict(zip(values, each, strict=True))) for row, each in enumerate(rows)]
        with self.database.writing() as tx:
            assert curves.record(tx, job.id, job.fence, points, epochs_per_second=10.0)

    def keep_weights(self, job: Job, summary: dict[str, Any]) -> None:
        with self.database.writing() as tx:
            key = weights.key(job.id, job.fence)
            assert weights.put(tx, job.id, job.fence, Stored(key, "a" * 64, 10), summary)

    def succeed(
        self, job: Job, result: dict[str, Any] | None = None, stop_reason: str = "early_stopping"
    ) -> None:
        with self.database.writing() as tx:
            ended = jobs.succeed(
                tx,
                job.id,
                job.fence,
                stop_reason=stop_reason,
                stop_detail="enough",
                result=result or RESULT,
            )
        assert ended

    def done(self, client: TestClient, **spec: Any) -> str:
        """A job that ran three epochs and succeeded; its id."""
        job = self.begin(submit(client, **spec)["id"])
        self.record(job, {"train_loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.4, 0.6]})
        self.succeed(job)
        return job.id


def problem(response: httpx2.Response, status: int) -> dict[str, Any]:
    """The problem document of a response, which must have this status and every member that is promised."""
    assert response.status_code == status, f"{response.status_code} {response.text[:500]}"
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["request_id"] == response.headers["x-request-id"]
    assert unquote(document["instance"]) == response.request.url.path
    assert document["type"].startswith("/docs/problems#")
    assert document["title"]
    assert document["detail"]
    return document


def pointers(document: dict[str, Any]) -> list[str]:
    """Where a problem document points."""
    return [error["pointer"] for error in document["errors"]]
