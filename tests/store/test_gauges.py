"""How things stand, at a cost that does not grow with what has ended; and counts that only go up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from store import counters, gauges, ids, workers
from store.columns import now
from store.jobs import queues
from store.session import Database
from store.tables import deliveries, webhooks
from store.tables import jobs as rows
from tests.store.examples import add_job, claim


def read(database: Database) -> gauges.Gauges:
    with database.reading() as tx:
        return gauges.read(tx, alive_seconds=30)


def test_an_empty_service(database: Database) -> None:
    found = read(database)
    assert found.unfinished == {"queued": 0, "running": 0, "paused": 0}
    assert found.ended == {}
    assert (found.epochs_per_second, found.waiting, found.counted) == (0.0, {}, {})
    assert found.workers == {"busy": 0, "idle": 0}
    assert (found.deliveries, found.oldest_delivery_seconds) == ({"pending": 0, "dead": 0}, 0.0)


def test_jobs_by_what_they_do(database: Database) -> None:
    for queue in ("cpu", "cpu", "gpu", "cpu", "cpu"):
        add_job(database, queue=queue)
    for speed in (10.0, 2.5):
        _change(database, claim(database).id, epochs_per_second=speed)
    with database.reading() as tx:
        waiting = (rows.c.status == "queued", rows.c.queue == "cpu")
        late = tx.execute(sa.select(rows.c.id).where(*waiting).limit(1)).scalar_one()
    _change(database, late, due_at=now(-100))
    found = read(database)
    assert found.unfinished == {"queued": 3, "running": 2, "paused": 0}
    assert found.epochs_per_second == 12.5
    assert {queue: waiting.jobs for queue, waiting in found.waiting.items()} == {"cpu": 2, "gpu": 1}
    assert found.waiting["cpu"].oldest_seconds == pytest.approx(100, abs=5)


def test_jobs_that_ended_lately_by_how(database: Database) -> None:
    for status, reason, ago in (
        *(("succeeded", "early_stopping", 1), ("succeeded", "early_stopping", 290)),
        *(("failed", "diverged", 2), ("cancelled", "cancelled", 3), ("succeeded", "max_epochs", 310)),
    ):
        _change(database, add_job(database).id, status=status, stop_reason=reason, finished_at=now(-ago))
    assert read(database).ended == {
        ("succeeded", "early_stopping"): 2,
        ("failed", "diverged"): 1,
        ("cancelled", "cancelled"): 1,
    }


def _change(database: Database, job_id: str, **values: Any) -> None:
    with database.writing() as tx:
        tx.execute(rows.update().where(rows.c.id == job_id).values(**values))


def test_workers_that_were_heard_of(database: Database) -> None:
    with database.writing() as tx:
        workers.seen(tx, "idle", host="h", pid=1, queues=["cpu"])
        workers.seen(tx, "busy", host="h", pid=2, queues=["cpu"], job_ids=["job_1"])
    assert read(database).workers == {"busy": 1, "idle": 1}
    with database.reading() as tx:
        assert gauges.read(tx, alive_seconds=0).workers == {"busy": 0, "idle": 0}


def test_deliveries_that_wait_and_that_were_given_up(database: Database) -> None:
    with database.writing() as tx:
        hook = {"id": ids.new("hook"), "project_id": "default", "url": "https://x", "secret": "s"}
        tx.execute(webhooks.insert().values(**hook, events=[], enabled=True))
        for status, late in (("pending", 50), ("pending", 3), ("dead", 900), ("delivered", 900)):
            values = {"project_id": "default", "webhook_id": hook["id"], "event": "e", "payload": "{}"}
            tx.execute(
                deliveries.insert().values(id=ids.new("del"), status=status, due_at=now(-late), **values)
            )
    found = read(database)
    assert found.deliveries == {"pending": 2, "dead": 1}
    assert found.oldest_delivery_seconds == pytest.approx(50, abs=5)


def test_more_than_are_counted_are_the_rest_of_what_is_open(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A count that was broken off is known all the same; of two, each is told as what was counted."""
    for module in (gauges, queues):
        monkeypatch.setattr(module, "MOST_COUNTED", 3)
    for number in range(8):
        add_job(database, queue="gpu" if number < 2 else "cpu")
    claim(database)
    found = read(database)
    assert found.unfinished == {"queued": 7, "running": 1, "paused": 0}
    assert {queue: waiting.jobs for queue, waiting in found.waiting.items()} == {"cpu": 5, "gpu": 2}
    for _ in range(3):
        claim(database)
    found = read(database)
    assert found.unfinished == {"queued": 3, "running": 3, "paused": 0}
    assert {queue: waiting.jobs for queue, waiting in found.waiting.items()} == {"cpu": 2, "gpu": 2}


def test_what_has_ended_costs_nothing(database: Database) -> None:
    """Each statement goes along an index, as the database itself says."""
    job = add_job(database)
    with database.writing() as tx:
        values = tx.execute(sa.select(rows).where(rows.c.id == job.id)).mappings().one()
        ended = {**values, "status": "failed", "stop_reason": "worker_lost"}
        ended["finished_at"] = values["created_at"] - timedelta(hours=1)
        tx.execute(rows.insert(), [{**ended, "id": ids.new("job")} for _ in range(3000)])
        if database.dialect == "postgresql":
            tx.execute(sa.text("ANALYZE jobs"))
    with database.reading() as tx, _statements(tx) as sent:
        gauges.read(tx, alive_seconds=30)
    assert any("jobs" in statement for statement, _ in sent)
    explain = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "
    with database.reading() as tx:
        for statement, parameters in sent:
            if " jobs" not in statement and " deliveries" not in statement:
                continue
            plan = " ".join(str(row[-1]) for row in tx.exec_driver_sql(explain + statement, parameters).all())
            assert "Seq Scan on jobs" not in plan, (statement, plan)
            assert "SCAN jobs" not in plan, (statement, plan)
            assert "SCAN deliveries" not in plan, (statement, plan)


@contextmanager
def _statements(tx: sa.Connection) -> Iterator[list[tuple[str, Any]]]:
    """What is sent to the database meanwhile."""
    sent: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        sent.append((statement, parameters))

    sa.event.listen(tx.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(tx.engine, "before_cursor_execute", note)


def test_counts_add_up(database: Database) -> None:
    with database.writing() as tx:
        counters.add(tx, "a")
        counters.add(tx, "a", 2)
        counters.add(tx, "b", 0)
    with database.reading() as tx:
        assert counters.read(tx) == {"a": 3}


def test_nothing_is_counted_that_did_not_happen(database: Database) -> None:
    with contextlib.suppress(RuntimeError), database.writing() as tx:
        counters.add(tx, "a")
        raise RuntimeError
    with database.reading() as tx:
        assert counters.read(tx) == {}


def test_several_count_together(database: Database) -> None:
    def count() -> None:
        for _ in range(20):
            with database.writing() as tx:
                counters.add(tx, "a")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as tx:
        assert counters.read(tx) == {"a": 80}
