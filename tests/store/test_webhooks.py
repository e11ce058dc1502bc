"""Webhooks as rows: who is told, with which secret, and what becomes of what waits."""

from __future__ import annotations

import base64
import threading
from typing import Any

import pytest

from store import dispatch, jobs, outbox, webhooks
from store.errors import NotFound, TooManyWebhooks, WebhookDisabled
from store.outbox import Listed
from store.session import Connection, Database
from store.webhooks import Webhook
from tests.store.examples import add_job, elsewhere, snapshot
from tests.store.trials import on_trial, rows_of

URL = "https://hooks.example.com/ridgeline"


def create(database: Database, **changes: Any) -> Webhook:
    with database.writing() as tx:
        return webhooks.create(tx, **{"url": URL, "events": ["job.queued"], **changes})[0]


def told(database: Database, webhook: Webhook, **filters: Any) -> list[Listed]:
    """What a webhook was and is to be told, the oldest first."""
    with database.reading() as tx:
        return outbox.page(tx, webhook.id, sort="created_at", **filters).rows


def test_a_webhook_with_a_secret_that_is_told_once(database: Database) -> None:
    with database.writing() as tx:
        webhook, secret = webhooks.create(tx, url=URL, description="the dashboard")
    assert (webhook.url, webhook.events, webhook.enabled) == (URL, list(webhooks.DEFAULT_EVENTS), True)
    kind, _, key = secret.partition("_")
    assert kind == "whsec"
    assert len(base64.b64decode(key, validate=True)) == 32
    with database.reading() as tx:
        assert webhooks.get(tx, webhook.id) == webhook
        assert secret not in repr(webhooks.page(tx))
    with database.writing() as tx:
        assert webhooks.create(tx, url=URL)[1] != secret


def test_an_event_is_told_once_however_often_it_is_named(database: Database) -> None:
    webhook = create(database, events=["job.failed", "job.failed", "job.queued"])
    assert webhook.events == ["job.failed", "job.queued"]


def test_the_newest_come_first_and_pages_lead_on(database: Database) -> None:
    made = [create(database).id for _ in range(5)]
    with database.reading() as tx:
        first = webhooks.page(tx, limit=3)
        rest = webhooks.page(tx, limit=3, cursor=first.next)
    assert [each.id for each in (*first.rows, *rest.rows)] == made[::-1]
    assert rest.next is None


def test_a_project_has_only_so_many(database: Database) -> None:
    for _ in range(webhooks.MOST):
        create(database)
    with pytest.raises(TooManyWebhooks, match="at most 20"):
        create(database)
    with database.writing() as tx, elsewhere(tx) as theirs:
        webhooks.create(theirs, url=URL)


USES = {
    "get": lambda tx, webhook, _: webhooks.get(tx, webhook),
    "change": lambda tx, webhook, _: webhooks.change(tx, webhook, enabled=False),
    "change nothing": lambda tx, webhook, _: webhooks.change(tx, webhook),
    "rotate": lambda tx, webhook, _: webhooks.rotate(tx, webhook),
    "delete": lambda tx, webhook, _: webhooks.delete(tx, webhook),
    "ping": lambda tx, webhook, _: outbox.ping(tx, webhook),
    "deliveries": lambda tx, webhook, _: outbox.page(tx, webhook),
    "delivery": outbox.get,
    "redeliver": outbox.redeliver,
}


def test_another_projects_webhook_is_not_there(database: Database) -> None:
    webhook = create(database)
    with database.writing() as tx:
        delivery = outbox.ping(tx, webhook.id)
    before = rows_of(database)
    for name, use in USES.items():
        with on_trial(database) as trial, elsewhere(trial.tx) as theirs:
            with pytest.raises(NotFound) as theirs_said:
                use(theirs, webhook.id, delivery.id)
            with pytest.raises(NotFound) as nobodys:
                use(theirs, "webhook_none", "msg_none")
            assert webhooks.page(theirs).rows == []
        assert trial.after == before, name
        alike = str(nobodys.value).replace("webhook_none", webhook.id).replace("msg_none", delivery.id)
        assert str(theirs_said.value) == alike, name


@pytest.mark.parametrize("odd", ["", "x" * 41, "webhook_\x00", "wébhook"])
def test_what_could_be_no_id_does_not_reach_the_database(database: Database, odd: str) -> None:
    webhook = create(database)
    with database.writing() as tx:
        for use in USES.values():
            with pytest.raises(NotFound):
                use(tx, odd, odd)
        for pair in ((webhook.id, odd), (odd, "msg_1")):
            with pytest.raises(NotFound):
                outbox.get(tx, *pair)
            with pytest.raises(NotFound):
                outbox.redeliver(tx, *pair)


def test_a_delivery_of_another_webhook_is_not_found_here(database: Database) -> None:
    mine, other = create(database), create(database)
    with database.writing() as tx:
        delivery = outbox.ping(tx, mine.id)
        with pytest.raises(NotFound):
            outbox.get(tx, other.id, delivery.id)
        with pytest.raises(NotFound):
            outbox.redeliver(tx, other.id, delivery.id)


def test_changes_are_made_one_by_one(database: Database) -> None:
    webhook = create(database, description="old")
    with database.writing() as tx:
        moved = webhooks.change(tx, webhook.id, url=URL + "/new", events=["job.failed", "job.failed"])
        assert (moved.url, moved.events, moved.description) == (URL + "/new", ["job.failed"], "old")
        assert webhooks.change(tx, webhook.id, description=None).description is None


def test_disabling_gives_up_what_waits(database: Database) -> None:
    webhook, other = create(database), create(database)
    add_job(database)
    with database.writing() as tx:
        [claimed] = dispatch.claim(tx, webhook.id, limit=9, lease_seconds=30)
        assert not webhooks.change(tx, webhook.id, enabled=False).enabled
    [dead] = told(database, webhook)
    assert (dead.status, dead.detail) == ("dead", "the webhook was disabled")
    assert dead.ended_at
    assert [each.status for each in told(database, other)] == ["pending"]
    with database.writing() as tx:
        assert dispatch.failed(tx, claimed, detail="no answer within 15 s", retry_seconds=5)
        assert told(database, webhook)[0].status == "dead", "it is not sent again"
        assert dispatch.delivered(tx, claimed, response_status=200), "it was on its way"
        for use in (USES["ping"], USES["redeliver"]):
            with pytest.raises(WebhookDisabled):
                use(tx, webhook.id, dead.id)
    add_job(database)
    assert len(told(database, webhook)) == 1, "a disabled webhook is told nothing"
    with database.writing() as tx:
        assert webhooks.change(tx, webhook.id, enabled=True).enabled
    add_job(database)
    assert [each.status for each in told(database, webhook)] == ["delivered", "pending"]
    with database.writing() as tx:
        assert outbox.redeliver(tx, webhook.id, dead.id).status == "pending"


def test_a_rotated_secret_signs_beside_the_new_one_for_a_while(database: Database) -> None:
    with database.writing() as tx:
        webhook, old = webhooks.create(tx, url=URL)
        rotated, new = webhooks.rotate(tx, webhook.id)
        outbox.ping(tx, webhook.id)
        [claimed] = dispatch.claim(tx, webhook.id, limit=1, lease_seconds=-1)
    assert claimed.secrets == (new, old)
    assert rotated.old_secret_until
    assert new != old
    with database.writing() as tx:
        ended = webhooks.webhooks.update().values(old_secret_until=webhooks.now(-1))
        tx.execute(ended)
        [claimed] = dispatch.claim(tx, webhook.id, limit=1, lease_seconds=-1)
    assert claimed.secrets == (new,)


def test_a_receiver_that_is_gone_is_asked_no_more(database: Database) -> None:
    webhook = create(database)
    add_job(database)
    with database.writing() as tx:
        assert not webhooks.retire(tx, webhook.id, url="https://elsewhere.example", detail="gone")
        assert webhooks.get(tx, webhook.id).enabled, "the 410 came from where it led before"
        assert webhooks.retire(tx, webhook.id, url=URL, detail="the receiver answered 410")
        assert not webhooks.retire(tx, webhook.id, url=URL, detail="again")
        retired = webhooks.get(tx, webhook.id)
        assert (retired.enabled, retired.disabled_detail) == (False, "the receiver answered 410")
        assert webhooks.change(tx, webhook.id, enabled=True).disabled_detail is None
    assert [each.status for each in told(database, webhook)] == ["dead"]


def test_a_deleted_webhook_takes_its_deliveries_along(database: Database) -> None:
    webhook, other = create(database), create(database)
    add_job(database)
    with database.writing() as tx:
        [claimed] = dispatch.claim(tx, webhook.id, limit=1, lease_seconds=30)
        webhooks.delete(tx, webhook.id)
        assert not dispatch.delivered(tx, claimed, response_status=200)
        assert not dispatch.failed(tx, claimed, detail="x", retry_seconds=1)
    assert len(snapshot(database)["deliveries"]) == len(told(database, other)) == 1


@pytest.mark.parametrize("end", ["delete", "disable"])
def test_who_ends_a_webhook_waits_for_those_that_are_just_telling_it(database: Database, end: str) -> None:
    """Else a status change would fail on a webhook that is gone, or leave a row that waits for ever."""
    webhook = create(database)
    job = add_job(database)
    ended = threading.Event()

    def act(tx: Connection) -> None:
        if end == "delete":
            webhooks.delete(tx, webhook.id)
        else:
            webhooks.change(tx, webhook.id, enabled=False)

    def end_it() -> None:
        with database.writing() as tx:
            act(tx)
        ended.set()

    with database.writing() as tx:
        outbox.announce(tx, [job.id])
        ending = threading.Thread(target=end_it)
        ending.start()
        assert not ended.wait(0.1)
        outbox.announce(tx, [job.id])
    ending.join()
    rows = snapshot(database)["deliveries"]
    assert len(rows) == (0 if end == "delete" else 3)
    assert not any("pending" in row for row in rows)
    with database.writing() as tx:
        outbox.announce(tx, [job.id])
        jobs.request_cancel(tx, job.id)
    assert len(snapshot(database)["deliveries"]) == len(rows)
