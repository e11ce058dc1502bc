"""What a busy dashboard asks: a job, a short curve and a very long one, and the list near and far."""

from __future__ import annotations

import json
import random
import statistics
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from benchmarks.jobs import run
from benchmarks.measuring import Row, milliseconds, seconds
from cli.client import Client
from store import curves
from store.curves import Point
from store.session import Database
from store.tables import jobs
from tests.stacks import embedded

LONGEST = 100_000
SERIES = (
    *("objective", "train_loss", "val_loss", "penalty_l1", "penalty_l2", "learning_rate", "weight_norm"),
    *("sparsity", "epoch_seconds", "train_accuracy", "val_accuracy", "train_f1_macro", "val_f1_macro"),
)
JOBS, PAGE, FAR = 100_000, 50, 1_000
ROUNDS = 200
LONG = {"dataset": "iris", "regularization": {"l2": 1e-4}, "training": {"max_epochs": 500, "batch_size": 64}}


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder)) as stack:
        client = stack.client
        run(client, LONG)
        job = client.get("/v1/jobs?limit=1")["data"][0]["id"]
        yield _latency("GET /v1/jobs/{id}", stack.address, f"/v1/jobs/{job}")
        yield _latency("a 500-point curve", stack.address, f"/v1/jobs/{job}/curves")
        yield _long(stack.address, _lengthen(stack.settings.database, job))
        multiply(stack.settings.database, job, JOBS)
        yield _pages(client)


def _latency(what: str, address: str, path: str) -> Row:
    """Over one open connection by the standard library's client: others add milliseconds of their own."""
    connection = HTTPConnection(urlsplit(address).netloc)

    def ask() -> None:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()

    ask()
    times = sorted(seconds(ask) for _ in range(ROUNDS))
    median, late = statistics.median(times), times[int(0.99 * ROUNDS)]
    return Row(what, milliseconds(median), f"p99 {milliseconds(late)}", "—", "median < 10 ms", median < 0.010)


def _long(address: str, job_id: str) -> Row:
    """Its numbers are as wild as numbers get: nothing about them makes them easy to thin."""
    connection = HTTPConnection(urlsplit(address).netloc)
    path = f"/v1/jobs/{job_id}/curves?max_points=500"

    def ask() -> None:
        connection.request("GET", path)
        assert json.loads(connection.getresponse().read())["sampling"]["total"] == LONGEST

    ask()
    spent = statistics.median(seconds(ask) for _ in range(15))
    return Row(
        f"a curve of {LONGEST:,} epochs, {len(SERIES)} series, thinned to 500 points",
        milliseconds(spent),
        "",
        "",
        "≤ 100 ms",
        spent <= 0.100,
    )


def _lengthen(database_url: str, job_id: str) -> str:
    """A copy of a finished job with a curve as long as any may be, recorded as a worker records it."""
    chance = random.Random(0)
    with Database(database_url) as database:
        with database.writing() as tx:
            row = dict(tx.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().one())
            own = {"id": f"job_{'f' * 32}", "status": "running", "epoch": 0, "fence": 1}
            tx.execute(
                sa.insert(jobs), row | own | {"lease_expires_at": row["finished_at"] + timedelta(hours=1)}
            )
        for start in range(1, LONGEST, 1_000):
            epochs = [
                Point(epoch, {name: chance.random() for name in SERIES})
                for epoch in range(start, start + 1_000)
            ]
            with database.writing() as tx:
                assert curves.record(tx, own["id"], own["fence"], epochs)
        with database.writing() as tx:
            tx.execute(jobs.update().where(jobs.c.id == own["id"]).values(status="succeeded"))
    return str(own["id"])


def _pages(client: Client) -> Row:
    first = f"/v1/jobs?limit={PAGE}"
    far = first
    for _ in range(FAR - 1):
        far = f"/v1/jobs?limit={PAGE}&cursor={client.get(far)['next']}"
    pairs = [(seconds(lambda: client.read(first)), seconds(lambda: client.read(far))) for _ in range(ROUNDS)]
    near_median, far_median = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    return Row(
        f"page {FAR:,} of {JOBS:,} jobs against page 1",
        milliseconds(far_median),
        f"page 1 {milliseconds(near_median)}",
        f"{ratio:.2f}×",
        "alike (0.8–1.25×)",
        0.8 <= ratio <= 1.25,
    )


def multiply(database_url: str, job_id: str, many: int) -> None:
    """So many copies of a finished job, each with an id of its own and a second of its own."""
    with Database(database_url) as database, database.writing() as tx:
        row = dict(tx.execute(sa.select(jobs).where(jobs.c.id == job_id)).mappings().one())
        for start in range(0, many, 5_000):
            tx.execute(sa.insert(jobs), [row | _own(number, row) for number in range(start, start + 5_000)])


def _own(number: int, row: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"job_{number:032x}", "created_at": row["created_at"] - timedelta(seconds=number)}
