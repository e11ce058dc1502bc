"""The state machine: every arrow, and every forbidden one, on both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from store import attempts, events
from store.errors import ActionNotAllowed
from store.jobs import Job, actions, arrows
from store.session import Connection, Database
from tests.store.examples import STATES, look, snapshot

ARROWS: dict[str, Callable[[Connection, Job], object]] = {
    "claim": lambda tx, job: arrows.claim(tx, worker="worker-b", queues=["cpu"], lease_seconds=30),
    "succeed": lambda tx, job: arrows.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={}),
    "fail": lambda tx, job: arrows.fail(
        tx, job.id, job.fence, stop_reason="internal_error", stop_detail="a bug"
    ),
    "cancelled": lambda tx, job: arrows.cancelled(tx, job.id, job.fence),
    "release": lambda tx, job: arrows.release(tx, job.id, job.fence, detail="draining"),
    "lose": lambda tx, job: arrows.lose(tx, job.id, job.fence, detail="quiet", delay_seconds=0),
    "give_up": lambda tx, job: arrows.give_up(tx, job.id, job.fence, detail="quiet"),
    "bury": lambda tx, job: arrows.bury(tx, job.id, job.fence, detail="quiet"),
    "request_cancel": lambda tx, job: actions.request_cancel(tx, job.id),
    "request_finish": lambda tx, job: actions.request_finish(tx, job.id),
    "delete": lambda tx, job: actions.delete(tx, job.id),
}

REQUESTS = {"request_cancel": "cancel", "request_finish": "finish", "delete": "delete"}
GONE = "gone"
SAME = "same"  # already in effect: allowed, and nothing changes
ASKED = "running"

EXPECTED: dict[str, dict[str, str]] = {
    "queued": {"claim": "running", "request_cancel": "cancelled"},
    "running": {
        "succeed": "succeeded",
        "fail": "failed",
        "release": "queued",
        "request_cancel": ASKED,
        "request_finish": ASKED,
    },
    "asked to cancel": {"fail": "failed", "cancelled": "cancelled", "request_cancel": SAME},
    "asked to finish": {
        "succeed": "succeeded",
        "fail": "failed",
        "release": "queued",
        "request_cancel": ASKED,
        "request_finish": SAME,
    },
    # A worker that comes back before anyone took its job may go on with it.
    "quiet": {
        "succeed": "succeeded",
        "fail": "failed",
        "release": "queued",
        "lose": "queued",
        "give_up": "failed",
        "request_cancel": ASKED,
        "request_finish": ASKED,
    },
    "quiet, asked to cancel": {
        "fail": "failed",
        "cancelled": "cancelled",
        "bury": "cancelled",
        "request_cancel": SAME,
    },
    "paused": {"request_cancel": "cancelled"},
    "succeeded": {"delete": GONE},
    "finished": {"request_finish": SAME, "delete": GONE},
    "failed": {"delete": GONE},
    "cancelled": {"request_cancel": SAME, "delete": GONE},
}
CASES = [(state, arrow) for state in STATES for arrow in ARROWS]


@pytest.mark.parametrize(("state", "arrow"), CASES, ids=[f"{arrow} when {state}" for state, arrow in CASES])
def test_every_arrow_and_every_forbidden_one(database: Database, state: str, arrow: str) -> None:
    job = STATES[state](database)
    before = snapshot(database)
    expected = EXPECTED[state].get(arrow)

    if expected is None and arrow in REQUESTS:
        with pytest.raises(ActionNotAllowed) as refusal, database.writing() as tx:
            ARROWS[arrow](tx, job)
        assert refusal.value.allowed == job.allowed_actions
    else:
        with database.writing() as tx:
            done = ARROWS[arrow](tx, job)
        assert bool(done) is (expected is not None) or expected == GONE

    if expected in (None, SAME):
        assert snapshot(database) == before
    elif expected == GONE:
        assert all(not rows for name, rows in snapshot(database).items() if name not in ("datasets",))
    else:
        assert look(database, job).status == expected


def test_the_states_cover_what_is_allowed(database: Database) -> None:
    """`allowed_actions` names exactly the requests that would change something."""
    for state, build in STATES.items():
        useful = {
            REQUESTS[arrow]
            for arrow, outcome in EXPECTED[state].items()
            if arrow in REQUESTS and outcome != SAME
        }
        assert set(build(database).allowed_actions) == useful, state


FINAL = [
    ("running", "succeed", "succeeded", {"stop_reason": "max_epochs", "stop_detail": None}),
    ("running", "fail", "failed", {"stop_reason": "internal_error", "stop_detail": "a bug"}),
    ("asked to cancel", "cancelled", "cancelled", {"stop_reason": "cancelled", "stop_detail": None}),
    ("quiet", "give_up", "failed", {"stop_reason": "worker_lost", "stop_detail": "quiet"}),
    ("quiet, asked to cancel", "bury", "cancelled", {"stop_reason": "cancelled", "stop_detail": "quiet"}),
    (
        "queued",
        "request_cancel",
        "cancelled",
        {"stop_reason": "cancelled", "stop_detail": "cancelled before it ran"},
    ),
]


@pytest.mark.parametrize(("state", "arrow", "status", "told"), FINAL, ids=[case[1] for case in FINAL])
def test_an_end_is_told_once_and_clears_what_was_asked(
    database: Database, state: str, arrow: str, status: str, told: dict[str, str | None]
) -> None:
    job = STATES[state](database)
    with database.writing() as tx:
        assert ARROWS[arrow](tx, job)
    ended = look(database, job)
    assert (ended.stop_reason, ended.stop_detail) == (told["stop_reason"], told["stop_detail"])
    assert ended.requested_action is None
    assert ended.lease_expires_at is None
    assert ended.finished_at is not None
    assert ended.finished_at >= ended.created_at
    with database.reading() as tx:
        log = events.log(tx, job.id)
    assert [(event.kind, event.data) for event in log[-2:]] == [
        ("status", {"status": status, **told}),
        ("end", {"status": status, **told}),
    ]


ATTEMPTS = [
    ("running", "succeed", "succeeded", None),
    ("running", "fail", "failed", "a bug"),
    ("asked to cancel", "cancelled", "cancelled", None),
    ("running", "release", "released", "draining"),
    ("quiet", "lose", "lost", "quiet"),
    ("quiet", "give_up", "lost", "quiet"),
    ("quiet, asked to cancel", "bury", "lost", "quiet"),
]


@pytest.mark.parametrize(
    ("state", "arrow", "outcome", "detail"), ATTEMPTS, ids=[case[1] for case in ATTEMPTS]
)
def test_each_attempt_is_on_record(
    database: Database, state: str, arrow: str, outcome: str, detail: str | None
) -> None:
    job = STATES[state](database)
    with database.writing() as tx:
        assert ARROWS[arrow](tx, job)
    with database.reading() as tx:
        (attempt,) = attempts.of(tx, job.id)
    assert (attempt.number, attempt.fence, attempt.worker_id) == (1, 1, "worker-a")
    assert (attempt.outcome, attempt.detail) == (outcome, detail)
    assert attempt.ended_at is not None
    assert attempt.ended_at >= attempt.started_at


def test_a_failure_says_why_whatever_the_words(database: Database) -> None:
    job = STATES["running"](database)
    said = "bad \x00 bytes \ud800 " + "x" * 5000
    with database.writing() as tx:
        error = {"code": "internal_error", "detail": said, "type": "ValueError"}
        assert arrows.fail(tx, job.id, job.fence, stop_reason="internal_error", stop_detail=said, error=error)
    failed = look(database, job)
    assert failed.stop_detail is not None
    assert failed.stop_detail.startswith("bad � bytes ? x")
    assert len(failed.stop_detail) == 2000
    assert failed.error is not None
    assert failed.error["detail"].startswith("bad � bytes ? x")


def test_a_failure_without_an_error_makes_one(database: Database) -> None:
    failed = STATES["failed"](database)
    assert failed.error == {"code": "diverged", "detail": None}


def test_results_that_are_not_finite_say_so(database: Database) -> None:
    job = STATES["running"](database)
    result = {"best_epoch": 1, "train": {"loss": float("nan"), "accuracy": 0.5}, "test": None}
    with database.writing() as tx:
        assert arrows.fail(tx, job.id, job.fence, stop_reason="diverged", result=result)
    assert look(database, job).result == {
        "best_epoch": 1,
        "train": {"loss": None, "accuracy": 0.5, "nonfinite": {"loss": "nan"}},
        "test": None,
    }
