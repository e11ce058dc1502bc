"""What claims, quotas and watchers ask, on PostgreSQL beside a million jobs that have ended and a long queue.

    ./run bench million
    python -m benchmarks.million --finished 100000 --queued 20000 --projects 50 --workers 4

A PostgreSQL of its own, with `fsync` on and a gigabyte of shared buffers; the product's own statements. Times
are of the store's functions as a process of ours sees them, without HTTP and without training.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg

from benchmarks.errands import Errand, ask_all
from benchmarks.measuring import Row, milliseconds, seconds
from store import gauges, jobs, migrate, projects, usage
from store.curves import Point, Recording, record_all
from store.jobs import turns
from store.session import Connection, Database
from tests.servers import START_SECONDS, postgres_command
from tests.store import filling

SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "autovacuum_naptime": "1min",
}
SPEC = '{"dataset":"digits","network":{"hidden":[64,64]},"padding":"' + 600 * "x" + '"}'
ROUNDS, CLIENTS, WORK_SECONDS = 15, 20, 20.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much lies in the tables."""

    finished: int = 1_000_000
    queued: int = 100_000
    projects: int = 50
    idle: int = 10_000
    """Projects that have nothing queued."""
    workers: int = 8


def measure() -> Iterator[Row]:
    yield from measure_at(Size())


def measure_at(size: Size) -> Iterator[Row]:
    with _server() as (url, server), Database(url) as database:
        migrate.upgrade(database)
        yield _row("filling the tables", seconds(lambda: _fill(database, size)), unit="s")
        yield from _looks(database)
        yield _clients(url)
        yield from _epochs(database)
        yield _claims(url, server, size)
        yield from _many_projects(database, size)


@contextmanager
def _server() -> Iterator[tuple[str, psutil.Process]]:
    with postgres_command(SETTINGS) as (command, url):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        try:
            while True:
                try:
                    psycopg.connect(url).close()
                    break
                except psycopg.OperationalError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(30)


def _fill(database: Database, size: Size) -> None:
    with database.writing() as tx:
        filling.add_projects(tx, size.projects)
        filling.add_projects(tx, size.idle, prefix="idle")
        filling.add_projects(tx, 1, prefix="large")
        # Half of what has ended is one project's: its sums are the dear ones.
        for prefix, number in (("project", size.projects), ("large", 1)):
            filling.add_jobs(
                tx,
                size.finished // 2,
                projects=number,
                prefix=prefix,
                status="succeeded",
                mark=prefix[0],
                spec=SPEC,
            )
        filling.add_weights(tx, 50_000)
        filling.add_jobs(tx, size.queued, projects=size.projects, mark="q", spec=SPEC)
        filling.add_jobs(tx, 3, projects=3, mark="g", queue="gpu", spec=SPEC)
        usage.correct(tx)
    _vacuum(database)


def _vacuum(database: Database) -> None:
    with psycopg.connect(database.url.set(drivername="postgresql").render_as_string(False)) as connection:
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")


# ── what is asked again and again ───────────────────────────────────────────────────────────────────────────


class _Undone(Exception):
    """Looked at, and nothing changed."""


def _undone(database: Database, act: Callable[[Connection], object]) -> float:
    """Seconds, the median, of something that is then rolled back."""

    def once() -> None:
        with suppress(_Undone), database.writing() as tx:
            act(tx)
            raise _Undone

    once()
    return statistics.median(seconds(once) for _ in range(ROUNDS))


def _looks(database: Database) -> Iterator[Row]:
    large = database.of("large_000001")
    acts: dict[str, tuple[Database, Callable[[Connection], object], float | None]] = {
        "the next job": (database, lambda tx: turns.next_job(tx, ["cpu"]), 0.020),
        "the next job of a near-empty queue": (database, lambda tx: turns.next_job(tx, ["gpu"]), 0.010),
        "the next job of both": (database, lambda tx: turns.next_job(tx, ["gpu", "cpu"]), 0.020),
        "does anything wait": (database, lambda tx: jobs.any_waits(tx, ["gpu", "cpu"]), 0.005),
        "a reconciler's count of the queue": (database, lambda tx: jobs.waiting(tx, at_most=64), 0.005),
        "leases that ran out": (database, _expire, 0.010),
        "gauges": (database, lambda tx: gauges.read(tx, alive_seconds=30), 0.050),
        "what the largest project uses": (large, projects.usage_of, 0.005),
        "all sums against all rows, once an hour": (database, usage.has_drifted, None),
    }
    for what, (seen, act, wanted) in acts.items():
        yield _row(what, _undone(seen, act), wanted)


def _expire(tx: Connection) -> object:
    return jobs.expire(tx, max_attempts=3, backoff_seconds=0)


def _row(what: str, spent: float, wanted: float | None = None, *, unit: str = "ms") -> Row:
    told = milliseconds(spent) if unit == "ms" else f"{spent:.0f} s"
    bound = f"≤ {milliseconds(wanted)}" if wanted else ""
    return Row(what, told, "", "", bound, None if wanted is None else spent <= wanted)


def _clients(url: str) -> Row:
    """What `GET /v1/projects/{id}` reads, by so many at once."""
    with Database(url, pool_size=CLIENTS) as database:
        large = database.of("large_000001")

        def ask(_: int) -> list[float]:
            return [seconds(lambda: _detail(large)) for _ in range(20)]

        with ThreadPoolExecutor(CLIENTS) as pool:
            times = sorted(one for each in pool.map(ask, range(CLIENTS)) for one in each)
    late = times[int(0.99 * len(times))]
    told = milliseconds(statistics.median(times))
    return Row(
        f"a project and its usage, {CLIENTS} at once",
        told,
        f"p99 {milliseconds(late)}",
        "",
        "≤ 200 ms",
        late <= 0.2,
    )


def _detail(database: Database) -> None:
    with database.reading() as tx:
        projects.get(tx, "large_000001")
        projects.usage_of(tx)


def _epochs(database: Database) -> Iterator[Row]:
    """A flush as a worker sends it: so many epochs and the lease, in one transaction."""
    with database.writing() as tx:
        (job,) = jobs.claim(tx, worker="worker", queues=["cpu"], lease_seconds=3600)
    series = {f"series_{number}": 1 / (3 + number) for number in range(8)}
    reached = 0
    for many in (1, 10):
        times = []
        for _ in range(200):
            epochs = [Point(reached + number, series) for number in range(1, many + 1)]
            times.append(seconds(lambda epochs=epochs: _flush(database, job, epochs)))  # type: ignore[misc]
            reached += many
        yield _row(f"recording {many} epochs of 8 series", statistics.median(times))


def _flush(database: Database, job: jobs.Job, epochs: Sequence[Point]) -> None:
    with database.writing() as tx:
        assert record_all(tx, [Recording(job.id, job.fence, epochs)])
        assert jobs.beat(tx, job.id, job.fence, 3600).still_mine


# ── many workers ────────────────────────────────────────────────────────────────────────────────────────────


def _claims(url: str, server: psutil.Process, size: Size) -> Row:
    """Workers that claim and end jobs, one after another, and train nothing."""
    workers = [
        Errand("benchmarks.million:working", url=url, name=f"w{number}") for number in range(size.workers)
    ]
    for worker in workers:
        worker.hear()
    before = _processor_seconds(server)
    done = sum(ask_all(workers, WORK_SECONDS))
    spent = _processor_seconds(server) - before
    for worker in workers:
        worker.__exit__()
    rate = done / WORK_SECONDS
    return Row(
        f"{size.workers} workers claim and end jobs of {size.projects} projects",
        f"{rate:.0f} jobs/s",
        f"{milliseconds(spent / max(done, 1))} of PostgreSQL's processor time a job",
        "",
        "≥ 30 jobs/s",
        rate >= 30,
    )


def _processor_seconds(server: psutil.Process) -> float:
    """Of all of PostgreSQL's processes that still live."""
    spent = 0.0
    for process in (server, *server.children(recursive=True)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


def working(url: str, name: str) -> Callable[[Any], int]:
    """Claim a job and end it, for so many seconds; how many."""
    database = Database(url, pool_size=1)

    def act(for_seconds: float) -> int:
        done, until = 0, time.monotonic() + for_seconds
        while time.monotonic() < until:
            with database.reading() as tx:
                if not jobs.any_waits(tx, ["gpu", "cpu"]):
                    return done
            with database.writing() as tx:
                claimed = jobs.claim(tx, worker=name, queues=["gpu", "cpu"], lease_seconds=60)
            for job in claimed:
                with database.writing() as tx:
                    record_all(tx, [Recording(job.id, job.fence, [Point(1, {"val_loss": 0.5})])])
                    assert jobs.succeed(
                        tx, job.id, job.fence, stop_reason="max_epochs", result={"best_epoch": 1}
                    )
                done += 1
        return done

    return act


def _many_projects(database: Database, size: Size) -> Iterator[Row]:
    """A thousand projects that all have something queued, beside those that have not."""
    with database.writing() as tx:
        filling.add_projects(tx, 1_000, prefix="more")
        filling.add_jobs(tx, max(size.queued // 2, 1_000), projects=1_000, prefix="more", mark="m", spec=SPEC)
    yield _row(
        "the next job of 1,000 projects, statistics old",
        _undone(database, lambda tx: turns.next_job(tx, ["cpu"])),
        0.050,
    )
    _vacuum(database)
    yield _row("the same, statistics fresh", _undone(database, lambda tx: turns.next_job(tx, ["cpu"])), 0.050)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million")
    for name in Size.__dataclass_fields__:
        parser.add_argument(f"--{name}", type=int, default=getattr(Size(), name))
    for row in measure_at(Size(**vars(parser.parse_args()))):
        print(f"{row.what:60} {row.ours:>12} {row.against:50} {row.wanted:14} {row.mark}", flush=True)


if __name__ == "__main__":
    main()
