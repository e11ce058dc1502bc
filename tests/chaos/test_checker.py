"""The checker can fail: a run in which all is well, and one for each way in which a promise can be broken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker import CHECKS, Case, Terms, violations
from tests.chaos.final import Final, Kept
from tests.chaos.history import Answer, Connected, Delivered, Fault, History, Record, Told, load
from tests.chaos.undisturbed import Undisturbed

JOB, POISON = "job_1", "job_2"
TERMS = Terms(
    lease_seconds=3,
    reconcile_seconds=1,
    backoff_seconds=2,
    checkpoint_seconds=2,
    max_attempts=3,
    allowance_seconds=4,
    poison=frozenset({"segfault"}),
)
EPOCHS = [{"val_loss": 1.0 / epoch, "epoch_seconds": 0.1} for epoch in range(1, 5)]
RESULT = {"last_epoch": 4, "best_epoch": 4, "train": {"loss": 0.25}}
TENSORS = {"output.weight": "sha-a"}
UNDISTURBED = Undisturbed([{**each, "epoch_seconds": 9.0} for each in EPOCHS], "max_epochs", RESULT, TENSORS)
"""Slower, but otherwise the same."""


@dataclass
class Run:
    """A run that may be spoiled. Its job was killed after epoch 3, and went on behind epoch 2."""

    records: list[Record] = field(default_factory=list)
    final: Final = field(default_factory=Final)
    terms: Terms = TERMS

    def judged(self) -> list[str]:
        case = Case(History(self.records), self.final, self.terms, lambda row: UNDISTURBED)
        return [str(violation) for violation in violations(case)]

    @property
    def row(self) -> dict[str, Any]:
        return self.final.jobs[JOB]

    def index(self, kind: str, **about: Any) -> int:
        """Where a record is."""
        return next(
            index
            for index, record in enumerate(self.records)
            if type(record).__name__ == kind
            and all(getattr(record, name) == value for name, value in about.items())
        )

    def change(self, kind: str, which: dict[str, Any], **to: Any) -> None:
        index = self.index(kind, **which)
        self.records[index] = replace(self.records[index], **to)


def job(status: str, stop_reason: str | None = None, finished_at: str | None = None) -> dict[str, Any]:
    return {"id": JOB, "status": status, "stop_reason": stop_reason, "finished_at": finished_at, "attempt": 1}


def answer(at: float, method: str, path: str, status: int | None, **more: Any) -> Answer:
    return Answer(at, at + 0.1, "visitor", method, path, status, **more)


def told(at: float, number: int, kind: str, **data: Any) -> Told:
    return Told(at, "stream", JOB, number, kind, data)


def epoch(at: float, number: int, count: int) -> Told:
    return told(at, number, "epoch", epoch=count, values=EPOCHS[count - 1])


def point(count: int, event: int) -> dict[str, Any]:
    return {"job_id": JOB, "epoch": count, "event": event, "values": dict(EPOCHS[count - 1])}


def event(number: int, kind: str, **data: Any) -> dict[str, Any]:
    return {"job_id": JOB, "number": number, "kind": kind, "data": data}


def attempt(
    number: int, fence: int, started: float, ended: float | None, outcome: str | None
) -> dict[str, Any]:
    return {
        "number": number,
        "fence": fence,
        "started_at": started,
        "ended_at": ended,
        "outcome": outcome,
    }


def delivery(delivery_id: str, event: str) -> dict[str, Any]:
    return {"id": delivery_id, "event": event, "status": "delivered", "attempts": 1}


def good() -> Run:
    ended = job("succeeded", "max_epochs", "t20")
    records: list[Record] = [
        answer(-1.0, "POST", "/v1/webhooks", 201),
        answer(0.0, "POST", "/v1/jobs", None, key="k1", detail="ReadError"),
        answer(0.5, "POST", "/v1/jobs", 202, key="k1", job=job("queued")),
        Connected(0.7, "stream", JOB, 0),
        told(0.8, 1, "status", status="queued"),
        told(1.0, 2, "status", status="running"),
        epoch(2.0, 3, 1),
        epoch(3.0, 4, 2),
        epoch(4.0, 5, 3),
        Fault(5.0, 5.0, "pool child", "", [{"job_id": JOB, "attempt": 1, "epoch": 3}], alone=True),
        answer(40.0, "GET", f"/v1/jobs/{JOB}", 503, retry_after=True),
        Fault(41.0, 42.0, "database", "stopped at once"),
        told(9.0, 6, "status", status="queued"),
        Connected(10.0, "stream", JOB, 6),
        Delivered(11.0, "msg_2", "job.failed", POISON),
        told(12.0, 7, "rewound", epoch=2, attempt=2),
        told(12.0, 8, "status", status="running"),
        epoch(13.0, 9, 3),
        epoch(14.0, 10, 4),
        told(20.0, 11, "status", status="succeeded"),
        told(20.0, 12, "end", status="succeeded"),
        Delivered(20.5, "msg_1", "job.succeeded", JOB),
        answer(21.0, "GET", f"/v1/jobs/{JOB}", 200, job=ended),
        answer(22.0, "POST", f"/v1/jobs/{JOB}/cancel", 409),
        answer(23.0, "GET", f"/v1/jobs/{JOB}", 200, job=ended),
        answer(24.0, "POST", "/v1/jobs", 202, key="k1", job=job("queued")),
    ]
    rows = {
        JOB: {
            "id": JOB,
            "status": "succeeded",
            "stop_reason": "max_epochs",
            "stop_detail": "",
            "attempt": 2,
            "epoch": 4,
            "last_event": 12,
            "lost": 1,
            "lost_together": 0,
            "result": dict(RESULT),
            "spec": {"name": None},
            "metadata": {"key": "k1"},
        },
        POISON: {
            "id": POISON,
            "status": "failed",
            "stop_reason": "worker_lost",
            "stop_detail": "",
            "attempt": 3,
            "epoch": 0,
            "last_event": 2,
            "lost": 3,
            "lost_together": 0,
            "result": None,
            "spec": {"name": "segfault"},
            "metadata": {"key": "k2"},
        },
    }
    final = Final(
        jobs=rows,
        points={JOB: [point(1, 3), point(2, 4), point(3, 9), point(4, 10)]},
        events={
            JOB: [
                event(1, "status", status="queued"),
                event(2, "status", status="running"),
                event(6, "status", status="queued"),
                event(7, "rewound", epoch=2, attempt=2),
                event(8, "status", status="running"),
                event(11, "status", status="succeeded"),
                event(12, "end", status="succeeded"),
            ],
            POISON: [event(1, "status", status="failed"), event(2, "end", status="failed")],
        },
        attempts={
            JOB: [attempt(1, 1, 1.0, 9.0, "lost"), attempt(2, 3, 12.0, 20.0, "succeeded")],
            POISON: [attempt(n, 2 * n, 30.0 * n, 30.0 * n + 9, "lost") for n in (1, 2, 3)],
        },
        weights={JOB: [{"key": "weights/a", "sha256": "sha"}]},
        tensors={JOB: dict(TENSORS)},
        files=[Kept("weights/a", "sha", "sha", JOB)],
        deliveries={JOB: [delivery("msg_1", "job.succeeded")], POISON: [delivery("msg_2", "job.failed")]},
    )
    return Run(records, copy.deepcopy(final))


def test_a_run_in_which_all_is_well_is_not_complained_of() -> None:
    assert good().judged() == []


SPOILED: dict[str, tuple[str, Callable[[Run], object]]] = {}
"""Name → what the checker must say, and how a good run is spoiled so that it must."""


def spoiled(said: str) -> Callable[[Callable[[Run], object]], Callable[[Run], object]]:
    def noted(spoil: Callable[[Run], object]) -> Callable[[Run], object]:
        SPOILED[spoil.__name__] = (said, spoil)
        return spoil

    return noted


@spoiled("P1 job_1: was accepted, and there is no such row")
def an_accepted_job_is_gone(run: Run) -> None:
    del run.final.jobs[JOB]


@spoiled("P1 job_1: was accepted, and GET /v1/jobs/job_1 answered 404")
def an_accepted_job_is_unknown_for_a_while(run: Run) -> None:
    run.records.append(answer(2.0, "GET", f"/v1/jobs/{JOB}", 404))


@spoiled("P1 job_1: key k1 made 2 jobs")
def a_key_makes_two_jobs(run: Run) -> None:
    run.records.append(answer(25.0, "POST", "/v1/jobs", 202, key="k1", job={**job("queued"), "id": "job_9"}))


@spoiled("P1 : key k1 is in 2 rows")
def a_lost_answer_makes_a_second_row(run: Run) -> None:
    run.final.jobs["job_9"] = {**run.row, "id": "job_9"}


@spoiled("P2 job_1: never ended: running")
def a_job_never_ends(run: Run) -> None:
    run.row["status"] = "running"


@spoiled("P2 job_1: is succeeded, and its log told of ['cancelled', 'succeeded']")
def a_job_ends_twice(run: Run) -> None:
    run.final.events[JOB][2]["data"]["status"] = "cancelled"


@spoiled("P2 job_1: its log ends at 12, with `end` at []")
def a_log_without_an_end(run: Run) -> None:
    run.final.events[JOB].pop()


@spoiled("P2 job_1: has ended, and one of its attempts has not")
def an_attempt_without_an_end(run: Run) -> None:
    run.final.attempts[JOB][1]["ended_at"] = None


@spoiled("P2 job_1: was succeeded once, and failed later")
def an_end_is_overwritten_for_a_while(run: Run) -> None:
    run.change("Answer", {"sent_at": 23.0}, job=job("failed", "worker_lost", "t23"))


@spoiled("P2 job_1: was succeeded once, and running later")
def a_final_status_is_left_again(run: Run) -> None:
    run.change("Answer", {"sent_at": 23.0}, job=job("running"))


@spoiled("P2 job_1: was succeeded once, and its row says failed")
def an_end_is_overwritten_for_good(run: Run) -> None:
    run.row["status"] = "failed"


@spoiled("P3 job_1: its epochs are 1, 2, 4")
def an_epoch_is_missing(run: Run) -> None:
    run.final.points[JOB].pop(2)


@spoiled("P3 job_1: its epochs are 1, 2, 3, 3, 4")
def an_epoch_is_there_twice(run: Run) -> None:
    run.final.points[JOB].insert(2, point(3, 5))


@spoiled("P3 job_1: epoch 3 outlived a rewind to 2")
def an_epoch_of_the_lost_attempt_stays(run: Run) -> None:
    run.final.points[JOB][2]["event"] = 5


@spoiled("P3 job_1: events 8 are there twice")
def two_entries_share_a_number(run: Run) -> None:
    run.final.points[JOB][2]["event"] = 8


@spoiled("P3 job_1: its epochs were told in another order")
def epochs_in_the_wrong_order(run: Run) -> None:
    run.final.points[JOB][2]["event"], run.final.points[JOB][3]["event"] = 10, 9


@spoiled("P3 job_1: is at epoch 7, its curve at 4")
def a_row_ahead_of_its_curve(run: Run) -> None:
    run.row["epoch"] = 7


@spoiled("P3 job_1: succeeded with 0 sets of weights")
def no_weights(run: Run) -> None:
    run.final.weights[JOB].clear()


@spoiled("P3 job_1: succeeded with 2 sets of weights")
def two_sets_of_weights(run: Run) -> None:
    run.final.weights[JOB].append({"key": "weights/b", "sha256": "sha"})


@spoiled("P3 job_1: its result is of epoch 3, its curve has 4")
def a_result_of_another_epoch(run: Run) -> None:
    run.row["result"]["last_epoch"] = 3


@spoiled("P3 job_1: of 2 attempts, 1 are recorded")
def an_attempt_is_missing(run: Run) -> None:
    run.final.attempts[JOB].pop(0)


@spoiled("P3 job_1: attempts 1 and 2 overlap")
def two_attempts_at_once(run: Run) -> None:
    run.final.attempts[JOB][1]["started_at"] = 8.0


@spoiled("P3 job_1: attempt 2 did not raise the fence")
def a_fence_that_stays(run: Run) -> None:
    run.final.attempts[JOB][1]["fence"] = 1


@spoiled("P3 job_1: succeeded twice")
def a_second_success(run: Run) -> None:
    run.final.attempts[JOB][0]["outcome"] = "succeeded"


@spoiled("P3 job_1: a row points to weights/a, which is not there")
def a_file_is_missing(run: Run) -> None:
    run.final.files[0] = Kept("weights/a", "sha", None, JOB)


@spoiled("P3 job_1: weights/a is not what was stored")
def a_file_is_damaged(run: Run) -> None:
    run.final.files[0] = Kept("weights/a", "sha", "other", JOB)


@spoiled("P3 job_1: epoch 3 is not that of an undisturbed run: val_loss")
def an_epoch_differs_in_its_last_bit(run: Run) -> None:
    run.final.points[JOB][2]["values"]["val_loss"] += 1e-16


@spoiled("P3 job_1: ended after 3 epochs (max_epochs), undisturbed after 4")
def an_attempt_ends_early(run: Run) -> None:
    run.final.points[JOB].pop()


@spoiled("P3 job_1: its result is not that of an undisturbed run")
def another_result(run: Run) -> None:
    run.row["result"]["train"] = {"loss": 0.26}


@spoiled("P3 job_1: its weights are not those of an undisturbed run")
def other_weights(run: Run) -> None:
    run.final.tensors[JOB]["output.weight"] = "sha-b"


@spoiled("P3 job_1: a stream repeated itself or went back")
def a_stream_repeats(run: Run) -> None:
    run.records.insert(run.index("Told", number=4), epoch(2.5, 3, 1))


@spoiled("P3 job_1: a stream told epoch 3 after 1")
def a_stream_loses_an_epoch(run: Run) -> None:
    run.records.pop(run.index("Told", number=4))


@spoiled("P3 job_1: a stream told epoch 3 after 3")
def a_stream_is_not_rewound(run: Run) -> None:
    run.records.pop(run.index("Told", number=7))


@spoiled("P3 job_1: a stream rewound to 2, having told 0 epochs")
def a_stream_rewinds_to_what_it_never_told(run: Run) -> None:
    run.records = [
        one for one in run.records if not (isinstance(one, Told) and one.kind == "epoch" and one.number < 7)
    ]


@spoiled("P3 job_1: a stream went on after its end at [12]")
def a_stream_goes_on(run: Run) -> None:
    run.records.append(told(23.0, 13, "status", status="running"))


@spoiled("P3 job_1: a stream that was heard to its end drew another curve")
def a_stream_draws_another_curve(run: Run) -> None:
    run.change("Told", {"number": 10}, data={"epoch": 4, "values": {"val_loss": 7.0}})


@spoiled("P4 job_1: its loss (pool child) was noticed after 9.0 s")
def a_lost_lease_is_noticed_late(run: Run) -> None:
    run.final.attempts[JOB][0]["ended_at"] = 14.0
    run.final.attempts[JOB][1]["started_at"] = 14.5


@spoiled("P4 job_1: ran again 10.5 s after its worker was killed")
def a_job_waits_too_long_for_its_next_worker(run: Run) -> None:
    run.final.attempts[JOB][1]["started_at"] = 15.5


@spoiled("P4 job_1: was lost and never ran again")
def a_job_never_runs_again(run: Run) -> None:
    run.final.attempts[JOB].pop()


@spoiled("P4 job_1: lost 7.0 s of training, 2 epochs")
def more_is_lost_than_the_interval(run: Run) -> None:
    run.change("Told", {"number": 4}, at=2.0)
    run.change("Told", {"number": 5}, at=9.0)
    run.change("Told", {"number": 7}, data={"epoch": 1, "attempt": 2})


@spoiled("P3 job_1: is succeeded, and its webhook is told of []")
def a_webhook_hears_nothing(run: Run) -> None:
    run.final.deliveries[JOB].clear()


@spoiled("P3 job_1: is succeeded, and its webhook is told of ['job.succeeded', 'job.cancelled']")
def a_webhook_hears_of_what_never_was(run: Run) -> None:
    run.final.deliveries[JOB].append(delivery("msg_1", "job.cancelled"))


@spoiled("P3 job_1: a webhook is not told: job.succeeded is pending after 1 attempts")
def a_webhook_is_forgotten(run: Run) -> None:
    run.final.deliveries[JOB][0]["status"] = "pending"


@spoiled("P3 job_1: job.succeeded is called delivered, and never came")
def a_webhook_is_told_in_the_books_only(run: Run) -> None:
    run.records.pop(run.index("Delivered", delivery_id="msg_1"))


@spoiled("P5 job_1: its cancel was acknowledged, and it succeeded")
def a_cancel_is_forgotten(run: Run) -> None:
    run.records.append(answer(15.0, "POST", f"/v1/jobs/{JOB}/cancel", 200, job=job("running")))


@spoiled("P6 job_2: killed 4 workers; 3 is the most")
def poison_is_tried_too_often(run: Run) -> None:
    run.final.attempts[POISON].append(attempt(4, 8, 120.0, 129.0, "lost"))
    run.final.jobs[POISON]["lost"] = 4


@spoiled("P6 job_2: kills whoever trains it, and succeeded")
def poison_succeeds(run: Run) -> None:
    run.final.jobs[POISON]["status"] = "succeeded"


@spoiled("P6 job_1: failed, and nothing is wrong with it")
def somebody_else_is_harmed(run: Run) -> None:
    run.row["status"] = "failed"


@spoiled("P6 job_1: failed, and nothing is wrong with it")
def a_healthy_job_fails_before_its_time(run: Run) -> None:
    """Its workers were lost as often as may be, and only once was that our doing."""
    run.row.update(status="failed", stop_reason="worker_lost", lost=3)


@spoiled("P7 : GET /v1/jobs answered 500: oops")
def an_internal_error(run: Run) -> None:
    run.records.append(answer(6.0, "GET", "/v1/jobs", 500, detail="oops"))


@spoiled("P7 : GET /v1/jobs answered 503:")
def an_outage_without_retry_after(run: Run) -> None:
    run.records.append(answer(6.0, "GET", "/v1/jobs", 503))


@spoiled("P7 : GET /v1/jobs answered 503: locked, and there was no outage")
def an_outage_for_no_reason(run: Run) -> None:
    run.records.append(answer(90.0, "GET", "/v1/jobs", 503, retry_after=True, detail="locked"))


@spoiled("P7 : POST /v1/jobs answered 422: what?")
def a_good_request_is_refused(run: Run) -> None:
    run.records.append(answer(6.0, "POST", "/v1/jobs", 422, detail="what?"))


@pytest.mark.parametrize("name", SPOILED)
def test_a_broken_promise_is_found(name: str) -> None:
    said, spoil = SPOILED[name]
    run = good()
    spoil(run)
    assert any(violation.startswith(said) for violation in run.judged()), run.judged()


def test_every_check_has_found_something() -> None:
    """A check that nothing can make fail checks nothing."""
    silent = set(CHECKS)
    for _, spoil in SPOILED.values():
        run = good()
        spoil(run)
        case = Case(History(run.records), run.final, run.terms, lambda row: UNDISTURBED)
        silent -= {check for check in silent if any(check(case))}
    assert [check.__name__ for check in silent] == []


def test_a_loss_near_an_outage_is_not_held_to_the_time() -> None:
    run = good()
    a_lost_lease_is_noticed_late(run)
    run.records.append(Fault(6.0, 6.0, "database", ""))
    assert run.judged() == []


def test_a_job_that_was_struck_as_often_as_may_be_may_fail() -> None:
    run = good()
    a_healthy_job_fails_before_its_time(run)
    struck = Fault(100.0, 100.0, "pool child", "", [{"job_id": JOB, "attempt": 9, "epoch": 0}])
    run.records += [struck, struck]
    assert not [said for said in run.judged() if said.startswith("P6")]


def test_a_history_can_be_kept_and_judged_again(tmp_path: Path) -> None:
    kept = History(path=tmp_path / "history.jsonl")
    for record in good().records:
        kept.note(record)
    kept.close()
    again = load(tmp_path / "history.jsonl")
    assert again.of(Answer) == History(good().records).of(Answer)
    assert again.of(Told) == History(good().records).of(Told)
    assert again.of(Fault) == History(good().records).of(Fault)
