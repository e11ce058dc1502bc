"""Load: submits at a fixed rate, with many who poll and many who hold event streams, on the embedded default.

    python -m tests.chaos.load [--seconds 60] [--rate 100] [--pollers 100] [--streams 50]

`ridgeline up` runs in processes of its own; this process asks. Submits are sent when they are due, however
long the ones before them take, and are measured from when they were due. It fails if any answer is a 5xx, if
any connection breaks, or if a job does not end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

from tests.stacks import Stack, embedded

SPEC = {"dataset": "iris", "network": {"hidden": [4]}, "training": {"max_epochs": 2, "batch_size": 64}}
"""As little work as a job can be: what is measured is everything around it."""
PERCENTILES = (50, 90, 99, 99.9)
POLL_SECONDS = 1.0
"""Between two requests of one poller; every tenth asks for a list."""


@dataclass
class Tally:
    """What was asked and how it went."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    jobs: list[str] = field(default_factory=list)
    streamed: int = 0

    def note(self, kind: str, status: int, since: float) -> None:
        self.seconds[kind].append(time.perf_counter() - since)
        self.statuses[f"{kind} {status}"] += 1

    @property
    def failures(self) -> int:
        fivers = sum(count for name, count in self.statuses.items() if name.split()[-1].startswith("5"))
        return fivers + self.broken.total()


class Load:
    """One run against one server."""

    def __init__(self, client: httpx2.AsyncClient, tally: Tally) -> None:
        self._client = client
        self._tally = tally
        self._over = asyncio.Event()
        self._random = random.Random(0)

    async def run(self, *, seconds: float, rate: float, pollers: int, streams: int) -> None:
        """Submit for so long; then the pollers stop, and streams go on to their ends."""
        polling = [asyncio.create_task(self._poll()) for _ in range(pollers)]
        watching = [asyncio.create_task(self._watch()) for _ in range(streams)]
        await self._submit_all(seconds, rate)
        self._over.set()
        await asyncio.gather(*polling)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    async def _submit_all(self, seconds: float, rate: float) -> None:
        began = time.perf_counter()
        under_way: set[asyncio.Task[None]] = set()
        for number in range(int(seconds * rate)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(self._submit(number, due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def _submit(self, number: int, due: float) -> None:
        spec = {**SPEC, "metadata": {"number": number}}
        answer = await self._ask("submit", "POST", "/v1/jobs", since=due, json=spec)
        if answer is not None and answer.status_code == 202:
            self._tally.jobs.append(answer.json()["id"])

    async def _poll(self) -> None:
        await asyncio.sleep(self._random.random() * POLL_SECONDS)
        turn = self._random.randrange(10)
        while not self._over.is_set():
            turn += 1
            if turn % 10 == 0:
                await self._ask("list", "GET", "/v1/jobs?limit=20")
            elif self._tally.jobs:
                await self._ask("look", "GET", f"/v1/jobs/{self._random.choice(self._tally.jobs[-2000:])}")
            await asyncio.sleep(POLL_SECONDS)

    async def _watch(self) -> None:
        """Event streams one after the other, each of a job that was just submitted and to its end."""
        while not self._over.is_set():
            if not self._tally.jobs:
                await asyncio.sleep(0.1)
                continue
            job = self._random.choice(self._tally.jobs[-20:])
            since = time.perf_counter()
            headers = {"Accept": "text/event-stream"}
            try:
                async with self._client.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as stream:
                    self._tally.note("stream", stream.status_code, since)
                    async for _ in stream.aiter_lines():
                        pass
                self._tally.streamed += stream.status_code == 200
                if stream.status_code == 204:  # It has ended already: nothing to hold.
                    await asyncio.sleep(0.5)
            except httpx2.HTTPError as error:
                self._tally.broken[f"stream {type(error).__name__}"] += 1

    async def _ask(
        self, kind: str, method: str, path: str, *, since: float | None = None, **more: Any
    ) -> httpx2.Response | None:
        since = since or time.perf_counter()
        try:
            answer = await self._client.request(method, path, **more)
        except httpx2.HTTPError as error:
            self._tally.broken[f"{kind} {type(error).__name__}"] += 1
            return None
        self._tally.note(kind, answer.status_code, since)
        return answer


async def _attack(address: str, tally: Tally, chosen: argparse.Namespace) -> None:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        await Load(client, tally).run(
            seconds=chosen.seconds, rate=chosen.rate, pollers=chosen.pollers, streams=chosen.streams
        )


def _warm(stack: Stack) -> None:
    """The first job waits until the bundled datasets are stored, and for a worker's libraries."""
    job = stack.client.create("/v1/jobs", json.dumps(SPEC).encode(), "application/json")
    while stack.client.get(f"/v1/jobs/{job['id']}", wait=20)["status"] in ("queued", "running"):
        pass


def unfinished(stack: Stack) -> int:
    """How many jobs have not ended, as the service itself measures."""
    text = stack.client.read("/metrics").decode()
    lines = [line for line in text.splitlines() if line.startswith("ridgeline_jobs{")]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines)


def ended(stack: Stack) -> Counter[str]:
    """All jobs by status, asked page by page."""
    return Counter(job["status"] for job in stack.client.listing("/v1/jobs", 10**6))


def _await_the_end(stack: Stack, seconds: float) -> float:
    """Until nothing is left, and how long that took."""
    began = time.monotonic()
    while (left := unfinished(stack)) and time.monotonic() - began < seconds:
        print(f"  {left:>6} jobs are left", file=sys.stderr)
        time.sleep(5)
    return time.monotonic() - began


def table(tally: Tally) -> str:
    """Latencies in milliseconds, a line for each kind of request."""
    lines = [f"{'':8}{'count':>8}" + "".join(f"{f'p{each:g}':>9}" for each in PERCENTILES) + f"{'max':>9}"]
    for kind, seconds in sorted(tally.seconds.items()):
        ordered = sorted(seconds)
        at = [ordered[min(len(ordered) - 1, int(len(ordered) * each / 100))] for each in PERCENTILES]
        shown = "".join(f"{1000 * value:9.1f}" for value in (*at, ordered[-1]))
        lines.append(f"{kind:8}{len(ordered):8}{shown}")
    return "\n".join(lines)


def api_of(stack: Stack) -> psutil.Process:
    """The server's own process, found by the port it listens on."""
    port = int(stack.address.rpartition(":")[2])
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return psutil.Process(connection.pid)
    raise LookupError(f"nobody listens on {port}")


def main(arguments: list[str]) -> int:
    """The exit code: 1 where anything failed."""
    parser = argparse.ArgumentParser(prog="./run chaos load", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=100, help="submits a second")
    parser.add_argument("--pollers", type=int, default=100)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--concurrency", type=int, default=2, help="worker processes")
    parser.add_argument("--patience", type=float, default=900, help="seconds for the jobs to end")
    chosen = parser.parse_args(arguments)
    tally = Tally()
    folder = Path(tempfile.mkdtemp(prefix="ridgeline load "))
    with embedded(folder, concurrency=chosen.concurrency, log_level="warning") as stack:
        _warm(stack)
        api = api_of(stack)
        before = api.memory_info().rss
        asyncio.run(_attack(stack.address, tally, chosen))
        waited = _await_the_end(stack, chosen.patience)
        left, statuses = unfinished(stack), ended(stack)
        after = api.memory_info().rss
    print(table(tally))
    print(f"answers: {json.dumps(dict(sorted(tally.statuses.items())))}; broken: {dict(tally.broken)}")
    print(f"{len(tally.jobs)} jobs accepted, {dict(statuses)}, {left} left, the last {waited:.0f} s later")
    print(f"{tally.streamed} streams to their end; API {before / 2**20:.0f} → {after / 2**20:.0f} MiB")
    lost = 1 + len(tally.jobs) - statuses.total()
    failed = bool(tally.failures or left or lost or set(statuses) - {"succeeded"})
    print(f"violations: {tally.failures + left + max(0, lost)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
