"""The outbox: what is written with a status change, what is sent of it, and what is not sent twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from store import dispatch, jobs, outbox, tables, webhooks
from store.columns import now
from store.dispatch import Claimed
from store.jobs import Job, arrows
from store.outbox import Delivery
from store.session import Connection, Database
from store.webhooks import Webhook
from tests.store.examples import STATES, add_job, claim, elsewhere, look, running, together
from tests.store.test_webhooks import URL, create, told

EVERYTHING = ["job.queued", "job.running", "job.paused", "job.succeeded", "job.failed", "job.cancelled"]


def payloads(database: Database, webhook: Webhook) -> list[dict[str, Any]]:
    with database.reading() as tx:
        rows = outbox.page(tx, webhook.id, sort="created_at").rows
        return [orjson.loads(outbox.get(tx, webhook.id, row.id).payload) for row in rows]


def take(database: Database, webhook: Webhook, limit: int = 1, lease_seconds: float = 30) -> list[Claimed]:
    with database.writing() as tx:
        return dispatch.claim(tx, webhook.id, limit=limit, lease_seconds=lease_seconds)


def delivery(database: Database, webhook: Webhook, claimed: Claimed) -> Delivery:
    with database.reading() as tx:
        return outbox.get(tx, webhook.id, claimed.id)


# ── telling ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", STATES)
def test_every_change_of_status_is_told_and_nothing_else(database: Database, state: str) -> None:
    webhook = create(database, events=EVERYTHING)
    job = STATES[state](database)
    with database.reading() as tx:
        logged = sa.select(tables.events.c.data).where(
            tables.events.c.job_id == job.id, tables.events.c.kind == "status"
        )
        statuses = [data["status"] for data in tx.execute(logged.order_by(tables.events.c.number)).scalars()]
    assert [each["type"] for each in payloads(database, webhook)] == [f"job.{status}" for status in statuses]
    assert [each["data"]["status"] for each in payloads(database, webhook)] == statuses


def test_what_is_told_of_a_job(database: Database) -> None:
    webhook = create(database, events=["job.succeeded"])
    add_job(database, name="digits", metadata={"team": "risk"})
    job = claim(database)
    with database.writing() as tx:
        assert arrows.succeed(
            tx,
            job.id,
            job.fence,
            stop_reason="early_stopping",
            stop_detail="enough",
            result={"best_epoch": 3},
        )
    [document] = payloads(database, webhook)
    ended = look(database, job)
    assert ended.finished_at
    assert document["type"] == "job.succeeded"
    assert document["timestamp"].endswith("Z")
    data = document["data"]
    assert data == {
        "id": job.id,
        "name": "digits",
        "status": "succeeded",
        "stop_reason": "early_stopping",
        "stop_detail": "enough",
        "attempt": 1,
        "epoch": 0,
        "metadata": {"team": "risk"},
        "result": {"best_epoch": 3},
        "created_at": data["created_at"],
        "started_at": data["started_at"],
        "finished_at": ended.finished_at.isoformat().replace("+00:00", "Z"),
        "links": {"self": f"/v1/jobs/{job.id}"},
    }
    [row] = told(database, webhook)
    assert (row.job_id, row.event, row.status, row.attempts) == (job.id, "job.succeeded", "pending", 0)


def test_a_long_story_is_cut_and_never_keeps_a_job_from_ending(database: Database) -> None:
    webhook = create(database)
    metadata = {f"key {number}": "\x01" * 1990 for number in range(50)}
    add_job(database, metadata=metadata)
    [document] = payloads(database, webhook)
    assert (document["data"]["metadata"], document["data"]["result"]) == (None, None)
    [claimed] = take(database, webhook)
    assert len(claimed.payload) <= outbox.LONGEST_PAYLOAD


def test_only_those_are_told_that_want_to_know(database: Database) -> None:
    ends, begins, disabled = create(database, events=["job.failed"]), create(database), create(database)
    with database.writing() as tx:
        webhooks.change(tx, disabled.id, enabled=False)
    with database.writing() as tx, elsewhere(tx) as theirs:
        stranger = webhooks.create(theirs, url=URL, events=EVERYTHING)[0]
    job = running(database)
    assert [len(told(database, each)) for each in (ends, begins, disabled)] == [0, 1, 0]
    with database.writing() as tx:
        arrows.fail(tx, job.id, job.fence, stop_reason="diverged")
    assert [each.event for each in told(database, ends)] == ["job.failed"]
    with database.writing() as tx, elsewhere(tx) as theirs:
        assert outbox.page(theirs, stranger.id).rows == []


def test_a_change_that_is_rolled_back_is_not_told(database: Database) -> None:
    """The row is written in the transaction, neither before it nor after."""
    webhook = create(database, events=EVERYTHING)
    job = running(database)
    before = told(database, webhook)

    def fail_and_raise() -> None:
        with database.writing() as tx:
            assert arrows.fail(tx, job.id, job.fence, stop_reason="diverged")
            assert len(outbox.page(tx, webhook.id).rows) == len(before) + 1
            raise KeyError

    with pytest.raises(KeyError):
        fail_and_raise()
    assert told(database, webhook) == before


def test_an_arrow_that_changes_nothing_tells_nothing(database: Database) -> None:
    webhook = create(database, events=EVERYTHING)
    job = running(database)
    before = told(database, webhook)
    with database.writing() as tx:
        assert not arrows.fail(tx, job.id, job.fence + 1, stop_reason="diverged")
        jobs.request_cancel(tx, job.id)
    assert told(database, webhook) == before


def test_a_deleted_job_is_still_told_of(database: Database) -> None:
    webhook = create(database, events=["job.cancelled"])
    job = add_job(database)
    with database.writing() as tx:
        jobs.request_cancel(tx, job.id)
    with database.writing() as tx:
        jobs.delete(tx, job.id)
    [claimed] = take(database, webhook)
    assert orjson.loads(claimed.payload)["data"]["id"] == job.id


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(arguments[2])

    engine = database._pool.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("others", [0, 30])
def test_where_nobody_listens_it_costs_one_query(database: Database, others: int) -> None:
    with database.writing() as tx, elsewhere(tx) as theirs:
        for number in range(others):
            theirs.execute(
                tables.webhooks.insert().values(
                    id=f"w{number}", project_id=f"p{number}", url=URL, secret="s", events=EVERYTHING
                )
            )
    job = add_job(database)
    with database.writing() as tx, statements(database) as seen:
        outbox.announce(tx, [job.id])
    assert len([each for each in seen if "webhooks" in each]) == len(seen) == 1


def test_that_query_needs_no_scan(database: Database) -> None:
    job = add_job(database)
    with database.writing() as tx:
        tx.execute(
            tables.webhooks.insert(),
            [
                {
                    "id": f"w{number}",
                    "project_id": f"p{number}",
                    "url": URL,
                    "secret": "s",
                    "events": EVERYTHING,
                }
                for number in range(3000)
            ],
        )
    if database.dialect == "postgresql":
        with database.writing() as tx:
            tx.execute(sa.text("ANALYZE"))
    with database.writing() as tx, statements(database) as seen:
        outbox.announce(tx, [job.id])
    with database.writing() as tx:
        assert "scan webhooks" not in _plan(tx, seen[0], (job.id, True)).lower().replace(
            "seq scan on", "scan"
        )


def _plan(tx: Connection, statement: str, values: tuple[Any, ...]) -> str:
    if tx.dialect.name == "sqlite":
        rows = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values[: statement.count("?")])
    else:
        named = {"changed_1": values[0]}
        rows = tx.exec_driver_sql(f"EXPLAIN {statement}", named)
    return "\n".join(str(row) for row in rows)


# ── sending ─────────────────────────────────────────────────────────────────────────────────────────────────


def waiting(database: Database) -> list[str]:
    with database.reading() as tx:
        return [each.webhook_id for each in dispatch.waiting(tx)]


def test_a_delivery_is_claimed_by_one(database: Database) -> None:
    webhook = create(database)
    for _ in range(5):
        add_job(database)
    works: list[Callable[[], list[Claimed]]] = [lambda: take(database, webhook, limit=2)] * 4
    taken = [claimed.id for some in together(works) for claimed in some]
    while some := take(database, webhook, limit=2):
        taken += [claimed.id for claimed in some]
    assert sorted(taken) == sorted(row.id for row in told(database, webhook))
    assert waiting(database) == []


def test_the_oldest_come_first(database: Database) -> None:
    webhook = create(database)
    ids = [add_job(database).id for _ in range(4)]
    assert [claimed.job_id for claimed in take(database, webhook, limit=3)] == ids[:3]
    assert [claimed.job_id for claimed in take(database, webhook, limit=3)] == ids[3:]


def test_whoever_dies_with_one_leaves_it_to_the_next_under_its_id(database: Database) -> None:
    webhook = create(database)
    add_job(database)
    [first] = take(database, webhook, lease_seconds=-1)
    assert waiting(database) == [webhook.id]
    [second] = take(database, webhook)
    assert (second.id, second.payload) == (first.id, first.payload)
    assert (second.fence, second.attempts) == (first.fence + 1, 2)
    assert waiting(database) == []
    with database.writing() as tx:
        assert not dispatch.delivered(tx, first, response_status=200), "its fence is stale"
        assert not dispatch.failed(tx, first, detail="late", retry_seconds=None)
        assert dispatch.delivered(tx, second, response_status=204)
        assert not dispatch.failed(tx, second, detail="twice", retry_seconds=1)
    done = delivery(database, webhook, second)
    assert (done.status, done.response_status, done.detail) == ("delivered", 204, None)
    assert done.ended_at


def test_what_failed_waits_and_comes_again_or_dies(database: Database) -> None:
    webhook = create(database)
    add_job(database)
    [claimed] = take(database, webhook)
    with database.writing() as tx:
        assert dispatch.failed(tx, claimed, detail="no\x00way", retry_seconds=60, response_status=500)
    later = delivery(database, webhook, claimed)
    assert (later.status, later.response_status, later.detail) == ("pending", 500, "no\ufffdway")
    assert 50 < (later.due_at - later.created_at).total_seconds() < 70
    assert waiting(database) == []
    with database.writing() as tx:
        tx.execute(tables.deliveries.update().values(due_at=now()))
    [again] = take(database, webhook)
    with database.writing() as tx:
        assert dispatch.failed(tx, again, detail="no", retry_seconds=None)
    dead = delivery(database, webhook, claimed)
    assert (dead.status, dead.response_status, dead.attempts) == ("dead", None, 2)
    assert take(database, webhook) == []


@pytest.mark.parametrize("end", ["delivered", "dead", "pending", "on its way"])
def test_anything_can_be_sent_again_under_its_id(database: Database, end: str) -> None:
    webhook = create(database)
    add_job(database)
    [claimed] = take(database, webhook)
    with database.writing() as tx:
        if end == "delivered":
            dispatch.delivered(tx, claimed, response_status=200)
        elif end != "on its way":
            dispatch.failed(tx, claimed, detail="no", retry_seconds=900 if end == "pending" else None)
    with database.writing() as tx:
        anew = outbox.redeliver(tx, webhook.id, claimed.id)
    assert (anew.status, anew.attempts, anew.ended_at) == ("pending", 0, None)
    with database.writing() as tx:
        assert not dispatch.delivered(tx, claimed, response_status=200), "what was on its way counts no more"
    [again] = take(database, webhook)
    assert (again.id, again.payload, again.attempts) == (claimed.id, claimed.payload, 1)


def test_a_ping_tells_of_nothing(database: Database) -> None:
    webhook = create(database)
    with database.writing() as tx:
        ping = outbox.ping(tx, webhook.id)
    document = orjson.loads(ping.payload)
    assert document == {
        "type": "webhook.test",
        "timestamp": document["timestamp"],
        "data": {"webhook_id": webhook.id},
    }
    assert (ping.event, ping.job_id, ping.status) == ("webhook.test", None, "pending")


def test_deliveries_by_status_and_by_job(database: Database) -> None:
    webhook = create(database)
    first, second = add_job(database), add_job(database)
    [claimed] = take(database, webhook)
    with database.writing() as tx:
        dispatch.failed(tx, claimed, detail="no", retry_seconds=None)
    assert [each.job_id for each in told(database, webhook, status="dead")] == [first.id]
    assert [each.job_id for each in told(database, webhook, status="pending")] == [second.id]
    assert told(database, webhook, status="delivered") == []
    assert [each.job_id for each in told(database, webhook, job_id=second.id)] == [second.id]
    with database.reading() as tx:
        page = outbox.page(tx, webhook.id, limit=1)
        assert [row.job_id for row in page.rows] == [second.id]
        assert [row.job_id for row in outbox.page(tx, webhook.id, limit=1, cursor=page.next).rows] == [
            first.id
        ]


def test_only_what_ended_long_ago_is_forgotten(database: Database) -> None:
    webhook = create(database)
    fates: dict[str, Callable[[Connection, Claimed], bool]] = {
        "pending": lambda tx, claimed: dispatch.failed(tx, claimed, detail="", retry_seconds=0),
        "delivered": lambda tx, claimed: dispatch.delivered(tx, claimed, response_status=200),
        "dead": lambda tx, claimed: dispatch.failed(tx, claimed, detail="", retry_seconds=None),
    }
    for fate in fates.values():
        for _ in range(3):
            add_job(database)
        for claimed in take(database, webhook, limit=3):
            with database.writing() as tx:
                assert fate(tx, claimed)
        if fate is fates["pending"]:
            with database.writing() as tx:
                tx.execute(tables.deliveries.update().values(due_at=now(60)))
    with database.writing() as tx:
        assert dispatch.sweep(tx) == 0
        tx.execute(tables.deliveries.update().values(due_at=now(-8 * 86_400)))
        assert dispatch.sweep(tx, limit=2) == 2
        assert dispatch.sweep(tx, limit=2) == 1
    assert sorted(each.status for each in told(database, webhook)) == ["dead"] * 3 + ["pending"] * 3
    with database.writing() as tx:
        tx.execute(tables.deliveries.update().values(due_at=now(-31 * 86_400)))
        assert dispatch.sweep(tx) == 3
    assert [each.status for each in told(database, webhook)] == ["pending"] * 3


def test_a_long_queue_costs_the_others_nothing(database: Database) -> None:
    """Who waits is found by a probe for each webhook, whatever lies before it."""
    long, short = create(database), create(database, events=["job.running"])
    rows = [
        {
            "id": f"msg_{number}",
            "project_id": "default",
            "webhook_id": long.id,
            "event": "job.queued",
            "payload": "{}",
            "status": "pending",
        }
        for number in range(3000)
    ]
    with database.writing() as tx:
        tx.execute(tables.deliveries.insert(), rows)
    job = running(database)
    assert sorted(waiting(database)) == sorted([long.id, short.id])
    assert [claimed.job_id for claimed in take(database, short, limit=4)] == [job.id]
    assert len(take(database, long, limit=4)) == 4


def test_what_is_claimed_carries_its_project(database: Database) -> None:
    webhook = create(database)
    job: Job = add_job(database)
    [claimed] = take(database, webhook)
    assert (claimed.project_id, claimed.job_id, claimed.webhook_id, claimed.url) == (
        "default",
        job.id,
        webhook.id,
        URL,
    )
