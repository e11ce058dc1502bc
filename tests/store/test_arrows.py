"""The state machine: every arrow, and every forbidden one, on both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from store import attempts, checkpoints, curves, events, jobs
from store.errors import ActionNotAllowed
from store.jobs import Job, actions, arrows
from store.session import Connection, Database
from tests.store.examples import STATES, keep, look, points
from tests.store.trials import on_trial, rows_of

ARROWS: dict[str, Callable[[Connection, Job], object]] = {
    "claim": lambda tx, job: arrows.claim(tx, worker="worker-b", queues=["cpu"], lease_seconds=30),
    "succeed": lambda tx, job: arrows.succeed(tx, job.id, job.fence, stop_reason="max_epochs", result={}),
    "fail": lambda tx, job: arrows.fail(
        tx, job.id, job.fence, stop_reason="internal_error", stop_detail="a bug"
    ),
    "cancelled": lambda tx, job: arrows.cancelled(tx, job.id, job.fence),
    "paused": lambda tx, job: arrows.paused(tx, job.id, job.fence),
    "resume": lambda tx, job: arrows.resume(tx, job.id),
    "pause_waiting": lambda tx, job: arrows.pause_waiting(tx, job.id),
    "release": lambda tx, job: arrows.release(tx, job.id, job.fence, detail="draining"),
    "lose": lambda tx, job: arrows.lose(tx, job.id, job.fence, detail="quiet", delay_seconds=0),
    "give_up": lambda tx, job: arrows.give_up(tx, job.id, job.fence, detail="quiet"),
    "bury": lambda tx, job: arrows.bury(tx, job.id, job.fence, detail="quiet"),
    "shelve": lambda tx, job: arrows.shelve(tx, job.id, job.fence, detail="quiet"),
    "request_pause": lambda tx, job: actions.request_pause(tx, job.id),
    "request_resume": lambda tx, job: actions.request_resume(tx, job.id),
    "request_cancel": lambda tx, job: actions.request_cancel(tx, job.id),
    "request_finish": lambda tx, job: actions.request_finish(tx, job.id),
    "delete": lambda tx, job: actions.delete(tx, job.id),
}

REQUESTS = {
    "request_pause": "pause",
    "request_resume": "resume",
    "request_cancel": "cancel",
    "request_finish": "finish",
    "delete": "delete",
}
GONE = "gone"
SAME = "same"  # already in effect: allowed, and nothing changes
ASKED = "running"

_WAITS = {"claim": "running", "pause_waiting": "paused", "request_cancel": "cancelled"}
_RUNS = {"succeed": "succeeded", "fail": "failed", "release": "queued", "request_cancel": ASKED}
EXPECTED: dict[str, dict[str, str]] = {
    "queued": {**_WAITS, "request_pause": "paused", "request_resume": SAME},
    # What it would finish with lies in its checkpoint, so somebody must still claim it.
    "queued again": {**_WAITS, "request_pause": "paused", "request_resume": SAME, "request_finish": "queued"},
    "queued to finish": {**_WAITS, "request_resume": SAME, "request_finish": SAME},
    "running": {**_RUNS, "request_pause": ASKED, "request_resume": SAME, "request_finish": ASKED},
    "asked to cancel": {"fail": "failed", "cancelled": "cancelled", "request_cancel": SAME},
    "asked to finish": {**_RUNS, "request_resume": SAME, "request_finish": SAME},
    # Training that ends by itself before its worker can pause it has ended.
    "asked to pause": {
        "succeed": "succeeded",
        "fail": "failed",
        "paused": "paused",
        "request_pause": SAME,
        "request_resume": ASKED,
        "request_finish": ASKED,
        "request_cancel": ASKED,
    },
    # A worker that comes back before anyone took its job may go on with it.
    "quiet": {
        **_RUNS,
        "lose": "queued",
        "give_up": "failed",
        "request_pause": ASKED,
        "request_resume": SAME,
        "request_finish": ASKED,
    },
    "quiet, asked to cancel": {
        "fail": "failed",
        "cancelled": "cancelled",
        "bury": "cancelled",
        "request_cancel": SAME,
    },
    "quiet, asked to pause": {
        "succeed": "succeeded",
        "fail": "failed",
        "paused": "paused",
        "shelve": "paused",
        "give_up": "failed",
        "request_pause": SAME,
        "request_resume": ASKED,
        "request_finish": ASKED,
        "request_cancel": ASKED,
    },
    "paused": {
        "resume": "queued",
        "request_pause": SAME,
        "request_resume": "queued",
        "request_finish": "queued",
        "request_cancel": "cancelled",
    },
    "paused before it ran": {
        "resume": "queued",
        "request_pause": SAME,
        "request_resume": "queued",
        "request_cancel": "cancelled",
    },
    "succeeded": {"delete": GONE},
    "finished": {"request_finish": SAME, "delete": GONE},
    "failed": {"delete": GONE},
    "cancelled": {"request_cancel": SAME, "delete": GONE},
}


@pytest.mark.parametrize("state", STATES)
def test_every_arrow_and_every_forbidden_one(database: Database, state: str) -> None:
    """And `allowed_actions` names exactly the requests that would change something."""
    job = STATES[state](database)
    useful = {request for arrow, request in REQUESTS.items() if EXPECTED[state].get(arrow, SAME) != SAME}
    assert set(job.allowed_actions) == useful
    before = rows_of(database)
    for arrow, follow in ARROWS.items():
        expected, refused = EXPECTED[state].get(arrow), None
        with on_trial(database) as trial:
            try:
                done = follow(trial.tx, job)
            except ActionNotAllowed as refusal:
                done, refused = None, refusal.allowed
            left = jobs.get(trial.tx, job.id).status if expected != GONE else None

        assert refused == (job.allowed_actions if expected is None and arrow in REQUESTS else None), arrow
        if expected in (None, SAME):
            assert bool(done) is (expected == SAME), arrow
            assert trial.after == before, arrow
        elif expected == GONE:
            kept = {"datasets", "projects", "usage"}
            assert {name for name, _ in trial.after} <= kept, arrow
        else:
            assert done, arrow
            assert left == expected, arrow
    assert rows_of(database) == before, "each arrow began where the others did"


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
    (
        "paused",
        "request_cancel",
        "cancelled",
        {"stop_reason": "cancelled", "stop_detail": "cancelled while it waited"},
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
    ("asked to pause", "paused", "paused", None),
    ("quiet, asked to pause", "shelve", "lost", "quiet"),
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


# ── aside, and on ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_paused_job_is_nobodys_and_keeps_its_place(database: Database) -> None:
    job = STATES["paused"](database)
    assert (job.worker_id, job.lease_expires_at, job.requested_action) == (None, None, None)
    assert (job.epoch, job.fence, job.attempt, job.lost) == (3, 2, 1, 0)
    with database.reading() as tx:
        assert [one.epoch for one in checkpoints.of(tx, job.id)] == [3]
        assert (events.log(tx, job.id)[-1].kind, events.log(tx, job.id)[-1].data["status"]) == (
            "status",
            "paused",
        )


def test_a_resumed_job_is_due_now_however_long_it_was_to_wait(database: Database) -> None:
    job = STATES["running"](database)
    with database.writing() as tx:
        assert arrows.release(tx, job.id, job.fence, detail="disk full", delay_seconds=3600)
        actions.request_pause(tx, job.id)
        actions.request_resume(tx, job.id)
        claimed = arrows.claim(tx, worker="worker-b", queues=["cpu"], lease_seconds=30)
    assert claimed is not None


def test_a_pause_that_is_taken_back_leaves_nothing_behind(database: Database) -> None:
    job = STATES["asked to pause"](database)
    with database.writing() as tx:
        assert actions.request_resume(tx, job.id).requested_action is None
        assert not arrows.paused(tx, job.id, job.fence)
    assert look(database, job).status == "running"


def test_what_is_to_be_finished_stays_so_whoever_has_it(database: Database) -> None:
    job = STATES["queued to finish"](database)
    with database.writing() as tx:
        (claimed,) = arrows.claim(tx, worker="worker-b", queues=["cpu"], lease_seconds=-1)
        assert (claimed.id, claimed.requested_action, claimed.epoch) == (job.id, "finish", 3)
        assert arrows.lose(tx, job.id, claimed.fence, detail="quiet", delay_seconds=0)
    assert look(database, job).requested_action == "finish"


@pytest.mark.parametrize(("state", "arrow"), [case[:2] for case in FINAL], ids=[case[1] for case in FINAL])
def test_a_job_that_has_ended_has_no_checkpoint(database: Database, state: str, arrow: str) -> None:
    job = STATES[state](database)
    if job.status == "running":
        with database.writing() as tx:
            assert curves.record(tx, job.id, job.fence, points(1, 2))
        assert keep(database, job, 1, 2) == []
    with database.writing() as tx:
        assert ARROWS[arrow](tx, job)
        assert checkpoints.of(tx, job.id) == []
