"""Creating twice with one key creates once."""

from __future__ import annotations

import time

import pytest

from store import idempotency, jobs, tables
from store.columns import now
from store.errors import IdempotencyInFlight, IdempotencyMismatch
from store.idempotency import Answer, Ticket, fingerprint
from store.session import Connection, Database
from tests.store.examples import add_dataset, elsewhere, together

KEY = "0b6e5b5e"
REQUEST = fingerprint("POST", "/v1/jobs", b'{"dataset": "iris"}')
ANSWER = Answer(202, {"Location": "/v1/jobs/job_1"}, b'{"id": "job_1", "bytes": "\xc3\xa4"}')


def _ticket(tx: Connection, key: str = KEY, request: str = REQUEST, **options: object) -> Ticket:
    found = idempotency.begin(tx, key, request, **options)  # type: ignore[arg-type]
    assert isinstance(found, Ticket)
    return found


def _answered(database: Database) -> None:
    with database.writing() as tx:
        assert idempotency.finish(tx, _ticket(tx), ANSWER)


def test_the_first_answer_is_given_again_byte_for_byte(database: Database) -> None:
    _answered(database)
    with database.writing() as tx:
        assert idempotency.begin(tx, KEY, REQUEST) == ANSWER


def test_another_request_under_the_key_is_refused(database: Database) -> None:
    _answered(database)
    with database.writing() as tx, pytest.raises(IdempotencyMismatch):
        idempotency.begin(tx, KEY, fingerprint("POST", "/v1/jobs", b'{"dataset": "wine"}'))


def test_one_still_being_answered_is_in_flight(database: Database) -> None:
    with database.writing() as tx:
        ticket = _ticket(tx)
    with database.writing() as tx, pytest.raises(IdempotencyInFlight):
        idempotency.begin(tx, KEY, REQUEST)
    with database.writing() as tx, pytest.raises(IdempotencyMismatch):
        idempotency.begin(tx, KEY, fingerprint("another"))
    with database.writing() as tx:
        assert idempotency.finish(tx, ticket, ANSWER)
        assert idempotency.begin(tx, KEY, REQUEST) == ANSWER


def test_what_failed_may_be_tried_again(database: Database) -> None:
    with database.writing() as tx:
        ticket = _ticket(tx)
    with database.writing() as tx:
        idempotency.abandon(tx, ticket)
        assert _ticket(tx).token != ticket.token


def test_an_answer_is_not_abandoned(database: Database) -> None:
    with database.writing() as tx:
        ticket = _ticket(tx)
        assert idempotency.finish(tx, ticket, ANSWER)
        idempotency.abandon(tx, ticket)
        assert idempotency.begin(tx, KEY, REQUEST) == ANSWER


def test_one_never_answered_gives_its_place_up(database: Database) -> None:
    with database.writing() as tx:
        dead = _ticket(tx, hold_seconds=0.02)
    time.sleep(0.05)
    with database.writing() as tx:
        heir = _ticket(tx)
        assert not idempotency.finish(tx, dead, Answer(500, {}, b"late"))
        assert idempotency.finish(tx, heir, ANSWER)
        assert idempotency.begin(tx, KEY, REQUEST) == ANSWER


def test_a_place_is_held_as_long_as_it_is_renewed(database: Database) -> None:
    with database.writing() as tx:
        ticket = _ticket(tx, hold_seconds=0.2)
    with database.writing() as tx:
        idempotency.renew(tx, [ticket], hold_seconds=60)
    time.sleep(0.25)
    with database.writing() as tx, pytest.raises(IdempotencyInFlight) as caught:
        idempotency.begin(tx, KEY, REQUEST)
    assert 55 <= caught.value.retry_after <= 60
    with database.writing() as tx:
        idempotency.renew(tx, [ticket], hold_seconds=-1)
        heir = _ticket(tx)
        idempotency.renew(tx, [ticket], hold_seconds=3600)  # it was given up: nothing is held for it
    with database.writing() as tx, pytest.raises(IdempotencyInFlight) as caught:
        idempotency.begin(tx, KEY, REQUEST)
    assert caught.value.retry_after <= idempotency.HOLD_SECONDS
    with database.writing() as tx:
        assert not idempotency.finish(tx, ticket, Answer(201, {}, b"late"))
        assert idempotency.finish(tx, heir, ANSWER)


def test_the_place_of_a_dead_process_is_taken_at_once(database: Database) -> None:
    """Whatever it was answering; an answer that it gave stays."""
    with database.writing() as tx:
        ticket = _ticket(tx, holder="the dead")
    with database.writing() as tx, pytest.raises(IdempotencyInFlight):
        idempotency.begin(tx, KEY, REQUEST, is_dead=lambda name: name == "another")
    with database.writing() as tx:
        heir = _ticket(tx, request=fingerprint("another"), is_dead=lambda name: name == "the dead")
        assert not idempotency.finish(tx, ticket, Answer(201, {}, b"late"))
        assert idempotency.finish(tx, heir, ANSWER)
    with database.writing() as tx:
        assert idempotency.begin(tx, KEY, fingerprint("another"), is_dead=lambda _: True) == ANSWER


def test_what_an_earlier_version_left_unanswered_is_given_up_as_it_was(database: Database) -> None:
    """It wrote no holder and renewed nothing: after five minutes, as then."""
    with database.writing() as tx:
        ticket = _ticket(tx)
        tx.execute(tables.idempotency.update().values(holder=None, held_until=None))
    with database.writing() as tx, pytest.raises(IdempotencyInFlight):
        idempotency.begin(tx, KEY, REQUEST, is_dead=lambda _: True)
    with database.writing() as tx:
        tx.execute(tables.idempotency.update().values(created_at=now(-301)))
        assert _ticket(tx).token != ticket.token


def test_answers_are_kept_for_a_while_and_swept(database: Database) -> None:
    _answered(database)
    time.sleep(0.05)
    with database.writing() as tx:
        assert idempotency.sweep(tx, keep_seconds=60) == 0
        assert idempotency.begin(tx, KEY, REQUEST, keep_seconds=60) == ANSWER
        assert _ticket(tx, keep_seconds=0.02)
    time.sleep(0.05)
    with database.writing() as tx:
        assert idempotency.sweep(tx, keep_seconds=0.02) == 1


def test_projects_do_not_share_keys(database: Database) -> None:
    _answered(database)
    with database.writing() as tx, elsewhere(tx):
        assert _ticket(tx)


def test_what_rolls_back_leaves_no_key(database: Database) -> None:
    def begin_and_raise() -> None:
        with database.writing() as tx:
            _ticket(tx)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        begin_and_raise()
    with database.writing() as tx:
        assert _ticket(tx)


def test_the_same_request_at_once_creates_once(database: Database) -> None:
    with database.writing() as tx:
        dataset_id = add_dataset(tx).id

    def create() -> Answer:
        with database.writing() as tx:
            found = idempotency.begin(tx, KEY, REQUEST)
            if isinstance(found, Answer):
                return found
            job = jobs.add(tx, spec={}, dataset_id=dataset_id, max_epochs=1)
            answer = Answer(202, {}, job.id.encode())
            assert idempotency.finish(tx, found, answer)
            return answer

    answers = together([create] * 6)
    assert len({answer.body for answer in answers}) == 1
    with database.reading() as tx:
        assert jobs.counts(tx) == {"queued": 1}


def test_a_fingerprint_keeps_its_parts_apart() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint("a") == fingerprint(b"a")
    assert fingerprint("\ud800") != fingerprint("?")
