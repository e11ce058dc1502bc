"""Webhooks on their way: real receivers that fail, dawdle and vanish, and senders that die in the middle."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from store import dispatch, ids, jobs, outbox, tables, webhooks
from store.columns import now
from store.dispatch import Claimed, Waiting
from store.outbox import Delivery
from store.session import Database
from store.settings import Settings
from store.webhooks import Webhook
from tests.forks import forked
from tests.markdown import Page
from tests.receivers import Receiver, dripping, receiving, silent, status
from tests.store.examples import add_job
from tests.worker.dying import send_and_die
from worker import reconciler
from worker import webhooks as sending
from worker.outbound import OutboundError, Receipt
from worker.webhooks import Deliverer, Slots, headers, pause_after

ROOT = Path(__file__).parents[2]
QUICK = {
    "webhook_private_hosts": "127.0.0.1",
    "webhook_seconds": 5.0,
    "webhook_retries": "0.05s, 0.05s, 0.05s",
}


ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For what does not depend on the database."""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(sending, "_AGAIN_SECONDS", 0.02)


class Looking(Deliverer):
    """A deliverer whose looks are counted."""

    looks = 0

    def look(self) -> None:
        try:
            super().look()
        finally:
            self.looks += 1

    def look_again(self) -> None:
        """Wait until a look has ended that began after this was called: what was to go is on its way."""
        wanted = self.looks + 2
        until(lambda: self.looks >= wanted)


@contextmanager
def delivering(database: Database, **settings: Any) -> Iterator[Looking]:
    """A running deliverer."""
    deliverer = Looking(database, Settings(**{**QUICK, **settings}))
    deliverer.start()
    try:
        yield deliverer
    finally:
        deliverer.stop()


def listen(database: Database, receiver: Receiver, **changes: Any) -> tuple[Webhook, str]:
    with database.writing() as tx:
        return webhooks.create(tx, **{"url": receiver.url, "events": ["job.queued"], **changes})


def look(database: Database, webhook: Webhook, delivery_id: str) -> Delivery:
    with database.reading() as tx:
        return outbox.get(tx, webhook.id, delivery_id)


def statuses(database: Database, webhook: Webhook) -> list[str]:
    with database.reading() as tx:
        return [row.status for row in outbox.page(tx, webhook.id, limit=200).rows]


def answers(database: Database, webhook: Webhook) -> list[int | None]:
    with database.reading() as tx:
        return [each.response_status for each in outbox.page(tx, webhook.id).rows]


def until(true: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.005)


def all_are(database: Database, webhook: Webhook, *wanted: str) -> None:
    until(lambda: sorted(statuses(database, webhook)) == sorted(wanted))


# ── arriving ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_status_change_arrives_signed(database: Database) -> None:
    with receiving() as receiver, delivering(database):
        webhook, secret = listen(database, receiver)
        job = add_job(database, name="über")
        [received] = receiver.wait_for(1)
        all_are(database, webhook, "delivered")
    document = Verifier(secret).verify(received.body, received.headers)
    assert (document["type"], document["data"]["id"], document["data"]["name"]) == (
        "job.queued",
        job.id,
        "über",
    )
    assert received.headers["Content-Type"] == "application/json"
    done = look(database, webhook, received.id)
    assert (done.attempts, done.response_status, done.detail) == (1, 204, None)
    assert done.payload.encode() == received.body


@ON_SQLITE
def test_the_signature_is_of_these_bytes_and_this_id(database: Database) -> None:
    with receiving() as receiver, delivering(database):
        _, secret = listen(database, receiver)
        add_job(database)
        [received] = receiver.wait_for(1)
    Verifier(secret).verify(received.body, received.headers)
    forged: list[tuple[bytes, dict[str, str], str]] = [
        (received.body.replace(b"queued", b"failed"), received.headers, secret),
        (received.body, {**received.headers, "webhook-id": "msg_other"}, secret),
        (
            received.body,
            {**received.headers, "webhook-timestamp": str(int(received.headers["webhook-timestamp"]) - 1)},
            secret,
        ),
        (received.body, received.headers, webhooks.fresh_secret()),
    ]
    for body, said, key in forged:
        with pytest.raises(WebhookVerificationError):
            Verifier(key).verify(body, said)


@ON_SQLITE
def test_after_a_rotation_both_secrets_verify(database: Database) -> None:
    with receiving() as receiver, delivering(database):
        webhook, old = listen(database, receiver)
        with database.writing() as tx:
            _, new = webhooks.rotate(tx, webhook.id)
        add_job(database)
        [received] = receiver.wait_for(1)
    assert len(received.headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        assert Verifier(secret).verify(received.body, received.headers)


def test_the_time_signed_is_the_time_of_the_attempt() -> None:
    """In UTC, whatever the machine's zone: receivers refuse what is older than five minutes."""
    claimed = Claimed("msg_1", 1, "w", "p", None, "webhook.test", "{}", 1, "u", (webhooks.fresh_secret(),))
    moment = datetime.now(UTC)
    said = headers(claimed, moment)
    assert said["webhook-timestamp"] == str(int(moment.timestamp()))
    assert Verifier(claimed.secrets[0]).verify("{}", said) == {}


# ── failing ─────────────────────────────────────────────────────────────────────────────────────────────────


@ON_SQLITE
def test_what_fails_is_sent_again_under_the_same_id(database: Database) -> None:
    with receiving(status(500, 404, 302, 201)) as receiver, delivering(database):
        webhook, secret = listen(database, receiver)
        add_job(database)
        received = receiver.wait_for(4)
        all_are(database, webhook, "delivered")
    assert len({each.id for each in received}) == 1
    assert len({each.body for each in received}) == 1
    for each in received:
        Verifier(secret).verify(each.body, each.headers)
    done = look(database, webhook, received[0].id)
    assert (done.attempts, done.response_status) == (4, 201)


def test_what_never_arrives_is_dead_in_the_end_and_can_be_sent_again(database: Database) -> None:
    with receiving(status(503)) as receiver, delivering(database):
        webhook, _ = listen(database, receiver)
        add_job(database)
        all_are(database, webhook, "dead")
        assert len(receiver.received) == 4
        dead = look(database, webhook, receiver.received[0].id)
        assert (dead.attempts, dead.response_status) == (4, 503)
        assert dead.detail == "the receiver answered 503"
        receiver.behave = status(200)
        with database.writing() as tx:
            outbox.redeliver(tx, webhook.id, dead.id)
        all_are(database, webhook, "delivered")
    assert {each.id for each in receiver.received} == {dead.id}


@ON_SQLITE
def test_between_tries_it_waits_as_long_as_was_set(database: Database) -> None:
    with receiving(status(500)) as receiver, delivering(database, webhook_retries="0.1s, 0.2s"):
        webhook, _ = listen(database, receiver)
        add_job(database)
        all_are(database, webhook, "dead")
        first, second, third = (each.at for each in receiver.received)
    assert second - first > 0.08
    assert third - second > 0.16


@ON_SQLITE
def test_a_receiver_that_asks_for_time_gets_it(database: Database) -> None:
    with receiving(status(429, Retry_After="300")) as receiver, delivering(database):
        webhook, _ = listen(database, receiver)
        add_job(database)
        receiver.wait_for(1)
        until(lambda: look(database, webhook, receiver.received[0].id).response_status == 429)
        later = look(database, webhook, receiver.received[0].id)
    assert later.status == "pending"
    assert 290 < (later.due_at - later.created_at).total_seconds() < 310


def test_pauses_are_spread_and_end() -> None:
    pauses = (10.0, 100.0)
    seen = [pause_after(1, pauses) or 0.0 for _ in range(200)]
    assert 8 <= min(seen) < 9 < 11 < max(seen) <= 12
    assert 80 <= (pause_after(2, pauses) or 0) <= 120
    assert pause_after(3, pauses) is None
    assert pause_after(1, pauses, 3600.0) == 3600
    assert (pause_after(1, pauses, 1.0) or 0) >= 8


@ON_SQLITE
def test_a_test_is_tried_once(database: Database) -> None:
    with receiving(status(500)) as receiver, delivering(database):
        webhook, _ = listen(database, receiver)
        with database.writing() as tx:
            ping = outbox.ping(tx, webhook.id)
        all_are(database, webhook, "dead")
        assert [each.id for each in receiver.received] == [ping.id]
        assert json.loads(receiver.received[0].body)["type"] == "webhook.test"


def test_a_receiver_that_is_gone_disables_its_webhook(database: Database) -> None:
    with receiving(status(410)) as receiver, delivering(database) as deliverer:
        webhook, _ = listen(database, receiver)
        other, _ = listen(database, receiver, url=receiver.url + "/other", events=["job.failed"])
        add_job(database)
        all_are(database, webhook, "dead")
        with database.reading() as tx:
            gone = webhooks.get(tx, webhook.id)
            assert (gone.enabled, gone.disabled_detail) == (False, "the receiver answered 410")
            assert webhooks.get(tx, other.id).enabled
            [told] = outbox.page(tx, webhook.id).rows
        assert (told.response_status, told.attempts) == (410, 1)
        assert told.detail == "the receiver answered 410; the webhook was disabled"
        add_job(database)
        deliverer.look_again()
        assert len(receiver.received) == 1


def test_each_of_several_that_a_receiver_refuses_tells_its_own_answer(database: Database) -> None:
    """Four are on their way at once: the first 410 disables the webhook, the others' answers are kept too."""
    with receiving(silent(0.1, then=410)) as receiver:
        webhook, _ = listen(database, receiver)
        for _ in range(6):
            add_job(database)
        with delivering(database):
            receiver.wait_for(4)
            all_are(database, webhook, *["dead"] * 6)
            until(lambda: answers(database, webhook).count(410) == 4)
        assert answers(database, webhook).count(None) == 2  # They were never sent.


@pytest.mark.parametrize(
    ("answer", "status", "detail"),
    [
        (200, "delivered", None),
        (302, "dead", "the receiver answered 302; redirects are not followed; the webhook was disabled"),
        (503, "dead", "the receiver answered 503; the webhook was disabled"),
    ],
)
def test_one_that_is_disabled_on_its_way_tells_what_came_of_it(
    database: Database, answer: int, status: str, detail: str | None
) -> None:
    sent, disabled = threading.Event(), threading.Event()

    def wait(url: str, body: bytes, headers: Any) -> Receipt:
        sent.set()
        disabled.wait(10)
        return Receipt(answer)

    with receiving() as receiver:
        webhook, _ = listen(database, receiver)
    with database.writing() as tx:
        ping = outbox.ping(tx, webhook.id)
    deliverer = Deliverer(database, Settings(**QUICK), post=wait)  # type: ignore[arg-type]
    deliverer.look()
    assert sent.wait(10)
    with database.writing() as tx:
        webhooks.change(tx, webhook.id, enabled=False)
    disabled.set()
    deliverer.stop()
    found = look(database, webhook, ping.id)
    assert (found.status, found.response_status, found.detail) == (status, answer, detail)


@ON_SQLITE
def test_why_it_failed_is_said_without_what_was_answered(database: Database) -> None:
    def fail(url: str, body: bytes, headers: Any) -> Receipt:
        raise OutboundError("the connection was refused")

    def crash(url: str, body: bytes, headers: Any) -> Receipt:
        raise ZeroDivisionError("secret")

    for post, wanted in ((fail, "the connection was refused"), (crash, "something went wrong on our side")):
        with receiving() as receiver:
            webhook, _ = listen(database, receiver)
        with database.writing() as tx:
            ping = outbox.ping(tx, webhook.id)
        deliverer = Deliverer(database, Settings(**QUICK), post=post)  # type: ignore[arg-type]
        deliverer.look()
        deliverer.stop()
        assert look(database, webhook, ping.id).detail == wanted
        with database.writing() as tx:
            webhooks.delete(tx, webhook.id)


def test_what_is_deleted_or_disabled_on_its_way_troubles_nobody(database: Database) -> None:
    with receiving(silent(0.1)) as receiver, delivering(database):
        deleted, _ = listen(database, receiver)
        disabled, _ = listen(database, receiver, url=receiver.url + "/2")
        add_job(database)
        receiver.wait_for(2)
        with database.writing() as tx:
            webhooks.delete(tx, deleted.id)
        with database.writing() as tx:
            webhooks.change(tx, disabled.id, enabled=False)
        all_are(database, disabled, "delivered")  # It had been sent by then.
        receiver.behave = status(200)
        later, _ = listen(database, receiver, url=receiver.url + "/3")
        add_job(database)
        all_are(database, later, "delivered")


# ── several ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_several_deliverers_share_the_work(database: Database) -> None:
    with receiving() as receiver, delivering(database), delivering(database), delivering(database):
        webhook, _ = listen(database, receiver)
        for _ in range(12):
            add_job(database)
        all_are(database, webhook, *["delivered"] * 12)
        assert len({each.id for each in receiver.received}) == len(receiver.received) == 12


@ON_SQLITE
def test_a_slow_receiver_holds_up_nobody_else(database: Database) -> None:
    with (
        receiving(dripping(60)) as slow,
        receiving() as quick,
        delivering(database, webhook_seconds=60.0, drain_seconds=0.1),
    ):
        listen(database, slow)
        for _ in range(sending.SLOTS + 1):
            add_job(database)
        slow.wait_for(sending.SLOTS_OF_A_WEBHOOK)
        webhook, _ = listen(database, quick)
        add_job(database)
        all_are(database, webhook, "delivered")
        assert len(slow.received) == sending.SLOTS_OF_A_WEBHOOK


def test_a_backlog_goes_out_as_fast_as_it_is_taken(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one a look: whoever is done makes room for the next at once."""
    monkeypatch.setattr(sending, "LOOK_SECONDS", 60.0)
    with receiving() as receiver:
        webhook, _ = listen(database, receiver)
        for _ in range(16):
            add_job(database)
        with delivering(database):
            all_are(database, webhook, *["delivered"] * 16)
    assert len(receiver.received) == 16


def waits(webhook: str, project: str = "p") -> Waiting:
    return Waiting(webhook, project)


def claimed_of(webhook: str, project: str = "p") -> Claimed:
    return Claimed(ids.new("msg"), 1, webhook, project, None, "job.failed", "{}", 1, "u", ("s",))


def test_slots_are_shared_out() -> None:
    slots = Slots()
    assert slots.free(waits("a")) == sending.SLOTS_OF_A_WEBHOOK
    for webhook in ("a", "b"):
        for _ in range(sending.SLOTS_OF_A_WEBHOOK):
            slots.take(claimed_of(webhook))
    assert (slots.free(waits("a")), slots.free(waits("c"))) == (0, 0), "its project has its share"
    assert slots.free(waits("c", "q")) == sending.SLOTS_OF_A_WEBHOOK
    slots.give_back(claimed_of("a"), taken=True)
    assert (slots.free(waits("a")), slots.free(waits("b")), slots.free(waits("c"))) == (1, 0, 1)
    for project in ("q", "r"):
        for number in range(sending.SLOTS_OF_A_PROJECT):
            if slots.free(waits(f"{project}{number}", project)):
                slots.take(claimed_of(f"{project}{number}", project))
    assert slots.free(waits("z", "z")) == 0, "there are only so many altogether"


def test_whoever_fails_gets_one_at_a_time_until_well() -> None:
    slots = Slots()
    slots.take(claimed_of("a"))
    slots.give_back(claimed_of("a"), taken=False)
    assert slots.free(waits("a")) == 1
    slots.take(claimed_of("a"))
    assert slots.free(waits("a")) == 0
    slots.give_back(claimed_of("a"), taken=True)
    assert slots.free(waits("a")) == sending.SLOTS_OF_A_WEBHOOK
    assert slots.empty


def test_whose_turn_it_is() -> None:
    slots = Slots()
    everybody = [waits("a"), waits("b"), waits("c")]
    for webhook in ("b", "a"):
        slots.take(claimed_of(webhook))
        slots.give_back(claimed_of(webhook), taken=True)
    assert [each.webhook_id for each in slots.in_turn(everybody)] == ["c", "b", "a"]
    slots.in_turn([])
    assert slots._served == {}, "who waits no more is forgotten"


# ── dying, and outages ──────────────────────────────────────────────────────────────────────────────────────


@ON_SQLITE
def test_who_is_killed_between_sending_and_noting_it_is_stood_in_for(
    database: Database, database_url: str
) -> None:
    """At least once: it is sent again, and the receiver knows it by its id."""
    with receiving() as receiver:
        webhook, _ = listen(database, receiver)
        add_job(database)
        with forked(send_and_die, database_url) as dying:
            dying.join(60)
        assert dying.exitcode == -signal.SIGKILL
        [first] = receiver.received
        assert look(database, webhook, first.id).status == "pending"
        with delivering(database):
            all_are(database, webhook, "delivered")
        again = receiver.received[1]
    assert (again.id, again.body) == (first.id, first.body)
    assert look(database, webhook, first.id).attempts == 2


@ON_SQLITE
def test_an_outage_while_noting_does_not_send_it_twice(database: Database) -> None:
    with receiving() as receiver:
        webhook, _ = listen(database, receiver)
        add_job(database)
        deliverer = Deliverer(database, Settings(**QUICK))
        left = [OSError(), OSError()]
        noted = deliverer._noted

        def note(*said: Any) -> None:
            if left:
                raise left.pop()
            noted(*said)

        deliverer._noted = note  # type: ignore[method-assign]
        deliverer.start()
        all_are(database, webhook, "delivered")
        deliverer.stop()
        assert len(receiver.received) == 1


@ON_SQLITE
def test_a_database_that_is_away_is_said_once_and_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(sending.log, "warning", lambda event, **_: said.append(event))
    away = threading.Event()
    away.set()
    looked = dispatch.waiting
    monkeypatch.setattr(dispatch, "waiting", lambda tx: 1 / 0 if away.is_set() else looked(tx))  # type: ignore[arg-type]
    with receiving() as receiver, delivering(database) as deliverer:
        webhook, _ = listen(database, receiver)
        add_job(database)
        for _ in range(3):
            deliverer.look_again()
        assert len(said) == 1
        away.clear()
        all_are(database, webhook, "delivered")


@ON_SQLITE
def test_stopping_waits_for_what_is_on_its_way(database: Database) -> None:
    with receiving(silent(0.3)) as receiver:
        webhook, _ = listen(database, receiver)
        add_job(database)
        with delivering(database) as deliverer:
            receiver.wait_for(1)
        assert statuses(database, webhook) == ["delivered"]
        add_job(database)
        deliverer.look()
        assert not deliverer._thread.is_alive()
        assert len(receiver.received) == 1, "and begins nothing more"


@ON_SQLITE
def test_stopping_does_not_wait_for_ever(database: Database) -> None:
    with receiving(silent(20)) as receiver:
        listen(database, receiver)
        add_job(database)
        with delivering(database, drain_seconds=0.2):
            receiver.wait_for(1)
            begun = time.monotonic()
        assert time.monotonic() - begun < 10


@ON_SQLITE
def test_the_reconciler_sends_and_stops_when_told(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """The process itself, with no broker there."""
    chosen = Settings(**QUICK, data_dir=tmp_path, database_url=database_url, broker_url="redis://127.0.0.1:1")
    with receiving() as receiver:
        webhook, _ = listen(database, receiver)
        add_job(database)
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.reconciler"], cwd=ROOT, env=chosen.environment()
        )
        try:
            all_are(database, webhook, "delivered")
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait()
    assert len(receiver.received) == 1


def test_a_wrong_setting_keeps_the_reconciler_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIDGELINE_WEBHOOK_RETRIES", "soon")
    monkeypatch.setenv("RIDGELINE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(reconciler, "Reconciler", lambda *_: pytest.fail("it started"))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(ValueError, match="'soon' is no duration: write a number and s, m, h or d"):
        reconciler.main()


@ON_SQLITE
def test_what_is_leased_is_left_alone(database: Database) -> None:
    with receiving() as receiver:
        webhook, _ = listen(database, receiver)
        add_job(database)
        with database.writing() as tx:
            [claimed] = dispatch.claim(tx, webhook.id, limit=1, lease_seconds=60)
        with delivering(database) as deliverer:
            deliverer.look_again()
            assert receiver.received == []
            with database.writing() as tx:
                tx.execute(tables.deliveries.update().values(due_at=now()))
            receiver.wait_for(1)
            all_are(database, webhook, "delivered")
        assert receiver.received[0].id == claimed.id
    assert look(database, webhook, claimed.id).attempts == 2


@ON_SQLITE
def test_a_deleted_jobs_news_still_arrive(database: Database) -> None:
    with receiving() as receiver:
        webhook, _ = listen(database, receiver, events=["job.cancelled"])
        job = add_job(database)
        with database.writing() as tx:
            jobs.request_cancel(tx, job.id)
            jobs.delete(tx, job.id)
        with delivering(database):
            all_are(database, webhook, "delivered")
        assert json.loads(receiver.received[0].body)["data"]["id"] == job.id


@ON_SQLITE
def test_the_receiver_in_the_documentation_verifies(database: Database, tmp_path: Path) -> None:
    (script,) = Page(ROOT / "docs/webhooks.md").code("python")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with database.writing() as tx:
        url = f"http://127.0.0.1:{port}/"
        webhook, secret = webhooks.create(tx, url=url, events=["job.queued"])
    written = tmp_path / "receiver.py"
    written.write_text(script.replace("whsec_YOURS", secret).replace('("", 9000)', f'("127.0.0.1", {port})'))
    process = subprocess.Popen(
        [sys.executable, str(written)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: _listens(port))
        job = add_job(database)
        with delivering(database):
            all_are(database, webhook, "delivered")
            with database.writing() as tx:
                tx.execute(tables.webhooks.update().values(secret=webhooks.fresh_secret()))
                forged = outbox.ping(tx, webhook.id)
            all_are(database, webhook, "delivered", "dead")
    finally:
        process.kill()
        said, _ = process.communicate()
    with database.reading() as tx:
        [delivered] = outbox.page(tx, webhook.id, status="delivered").rows
        assert outbox.get(tx, webhook.id, forged.id).response_status == 401
    assert said == f"{delivered.id} job.queued {job.id}\n"


def _listens(port: int) -> bool:
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) == 0
