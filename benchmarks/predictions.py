"""Predictions over HTTP by a warm server that does nothing else: one row, many rows, the first question.

As in `benchmarks.reading`: over one open connection by the standard library's client, which adds least.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.jobs import digits_uploaded, finished, iris
from benchmarks.measuring import Row, milliseconds, seconds
from benchmarks.workloads import mnist
from cli.client import Client
from models.datasets import bundled
from tests.stacks import embedded

ROUNDS, COLD = 500, 20
WANTED_SECONDS = 0.020
MANY = 1_000


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder)) as stack:
        client, address = stack.client, stack.address
        flowers, digits = _iris_rows(), _mnist_rows()
        small = _trained(client, iris(5))
        wide = _trained(client, {**_WIDE, "dataset": digits_uploaded(client, Path(folder))})
        yield _one("iris, one row", address, small, flowers[:1])
        yield _one("784 columns, one row", address, wide, digits[:1])
        yield _many(f"iris, {MANY:,} rows", address, small, (flowers * 7)[:MANY])
        yield _first(client, address, flowers[:1])
        yield _model(address, wide)


_WIDE: dict[str, Any] = {
    "network": {"hidden": [128, 64]},
    "regularization": {"dropout": 0.3, "batch_norm": True},
    "training": {"max_epochs": 1, "batch_size": 128},
}


def _trained(client: Client, spec: dict[str, Any]) -> str:
    (job,) = finished(client, [client.post("/v1/jobs", spec)["id"]])
    return str(job["id"])


def _iris_rows() -> list[dict[str, float]]:
    columns = bundled("iris").columns
    return [dict(zip(columns, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)]


def _mnist_rows() -> list[dict[str, float]]:
    pixels, _ = mnist()
    return [{f"x{place}": float(value) for place, value in enumerate(row)} for row in np.asarray(pixels)[:10]]


def _asking(address: str, job: str, rows: Sequence[dict[str, float]]) -> Callable[[], None]:
    connection = HTTPConnection(urlsplit(address).netloc)
    body, headers = json.dumps({"rows": rows}), {"Content-Type": "application/json"}

    def ask() -> None:
        connection.request("POST", f"/v1/jobs/{job}/predict", body, headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()

    return ask


def _one(what: str, address: str, job: str, rows: Sequence[dict[str, float]]) -> Row:
    ask = _asking(address, job, rows)
    ask()
    times = sorted(seconds(ask) for _ in range(ROUNDS))
    median, late = statistics.median(times), times[int(0.99 * ROUNDS)]
    return Row(
        f"{what}, warm",
        milliseconds(median),
        f"p99 {milliseconds(late)}",
        "—",
        f"p99 ≤ {milliseconds(WANTED_SECONDS)}",
        late <= WANTED_SECONDS,
    )


def _many(what: str, address: str, job: str, rows: Sequence[dict[str, float]]) -> Row:
    ask = _asking(address, job, rows)
    ask()
    median = statistics.median(seconds(ask) for _ in range(50))
    return Row(f"{what}, warm", milliseconds(median), f"{len(rows) / median:,.0f} rows/s", "—", "", None)


def _first(client: Client, address: str, rows: Sequence[dict[str, float]]) -> Row:
    """Of networks that nobody has asked yet, each with weights of its own."""
    jobs = [
        _trained(client, {**iris(1), "training": {"max_epochs": 1, "batch_size": 32, "seed": seed}})
        for seed in range(1, COLD)
    ]
    median = statistics.median(seconds(_asking(address, job, rows)) for job in jobs)
    return Row("iris, the first question to a network", milliseconds(median), "", "—", "", None)


def _model(address: str, job: str) -> Row:
    connection = HTTPConnection(urlsplit(address).netloc)

    def ask() -> None:
        connection.request("GET", f"/v1/jobs/{job}/model")
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()

    ask()
    median = statistics.median(seconds(ask) for _ in range(20))
    return Row("784 columns, the ONNX file", milliseconds(median), "", "—", "", None)
