"""Were the promises kept? Pure functions over what people saw (`history`) and what was left behind (`final`).

Each check is a generator of violations and knows nothing of processes, servers or time: a history that was
written by hand can be judged as well as one of a real run, which is how the checker itself is tested.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.chaos.final import Final, Row
from tests.chaos.history import Answer, Delivered, Fault, History, Told
from tests.chaos.undisturbed import NOT_REPEATED, Undisturbed

FINAL = ("succeeded", "failed", "cancelled")
BY_ITSELF = ("max_epochs", "early_stopping", "converged")
"""Training that ended so was trained to its end, and must have come to what it always comes to."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was not kept."""

    promise: str
    job_id: str | None
    detail: str

    def __str__(self) -> str:
        return f"{self.promise} {self.job_id or ''}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the installation was set to, and how much longer things may take on a busy machine."""

    lease_seconds: float
    reconcile_seconds: float
    backoff_seconds: float
    checkpoint_seconds: float
    max_attempts: int
    allowance_seconds: float
    """For processes to start, transactions to commit and epochs to end: stated, and printed with a run."""
    poison: frozenset[str] = frozenset()
    """Names of jobs that kill whoever trains them."""

    @property
    def requeued_within(self) -> float:
        """A lost lease is noticed so soon."""
        return self.lease_seconds + self.reconcile_seconds + self.allowance_seconds

    @property
    def running_within(self) -> float:
        """P4: a job whose worker was killed runs again so soon, where a worker is free."""
        return self.requeued_within + self.backoff_seconds


@dataclass(frozen=True, slots=True)
class Case:
    """All that there is to judge."""

    history: History
    final: Final
    terms: Terms
    undisturbed: Callable[[Row], Undisturbed]
    """What becomes of a job's spec when nobody disturbs it."""


def violations(case: Case) -> list[Violation]:
    """Every promise, in order; empty where all were kept."""
    return [violation for check in CHECKS for violation in check(case)]


# ── P1 ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _accepted(case: Case) -> dict[str, Answer]:
    """Job id → the answer that accepted it first."""
    found: dict[str, Answer] = {}
    for answer in _answers(case):
        if (
            (answer.method, answer.path) == ("POST", "/v1/jobs")
            and answer.status in (201, 202)
            and answer.job
        ):
            found.setdefault(answer.job["id"], answer)
    return found


def _answers(case: Case) -> list[Answer]:
    return sorted(case.history.of(Answer), key=lambda answer: answer.heard_at)


def accepted_jobs_are_rows(case: Case) -> Iterator[Violation]:
    """P1: what was answered with 202 is committed, and stays."""
    accepted = _accepted(case)
    for job_id in accepted.keys() - case.final.jobs.keys():
        yield Violation("P1", job_id, "was accepted, and there is no such row")
    for answer in _answers(case):
        asked = answer.path.split("/")[3] if answer.path.startswith("/v1/jobs/job_") else None
        if asked in accepted and answer.status == 404 and answer.sent_at > accepted[asked].heard_at:
            yield Violation("P1", asked, f"was accepted, and {answer.method} {answer.path} answered 404")


def repeating_creates_once(case: Case) -> Iterator[Violation]:
    """P1: one `Idempotency-Key` is one job, however often it had to be sent."""
    by_key: dict[str, set[str]] = defaultdict(set)
    for answer in _answers(case):
        if answer.key and answer.status in (201, 202) and answer.job:
            by_key[answer.key].add(answer.job["id"])
    for key, ids in by_key.items():
        if len(ids) > 1:
            yield Violation("P1", min(ids), f"key {key} made {len(ids)} jobs: {sorted(ids)}")
    made = Counter(row["metadata"]["key"] for row in case.final.jobs.values() if "key" in row["metadata"])
    for key, times in made.items():
        if times > 1:
            yield Violation("P1", None, f"key {key} is in {times} rows")


# ── P2 ──────────────────────────────────────────────────────────────────────────────────────────────────────


def every_job_ends_once(case: Case) -> Iterator[Violation]:
    """P2: each job, also one whose 202 was lost, has exactly one final status in its row and in its log."""
    for job_id, row in case.final.jobs.items():
        if row["status"] not in FINAL:
            detail = f"never ended: {row['status']}, attempt {row['attempt']}, epoch {row['epoch']}"
            yield Violation("P2", job_id, detail)
            continue
        told = [event["data"]["status"] for event in case.final.events.get(job_id, ()) if _is_final(event)]
        if told != [row["status"]]:
            yield Violation("P2", job_id, f"is {row['status']}, and its log told of {told}")
        ends = [event["number"] for event in case.final.events.get(job_id, ()) if event["kind"] == "end"]
        if ends != [row["last_event"]]:
            yield Violation("P2", job_id, f"its log ends at {row['last_event']}, with `end` at {ends}")
        if any(attempt["ended_at"] is None for attempt in case.final.attempts.get(job_id, ())):
            yield Violation("P2", job_id, "has ended, and one of its attempts has not")


def _is_final(event: Row) -> bool:
    return event["kind"] == "status" and event["data"]["status"] in FINAL


def a_final_status_never_changes(case: Case) -> Iterator[Violation]:
    """P2: whatever was once answered as final is what every later answer says, and the row."""
    first: dict[str, tuple[float, dict[str, Any]]] = {}
    for answer in _answers(case):
        if not answer.job or answer.status == 202:
            continue  # a replayed 202 tells of the job as it was accepted
        known = first.get(answer.job["id"])
        if known and answer.sent_at >= known[0] and _end_of(answer.job) != _end_of(known[1]):
            said = f"was {known[1]['status']} once, and {answer.job['status']} later"
            yield Violation("P2", answer.job["id"], f"{said} ({answer.method} {answer.path})")
        if answer.job["status"] in FINAL and not known:
            first[answer.job["id"]] = (answer.heard_at, answer.job)
    for job_id, (_, job) in first.items():
        row = case.final.jobs.get(job_id)
        if row and (row["status"], row["stop_reason"]) != (job["status"], job["stop_reason"]):
            yield Violation("P2", job_id, f"was {job['status']} once, and its row says {row['status']}")


def _end_of(job: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(job.get(name) for name in ("status", "stop_reason", "finished_at"))


# ── P3 ──────────────────────────────────────────────────────────────────────────────────────────────────────


def curves_are_whole(case: Case) -> Iterator[Violation]:
    """P3: epochs from 1 on, each once, none missing; no number is given twice; rewound where said."""
    for job_id, row in case.final.jobs.items():
        points, events = case.final.points.get(job_id, []), case.final.events.get(job_id, [])
        epochs = [point["epoch"] for point in points]
        if epochs != list(range(1, len(epochs) + 1)):
            yield Violation("P3", job_id, f"its epochs are {_short(epochs)}")
        if epochs and row["epoch"] != epochs[-1]:
            yield Violation("P3", job_id, f"is at epoch {row['epoch']}, its curve at {epochs[-1]}")
        numbers = Counter([point["event"] for point in points] + [event["number"] for event in events])
        if twice := sorted(number for number, times in numbers.items() if times > 1):
            yield Violation("P3", job_id, f"events {_short(twice)} are there twice")
        if [point["event"] for point in points] != sorted(point["event"] for point in points):
            yield Violation("P3", job_id, "its epochs were told in another order than they are counted")
        for event in events:
            if event["kind"] == "rewound":
                yield from _rewound(job_id, event, points)


def _rewound(job_id: str, event: Row, points: list[Row]) -> Iterator[Violation]:
    kept = event["data"]["epoch"]
    for point in points:
        if point["epoch"] > kept and point["event"] < event["number"]:
            yield Violation("P3", job_id, f"epoch {point['epoch']} outlived a rewind to {kept}")
            return


def one_result(case: Case) -> Iterator[Violation]:
    """P3: who succeeded has one result and one weights file, and one attempt at a time trained it."""
    for job_id, row in case.final.jobs.items():
        weights, points = case.final.weights.get(job_id, []), case.final.points.get(job_id, [])
        if row["status"] == "succeeded":
            if len(weights) != 1:
                yield Violation("P3", job_id, f"succeeded with {len(weights)} sets of weights")
            if not row["result"] or row["result"]["last_epoch"] != len(points):
                last = (row["result"] or {}).get("last_epoch")
                yield Violation("P3", job_id, f"its result is of epoch {last}, its curve has {len(points)}")
        attempts = case.final.attempts.get(job_id, [])
        if [attempt["number"] for attempt in attempts] != list(range(1, row["attempt"] + 1)):
            yield Violation("P3", job_id, f"of {row['attempt']} attempts, {len(attempts)} are recorded")
        for earlier, later in pairwise(attempts):
            if later["fence"] <= earlier["fence"]:
                yield Violation("P3", job_id, f"attempt {later['number']} did not raise the fence")
            if earlier["ended_at"] is None or earlier["ended_at"] > later["started_at"]:
                yield Violation("P3", job_id, f"attempts {earlier['number']} and {later['number']} overlap")
        if [attempt["outcome"] for attempt in attempts].count("succeeded") > 1:
            yield Violation("P3", job_id, "succeeded twice")


def files_are_there(case: Case) -> Iterator[Violation]:
    """P3: every file that a row points to is there, byte for byte."""
    for kept in case.final.files:
        if kept.found is None:
            yield Violation("P3", kept.job_id, f"a row points to {kept.key}, which is not there")
        elif kept.found != kept.promised:
            yield Violation("P3", kept.job_id, f"{kept.key} is not what was stored")


def the_same_as_undisturbed(case: Case) -> Iterator[Violation]:
    """P3: what was killed over and over ends, bit for bit, as what nobody touched."""
    for job_id, row in case.final.jobs.items():
        if row["spec"].get("name") in case.terms.poison or row["status"] not in FINAL:
            continue
        points = case.final.points.get(job_id, [])
        if not points and row["stop_reason"] not in BY_ITSELF:
            continue
        expected = case.undisturbed(row)
        # A finish cuts the running epoch short: how much of it was done is a matter of moments.
        whole = points[:-1] if row["stop_reason"] in ("finished", "max_runtime") else points
        for point, values in zip(whole, expected.epochs, strict=False):
            if differing := _differing(point["values"], values):
                detail = f"epoch {point['epoch']} is not that of an undisturbed run: {', '.join(differing)}"
                yield Violation("P3", job_id, detail)
                break
        if row["stop_reason"] in BY_ITSELF:
            yield from _same_end(case, row, expected)


def _same_end(case: Case, row: Row, expected: Undisturbed) -> Iterator[Violation]:
    job_id, epochs = row["id"], len(case.final.points.get(row["id"], ()))
    if (row["stop_reason"], epochs) != (expected.stop_reason, len(expected.epochs)):
        detail = (
            f"ended after {epochs} epochs ({row['stop_reason']}), undisturbed after {len(expected.epochs)}"
        )
        yield Violation("P3", job_id, detail)
    if row["result"] != json.loads(json.dumps(expected.result)):
        yield Violation("P3", job_id, "its result is not that of an undisturbed run")
    if case.final.tensors.get(job_id) != expected.tensors:
        yield Violation("P3", job_id, "its weights are not those of an undisturbed run, byte for byte")


def _differing(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    names = (found.keys() | expected.keys()) - {NOT_REPEATED}
    return sorted(name for name in names if found.get(name) != expected.get(name))


def streams_tell_all_once(case: Case) -> Iterator[Violation]:
    """P3: who follows a stream, however often it is cut, hears each event once and ends with the curve."""
    followed: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for told in case.history.of(Told):
        followed[told.client, told.job_id].append(told)
    for (_, job_id), events in followed.items():
        numbers = [event.number for event in events]
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            yield Violation("P3", job_id, f"a stream repeated itself or went back: {_short(numbers)}")
        yield from _folded(case, job_id, events)


def _folded(case: Case, job_id: str, events: list[Told]) -> Iterator[Violation]:
    """The curve as somebody would draw it who hears only the stream."""
    drawn: list[dict[str, Any]] = []
    for event in events:
        if event.kind == "epoch":
            if event.data["epoch"] != len(drawn) + 1:
                yield Violation("P3", job_id, f"a stream told epoch {event.data['epoch']} after {len(drawn)}")
                return
            drawn.append(event.data["values"])
        elif event.kind == "rewound":
            if event.data["epoch"] > len(drawn):
                detail = f"a stream rewound to {event.data['epoch']}, having told {len(drawn)} epochs"
                yield Violation("P3", job_id, detail)
                return
            del drawn[event.data["epoch"] :]
    ends = [event.number for event in events if event.kind == "end"]
    if ends and ends != [events[-1].number]:
        yield Violation("P3", job_id, f"a stream went on after its end at {ends}")
    elif ends and drawn != [point["values"] for point in case.final.points.get(job_id, ())]:
        yield Violation("P3", job_id, "a stream that was heard to its end drew another curve")


# ── P4 ──────────────────────────────────────────────────────────────────────────────────────────────────────

UNSETTLING = ("reconciler", "database", "everything", "stopped worker")
"""While these are done nobody may be there to notice a lost lease."""


def lost_jobs_run_again_in_time(case: Case) -> Iterator[Violation]:
    """P4: a lost lease is noticed in time; where nothing else is done, the job also runs again in time."""
    faults = case.history.of(Fault)
    for fault in faults:
        if fault.kind in UNSETTLING or _unsettled(case, fault, faults):
            continue
        for victim in fault.victims:
            attempts = case.final.attempts.get(victim["job_id"], [])
            lost = next((one for one in attempts if one["number"] == victim["attempt"]), None)
            if lost is None or lost["outcome"] != "lost":
                continue  # it had ended before it was struck
            if (took := lost["ended_at"] - fault.at) > case.terms.requeued_within:
                detail = f"its loss ({fault.kind}) was noticed after {took:.1f} s"
                yield Violation("P4", victim["job_id"], detail)
            if fault.alone:
                yield from _again(case, fault, victim, attempts)


def _again(case: Case, fault: Fault, victim: Row, attempts: list[Row]) -> Iterator[Violation]:
    following = next((one for one in attempts if one["number"] == victim["attempt"] + 1), None)
    if following is None:
        if case.final.jobs[victim["job_id"]]["status"] != "cancelled":
            yield Violation("P4", victim["job_id"], "was lost and never ran again")
    elif (took := following["started_at"] - fault.at) > case.terms.running_within:
        yield Violation("P4", victim["job_id"], f"ran again {took:.1f} s after its worker was killed")


def _unsettled(case: Case, fault: Fault, faults: list[Fault]) -> bool:
    """Whether something else, a little before or after, may have kept it from being noticed."""
    since, until = fault.at - case.terms.running_within, fault.at + case.terms.requeued_within
    return any(other.kind in UNSETTLING and since < other.until and other.at < until for other in faults)


def little_is_lost(case: Case) -> Iterator[Violation]:
    """P4: a rewind takes back at most the checkpoint interval, as the times in the streams say."""
    faults = [fault for fault in case.history.of(Fault) if fault.kind in UNSETTLING]
    followed: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for told in case.history.of(Told):
        followed[told.client, told.job_id].append(told)
    most = case.terms.checkpoint_seconds + case.terms.allowance_seconds
    for (_, job_id), events in followed.items():
        for index, event in enumerate(events):
            if event.kind != "rewound":
                continue
            lost = _taken_back(events[:index], event.data["epoch"])
            span = lost[-1].at - lost[0].at if lost else 0.0
            near = [
                one
                for one in faults
                if lost and one.at - most < lost[-1].at and one.until > lost[0].at - most
            ]
            if span > most and not near:
                yield Violation("P4", job_id, f"lost {span:.1f} s of training, {len(lost)} epochs")


def _near(fault: Fault, lost: list[Told], seconds: float) -> bool:
    """Whether it was done while these epochs were trained, or shortly before or after."""
    return fault.at - seconds < lost[-1].at and fault.until > lost[0].at - seconds


def _taken_back(before: list[Told], kept: int) -> list[Told]:
    """The epochs of the last attempt that lie behind the one that a rewind kept."""
    last: list[Told] = []
    for event in before:
        if event.kind == "rewound":
            last = []
        elif event.kind == "epoch" and event.data["epoch"] > kept:
            last.append(event)
    return last


# ── webhooks, P5 to P7 ──────────────────────────────────────────────────────────────────────────────────────


def webhooks_hear_of_every_end(case: Case) -> Iterator[Violation]:
    """P3: the outbox holds one delivery of each end, and of no other; what it calls delivered has arrived."""
    if not any(answer.path == "/v1/webhooks" and answer.status == 201 for answer in _answers(case)):
        return  # nobody listens
    arrived = {delivered.delivery_id for delivered in case.history.of(Delivered)}
    for job_id, row in case.final.jobs.items():
        told = case.final.deliveries.get(job_id, [])
        ends = [each["event"] for each in told if each["event"].removeprefix("job.") in FINAL]
        if row["status"] in FINAL and ends != [f"job.{row['status']}"]:
            yield Violation("P3", job_id, f"is {row['status']}, and its webhook is told of {ends}")
        for each in told:
            if each["status"] != "delivered":
                detail = f"{each['event']} is {each['status']} after {each['attempts']} attempts"
                yield Violation("P3", job_id, f"a webhook is not told: {detail}")
            elif each["id"] not in arrived:
                yield Violation("P3", job_id, f"{each['event']} is called delivered, and never came")


def an_acknowledged_cancel_holds(case: Case) -> Iterator[Violation]:
    """P5: never followed by `succeeded`."""
    asked = [answer for answer in _answers(case) if answer.path.endswith("/cancel") and answer.status == 200]
    for job_id in {answer.path.split("/")[3] for answer in asked}:
        row = case.final.jobs.get(job_id)
        if row and row["status"] == "succeeded":
            yield Violation("P5", job_id, "its cancel was acknowledged, and it succeeded")


def poison_harms_nobody_else(case: Case) -> Iterator[Violation]:
    """P6: what kills its workers is tried so often and fails; nothing else fails."""
    for job_id, row in case.final.jobs.items():
        lost = [one["outcome"] for one in case.final.attempts.get(job_id, ())].count("lost")
        if row["spec"].get("name") in case.terms.poison:
            # Losses with others, and those behind a newer checkpoint, count only so far, and not for ever.
            most = case.terms.max_attempts
            if row["lost"] > most or lost > 3 * most:
                yield Violation("P6", job_id, f"killed {lost} workers; {most} is the most")
            if row["status"] == "succeeded":
                yield Violation("P6", job_id, "kills whoever trains it, and succeeded")
        elif row["status"] == "failed" and not _struck_too_often(case, row):
            yield Violation("P6", job_id, f"failed, and nothing is wrong with it: {row['stop_detail']}")


def _struck_too_often(case: Case, row: Row) -> bool:
    """A job whose trainers were killed so often before a checkpoint looks like poison, and fails like it."""
    faults = [fault for fault in case.history.of(Fault) if _struck(fault, row["id"])]
    lost_it_all = row["stop_reason"] == "worker_lost" and row["lost"] >= case.terms.max_attempts
    return lost_it_all and len(faults) >= case.terms.max_attempts


def _struck(fault: Fault, job_id: str) -> bool:
    return any(victim["job_id"] == job_id for victim in fault.victims)


OUTAGES = ("database", "everything", "stopped worker")
"""After these the database may be away, or locked by who was stopped in mid-write, as it is by aimed ones."""
AIMED = ("in the claim", "checkpoint before its commit", "result before its commit")
OUTAGE_SECONDS = 30.0
"""How long it may take until all is well again."""


def outages_are_told_as_such(case: Case) -> Iterator[Violation]:
    """P7: no 5xx but 503 and 507 with `Retry-After`, in an outage; nothing good is refused as wrong."""
    outages = [fault for fault in case.history.of(Fault) if fault.kind in OUTAGES + AIMED]
    for answer in _answers(case):
        if answer.path == "/readyz" or answer.status is None or answer.status < 400:
            continue
        said = f"{answer.method} {answer.path} answered {answer.status}: {answer.detail}"
        if not (_tells_of_an_outage(answer) if answer.status >= 500 else answer.status in (404, 409)):
            yield Violation("P7", None, said)
        elif answer.status >= 500 and not any(_in(fault, answer) for fault in outages):
            yield Violation("P7", None, f"{said}, and there was no outage")


def _tells_of_an_outage(answer: Answer) -> bool:
    return answer.status in (503, 507) and answer.retry_after


def _in(outage: Fault, answer: Answer) -> bool:
    return outage.at - OUTAGE_SECONDS < answer.heard_at and answer.sent_at < outage.until + OUTAGE_SECONDS


def _short(numbers: list[int]) -> str:
    text = ", ".join(map(str, numbers[:12]))
    return f"{text}, … ({len(numbers)})" if len(numbers) > 12 else text


CHECKS: tuple[Callable[[Case], Iterator[Violation]], ...] = (
    accepted_jobs_are_rows,
    repeating_creates_once,
    every_job_ends_once,
    a_final_status_never_changes,
    curves_are_whole,
    one_result,
    files_are_there,
    the_same_as_undisturbed,
    streams_tell_all_once,
    lost_jobs_run_again_in_time,
    little_is_lost,
    webhooks_hear_of_every_end,
    an_acknowledged_cancel_holds,
    poison_harms_nobody_else,
    outages_are_told_as_such,
)
