"""Jobs that ended with real networks, without anybody having trained them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from api.deps import Server
from models.datasets import Table, bundled
from models.weights import load, summarize
from store import weights
from store.jobs import Job
from tests.api.acting import RESULT, Worker, submit
from tests.models.networks import written

LOSSES = {"train_loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.4, 0.6], "objective": [1.0, 0.6, 0.5]}


def trained(
    client: TestClient,
    server: Server,
    folder: Path,
    *,
    dataset: str = "iris",
    table: Table | None = None,
    result: dict[str, Any] | None = None,
    damage: Any = None,
    **asked: Any,
) -> str:
    """A job that succeeded, with the weights of a random network; its id. `damage` changes the file first."""
    worker = Worker(server.database.of("default"))
    job = worker.begin(submit(client, dataset=dataset, **asked)["id"])
    worker.record(job, LOSSES)
    path = written(folder / "w.safetensors", table or bundled(dataset), **asked)
    keep(server, job, path, damage)
    worker.succeed(job, result or RESULT)
    return job.id


def keep(server: Server, job: Job, path: Path, damage: Any = None) -> None:
    """Store a weights file as a worker does."""
    loaded = load(path)
    summary = summarize(loaded.network, loaded.spec, loaded.preprocessor)
    if damage:
        damage(path)
    stored = server.files.put(weights.key(job.id, job.fence), path)
    with server.database.of(job.project_id).writing() as tx:
        assert weights.put(tx, job.id, job.fence, stored, summary)
