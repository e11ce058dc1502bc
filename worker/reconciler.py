"""The reconciler: makes sure that no job is forgotten, whoever died and whatever the broker lost.

    python -m worker.reconciler

A process of its own. Any number of copies may run: every step is conditional in the database, and a nudge too
many finds nothing. SIGTERM ends it at once, for there is nothing that it could leave half done; only webhooks
that are on their way, beside it in a thread of their own, get a moment to arrive.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import NoReturn, Protocol

import structlog

from store import (
    checkpoints,
    counters,
    datasets,
    dispatch,
    idempotency,
    jobs,
    logs,
    usage,
    weights,
    workers,
)
from store.files import Files
from store.session import Connection, Database
from store.settings import Settings
from worker import app as celery
from worker.webhooks import Deliverer

log = structlog.get_logger("worker.reconciler")

MOST_NUDGES = 64
"""At a time, for one queue; whoever takes one goes on until the table is empty."""
SWEEP_SECONDS = 3600.0
"""How often leftovers are swept, and how old they must be: a file lies there before its row does."""
_CHUNK = 500


class Broker(Protocol):
    """What the reconciler needs of the queue; either call raises where the broker cannot be reached."""

    def nudge(self, queue: str) -> None:
        """Ask whoever listens to look at the table."""

    def waiting(self, queue: str) -> int:
        """How many nudges nobody has taken yet."""


class Reconciler:
    """Each step stands for itself: one that fails is tried again at the next tick and holds up no other."""

    def __init__(self, database: Database, files: Files, settings: Settings, broker: Broker) -> None:
        self._database = database
        self._files = files
        self._settings = settings
        self._broker = broker
        self._swept_at = float("-inf")
        self._failing: set[str] = set()

    def tick(self) -> None:
        """Everything that is due."""
        self._attempt(self.expire)
        self._attempt(self.nudge)
        if time.monotonic() - self._swept_at >= SWEEP_SECONDS:
            self._attempt(self.sweep)

    def expire(self) -> None:
        """Jobs whose workers went quiet: back into the queue, or to their end."""
        with self._database.writing() as tx:
            expired = jobs.expire(
                tx,
                max_attempts=self._settings.max_attempts,
                backoff_seconds=self._settings.backoff_seconds,
                lease_seconds=self._settings.lease_seconds,
            )
            outcomes: dict[str, list[str]] = asdict(expired)
            for outcome, lost in outcomes.items():
                counters.add(tx, f"reconciler.{outcome}", len(lost))
                counters.add(tx, "attempts_lost", len(lost))
        for outcome, lost in outcomes.items():
            for job_id in lost:
                log.warning("a job's worker went quiet", job_id=job_id, outcome=outcome)

    def nudge(self) -> None:
        """See to it that as many nudges wait in the broker as jobs that are due, of each queue's first."""
        with self._database.reading() as tx:
            due = jobs.waiting(tx, at_most=MOST_NUDGES)
        for queue, waiting in due.items():
            missing = waiting.jobs - self._broker.waiting(queue)
            for _ in range(missing):
                self._broker.nudge(queue)

    def sweep(self) -> None:
        """Presence of workers long gone, old idempotency keys and deliveries, files that no row points to."""
        with self._database.writing() as tx:
            workers.sweep(tx, SWEEP_SECONDS)
            idempotency.sweep(tx, 3600 * self._settings.idempotency_hours)
        while self._forget_deliveries():
            pass
        self._correct_usage()
        self._sweep_files("weights", weights.known)
        self._sweep_files("checkpoints", checkpoints.known)
        self._sweep_files("datasets", datasets.known)
        self._swept_at = time.monotonic()

    def _forget_deliveries(self) -> int:
        """Some at a time: there may be many, and others want to write too."""
        with self._database.writing() as tx:
            return dispatch.sweep(tx)

    def _correct_usage(self) -> None:
        """A look first: on SQLite nobody could write while all jobs are gone over."""
        with self._database.reading() as tx:
            if not usage.has_drifted(tx):
                return
        with self._database.writing() as tx:
            projects = usage.correct(tx)
        log.warning("what projects store was not what had been counted; it is now", projects=projects)

    def _sweep_files(self, prefix: str, known: Callable[[Connection, list[str]], set[str]]) -> None:
        old = (found.key for found in self._files.list(prefix) if found.age_seconds > SWEEP_SECONDS)
        for keys in _chunks(old):
            with self._database.reading() as tx:
                pointed_to = known(tx, keys)
            for key in sorted(set(keys) - pointed_to):
                self._files.delete(key)
                log.info("an orphan file was deleted", key=key)
            with self._database.writing() as tx:
                counters.add(tx, "reconciler.orphan_deleted", len(set(keys) - pointed_to))

    def _attempt(self, step: Callable[[], None]) -> None:
        """Run a step; say that it fails once an outage, not once a tick."""
        name = step.__name__
        try:
            step()
        except Exception as error:
            if name not in self._failing:
                log.warning("a step fails and will be tried again", step=name, error=str(error))
            self._failing.add(name)
        else:
            self._failing.discard(name)


def _chunks(keys: Iterator[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    for key in keys:
        chunk.append(key)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def main() -> NoReturn:
    """Tick until SIGTERM or Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    settings = Settings()
    logs.configure(settings.log_level)
    reconciler = Reconciler(Database(settings.database, pool_size=1), Files(settings.files), settings, celery)
    deliverer = Deliverer(Database(settings.database, pool_size=4), settings)
    deliverer.start()
    try:
        while True:
            reconciler.tick()
            time.sleep(settings.reconcile_seconds)
    finally:
        deliverer.stop()


def _leave(*_: object) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    main()
