"""The API while every core trains: how soon it answers, how much it carries, and what memory that takes.

Clients hold their connections open and are the standard library's: others add milliseconds of their own.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.jobs import finished, iris, run
from benchmarks.measuring import Row, milliseconds, seconds
from cli.client import Client
from tests.chaos.load import api_of
from tests.stacks import Stack, embedded

EPOCHS = 500
SUBMITS, SUBMITTERS = 200, 8
ASKED = 400
RATE, HELD_SECONDS, READERS = 300, 15.0, 8
MIB = 2**20
MOST_MEMORY = 120 * MIB


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder), concurrency=2) as stack:
        run(stack.client, iris(EPOCHS))
        job = stack.client.get("/v1/jobs", limit=1)["data"][0]["id"]
        paths = (f"/v1/jobs/{job}", f"/v1/jobs/{job}/curves")
        yield _memory(stack, "API at rest")
        yield _submits(stack)
        with _training(stack.client):
            yield _latency(stack, "GET of a job while both cores train", paths[0], 0.050)
            yield _latency(stack, f"a {EPOCHS}-point curve while both cores train", paths[1], 0.080)
            yield _held(stack, paths)
        yield _memory(stack, "API after that load")


@contextmanager
def _training(client: Client) -> Iterator[None]:
    """Two jobs that go on until they are cancelled. They differ in width, so that no worker takes both."""
    ids = [
        client.post(
            "/v1/jobs",
            {
                "dataset": "digits",
                "network": {"hidden": [width, 64]},
                "regularization": {"dropout": [0.5, 0.3], "l2": 1e-4},
                "training": {"max_epochs": 100_000},
            },
        )["id"]
        for width in (128, 256)
    ]
    for each in ids:
        while client.get(f"/v1/jobs/{each}")["progress"]["epoch"] < 5:
            time.sleep(0.1)
    try:
        yield
    finally:
        for each in ids:
            assert client.get(f"/v1/jobs/{each}")["status"] == "running"
            client.post(f"/v1/jobs/{each}/cancel")


def _memory(stack: Stack, what: str) -> Row:
    taken = api_of(stack).memory_info().rss
    return Row(f"memory: {what}", f"{taken / MIB:.0f} MiB", "", "", "≤ 120 MiB", taken <= MOST_MEMORY)


def _submits(stack: Stack) -> Row:
    """Until the last has been accepted; two workers begin to work them off meanwhile."""
    ids: list[str] = []
    body = json.dumps(iris(5)).encode()

    def send(connection: HTTPConnection, _: int) -> None:
        connection.request("POST", "/v1/jobs", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        ids.append(json.loads(answer.read())["id"])
        assert answer.status == 202

    spent = seconds(lambda: _over(stack, SUBMITTERS, send, range(SUBMITS)))
    finished(stack.client, ids)
    return Row(
        f"{SUBMITS} jobs sent one by one over {SUBMITTERS} connections, until all are accepted",
        f"{spent:.2f} s",
        f"{SUBMITS / spent:.0f} a second",
        "",
        "< 2 s",
        spent < 2.0,
    )


def _latency(stack: Stack, what: str, path: str, wanted: float) -> Row:
    connection = _connection(stack)
    _read(connection, path)
    times = sorted(seconds(lambda: _read(connection, path)) for _ in range(ASKED))
    late = _percentile(times, 99)
    return Row(
        what,
        f"p99 {milliseconds(late)}",
        f"median {milliseconds(statistics.median(times))}",
        "",
        f"p99 ≤ {milliseconds(wanted)}",
        late <= wanted,
    )


def _held(stack: Stack, paths: Sequence[str]) -> Row:
    """Reads that begin at their time or as soon after as a connection is free: waiting for one counts."""
    total = int(RATE * HELD_SECONDS)
    began = time.perf_counter()
    times: list[float] = []

    def read(connection: HTTPConnection, number: int) -> None:
        due = began + number / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        _read(connection, paths[number % len(paths)])
        times.append(time.perf_counter() - due)

    spent = seconds(lambda: _over(stack, READERS, read, range(total)))
    rate, late = total / spent, _percentile(sorted(times), 99)
    return Row(
        f"{RATE} reads/s for {HELD_SECONDS:.0f} s, jobs and curves in turn, while both cores train",
        f"{rate:.0f} reads/s",
        f"median {milliseconds(statistics.median(times))}, p99 {milliseconds(late)}",
        "",
        f"{RATE} reads/s held",
        rate >= 0.99 * RATE and late <= 1.0,
    )


def _over(
    stack: Stack, connections: int, act: Callable[[HTTPConnection, int], None], numbers: Sequence[int]
) -> None:
    """Each of the numbers once, in order, by whichever connection is free."""
    left, turn = iter(numbers), threading.Lock()

    def work(connection: HTTPConnection) -> None:
        while True:
            with turn:
                number = next(left, None)
            if number is None:
                return
            act(connection, number)

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(work, [_connection(stack) for _ in range(connections)]))


def _connection(stack: Stack) -> HTTPConnection:
    return HTTPConnection(urlsplit(stack.address).netloc)


def _read(connection: HTTPConnection, path: str) -> None:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, answer.status


def _percentile(ordered: Sequence[float], percent: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
