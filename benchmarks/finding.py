"""Lists of jobs, sorted and narrowed, of a project that has a hundred thousand, on both databases.

    ./run bench finding
    python -m benchmarks.finding --jobs 1000000

Pages of fifty whole jobs, as the store hands them to the API: the first, one in the middle, and the last. The
numbers are drawn so that what a filter leaves lies together, at the far end of the order that is asked for.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.measuring import Row, milliseconds, seconds
from store import jobs, migrate
from store.jobs import Filters, ranking
from store.session import Database
from store.tables import DEFAULT_PROJECT
from tests.servers import Databases, postgres
from tests.store import filling

JOBS: Final = 100_000
ROUNDS: Final = 20
WANTED_SECONDS: Final = 0.1

CASES: Final[dict[str, tuple[str, Filters]]] = {
    "-val_roc_auc": ("-val_roc_auc", Filters()),
    "val_roc_auc": ("val_roc_auc", Filters()),
    "duration, which few lack": ("duration", Filters()),
    "name": ("name", Filters()),
    "three tenths, in the middle": ("-val_roc_auc", Filters(dataset="second")),
    "a tenth, at the far end": ("-val_roc_auc", Filters(dataset="third")),
    "succeeded": ("val_loss", Filters(status=["succeeded"])),
    "failed": ("val_loss", Filters(status=["failed"])),
    "one in two thousand": ("-val_roc_auc", Filters(metadata={"rare": "yes"})),
    "a third": ("-val_roc_auc", Filters(metadata={"team": "risk"})),
    "two statuses": ("-gap", Filters(status=["failed", "cancelled"])),
    "three tenths and a third": ("-val_roc_auc", Filters(dataset="second", metadata={"team": "risk"})),
    "halves that exclude each other": ("-val_roc_auc", Filters(metadata={"even": "yes", "odd": "yes"})),
    "status and reason that exclude each other": (
        "-val_roc_auc",
        Filters(status=["succeeded"], stop_reason=["diverged"]),
    ),
    "dataset and label that exclude each other": (
        "-val_roc_auc",
        Filters(dataset="second", metadata={"early": "yes"}),
    ),
    "names that begin alike, nine tenths": ("-val_roc_auc", Filters(name="credit*")),
    "names that begin alike, a hundred": ("-val_roc_auc", Filters(name="credit-0001*")),
    "the newest of those": ("-created_at", Filters(name="credit*")),
    "the newest of few names": ("-created_at", Filters(name="credit-0001*")),
}


def measure() -> Iterator[Row]:
    yield from measure_at(JOBS)


def measure_at(number: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "finding.db"
        with Database(f"sqlite:///{path}") as database:
            migrate.upgrade(database)
            yield from _measure_on(database, number)
    with postgres() as url:
        databases = Databases(url)
        with databases.fresh() as fresh, Database(fresh) as database:
            yield from _measure_on(database, number)
        databases.close()


def _measure_on(database: Database, number: int) -> Iterator[Row]:
    with database.writing() as tx:
        filling.add_results(tx, number)
    taken = seconds(lambda: _upgrade(database))
    yield Row(
        f"{database.dialect}: scores of {number:,} jobs, by the upgrade", f"{taken:.1f} s", "", "", "", None
    )
    _know(database)
    mine = database.of(DEFAULT_PROJECT)
    for what, (sort, filters) in CASES.items():
        yield _pages(mine, what, sort, filters)


def _upgrade(database: Database) -> None:
    with database.writing() as tx:
        filling.add_scores(tx)


def _know(database: Database) -> None:
    if database.dialect == "postgresql":
        with database.writing() as tx:
            tx.exec_driver_sql("ANALYZE")


def _pages(database: Database, what: str, sort: str, filters: Filters) -> Row:
    """The first page, one in the middle and the last; p95 of each, and the worst of these."""
    told, worst = [], 0.0
    for cursor in _cursors(database, sort, filters):
        times = sorted(seconds(lambda c=cursor: _page(database, sort, filters, c)) for _ in range(ROUNDS))  # type: ignore[misc]
        late = times[int(0.95 * len(times))]
        told.append(f"{milliseconds(statistics.median(times))}/{milliseconds(late)}")
        worst = max(worst, late)
    name = f"{database.dialect}: {what} ({sort})"
    return Row(name, milliseconds(worst), ", ".join(told), "", "≤ 100 ms", worst <= WANTED_SECONDS)


def _page(database: Database, sort: str, filters: Filters, cursor: str | None) -> None:
    with database.reading() as tx:
        jobs.page(tx, filters, sort=sort, cursor=cursor)


def _cursors(database: Database, sort: str, filters: Filters) -> list[str | None]:
    """Of the first page, of one in the middle, of the last."""
    with database.reading() as tx:
        every = ranking.find(tx, filters, sort=sort, limit=10**7)
    chosen = [every[len(every) // 2], every[-51]] if len(every) > 100 else []
    return [None, *(ranking.cursor_at(sort, *each) for each in chosen)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finding")
    parser.add_argument("--jobs", type=int, default=JOBS)
    for row in measure_at(parser.parse_args().jobs):
        print(f"{row.what:80} {row.ours:>10} {row.against:60} {row.wanted:10} {row.mark}", flush=True)


if __name__ == "__main__":
    main()
