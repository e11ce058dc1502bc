"""One run: an installation, visitors, faults, and then the question whether every promise was kept.

`everything` first kills a worker while another is free (P4 with all its parts), and stops one until another
has its job. Then visitors come, each aimed fault is tried on a job of its own among theirs, and random ones
follow until the time is up. At last nobody submits any more, every job is seen to its end, and history,
tables and files are judged.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from random import Random, randrange
from typing import Any

import sqlalchemy as sa

from store import tables
from tests.chaos import aimed, faults, final
from tests.chaos.calling import Caller
from tests.chaos.checker import FINAL, Case, Violation, violations
from tests.chaos.history import Answer, Delivered, Fault, History, Told
from tests.chaos.installation import CONFIGURATIONS, Installation, Trainer, eventually, installed
from tests.chaos.specs import HEALTHY, POISON, PREY
from tests.chaos.undisturbed import Trainings
from tests.chaos.visitors import Company
from tests.receivers import Behaviour, Received, receiving, status

PAUSES = (1.5, 4.0)
"""Between two random faults: at least and at most."""
WELL_BEGUN_SECONDS = 90.0
"""How long a prey may take to be trained for a while, to be taken over, or to end."""
AT_WORK_SHARE, AT_WORK_SECONDS = 0.8, 60.0
"""So many of them wait, so long at most, until somebody is at work again; the others strike what recovers."""
END_SECONDS = 240.0
"""How long the last jobs may take to end once the faults are over."""

Say = Callable[[str], None]


@dataclass
class Report:
    """What came of a run."""

    configuration: str
    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    answers: int = 0
    unanswered: int = 0
    streams: int = 0
    deliveries: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    seconds: float = 0.0
    violations: list[Violation] = field(default_factory=list)

    def lines(self) -> Iterable[str]:
        kinds = ", ".join(f"{kind} {times}" for kind, times in sorted(self.faults.items()))
        ends = ", ".join(f"{status} {times}" for status, times in sorted(self.ends.items()))
        yield f"{self.configuration}, seed {self.seed}, {self.seconds:.0f} s"
        yield f"faults injected: {self.faults.total()} ({kinds})"
        yield f"jobs: {self.jobs} ({ends}) in {self.attempts} attempts"
        yield f"answers: {self.answers}, and {self.unanswered} requests without one"
        yield f"events heard from streams: {self.streams}; webhooks understood: {self.deliveries}"
        for violation in self.violations:
            yield f"  {violation}"
        yield f"violations: {len(self.violations)}"


@dataclass
class Campaign:
    """A running installation with its visitors."""

    made: Installation
    history: History
    company: Company
    random: Random
    say: Say
    _preys: int = 0

    def listen(self, url: str) -> None:
        """Have a webhook told of every end."""
        caller = Caller("listener", self.company.addresses, self.history)
        caller.call("POST", "/v1/webhooks", key="listener", document={"url": url})
        caller.close()

    # ── faults ──────────────────────────────────────────────────────────────────────────────────────────────

    def at_random(
        self,
        seconds: float,
        kinds: Iterable[str] | None = None,
        *,
        pauses: tuple[float, float] = PAUSES,
    ) -> None:
        """Faults of chance until the time is up, or one of each of these kinds."""
        until = time.monotonic() + seconds
        for kind in kinds or faults.order(self.random):
            pause = self.random.uniform(*pauses)
            if kinds is None and time.monotonic() + pause > until:
                return
            time.sleep(pause)
            if self.random.random() < AT_WORK_SHARE:
                eventually(self.made.trainers, AT_WORK_SECONDS, pause=0.2)
            self._note(kind, faults.inflict(self.made, kind, self.random))

    def aimed(self) -> None:
        """Each fault that has a place, on a prey of its own."""
        for kind in aimed.AIMED:
            if kind == "in the claim":
                fault = self._in_the_claim(kind)
            else:
                fault = aimed.strike(self.made, kind, self._prey())
            self._note(kind, fault)

    def _in_the_claim(self, kind: str) -> Fault | None:
        """Here the job comes after the lock: whoever claims it, or another, waits."""
        return aimed.strike(self.made, kind, "")

    def poison(self) -> None:
        """One job of each kind that kills its workers, among those of the visitors."""
        for name, spec in POISON.items():
            self._submit(spec, name, priority=1)

    def alone(self) -> None:
        """P4: a job is trained, a worker is free, and the process that trains it is killed."""
        job_id = self._prey()
        trainer = eventually(lambda: self._well_begun(job_id), WELL_BEGUN_SECONDS)
        if trainer is None:
            return
        at = time.time()
        faults.kill(trainer.pid)
        killed = Fault(at, at, "pool child", "a worker is free", [trainer.victim], alone=True)
        self._note(killed.kind, killed)
        self._watch_to_its_end(job_id)

    def overtaken(self) -> None:
        """P3: who trains is stopped until another has the job, and goes on as if it were still its own."""
        job_id = self._prey()
        trainer = eventually(lambda: self._well_begun(job_id), WELL_BEGUN_SECONDS)
        if trainer is None:
            return
        at = time.time()
        with faults.stopped(trainer.pid):
            another = eventually(lambda: self._in_other_hands(job_id, trainer.pid), WELL_BEGUN_SECONDS)
        what = f"process {trainer.pid} went on beside {another.pid}" if another else "nobody took its job"
        self._note("stopped worker", Fault(at, time.time(), "stopped worker", what, [trainer.victim]))
        self._watch_to_its_end(job_id)

    def _in_other_hands(self, job_id: str, pid: int) -> Trainer | None:
        trainer = self.made.trainer_of(job_id)
        return trainer if trainer and trainer.pid != pid else None

    def _watch_to_its_end(self, job_id: str) -> None:
        caller = Caller("onlooker", self.company.addresses, self.history)
        eventually(lambda: _ended(caller, job_id), WELL_BEGUN_SECONDS, pause=0.3)
        caller.close()

    def _well_begun(self, job_id: str) -> Trainer | None:
        trainer = self.made.trainer_of(job_id)
        return trainer if trainer and trainer.epoch >= 40 else None

    def _prey(self) -> str:
        """A job to be struck, ahead of all others."""
        self._preys += 1
        return self._submit(PREY, f"prey-{self._preys}", priority=10)

    def _submit(self, spec: dict[str, Any], key: str, *, priority: int) -> str:
        caller = Caller(f"hunter of {key}", self.company.addresses, self.history)
        document = {**spec, "priority": priority, "metadata": {"key": key}}
        while True:
            answer = caller.call("POST", "/v1/jobs", key=key, document=document)
            if answer.job:
                caller.close()
                return str(answer.job["id"])
            time.sleep(0.2)

    def _note(self, kind: str, fault: Fault | None) -> None:
        if fault is None:
            self.say(f"  {kind}: not struck")
            return
        self.history.note(fault)
        self.say(f"  {kind}: {fault.detail}{_of(fault)}")


def everything(seconds: float) -> Callable[[Campaign], None]:
    """All kinds of faults, and random ones for so long."""

    def attack(under_way: Campaign) -> None:
        under_way.alone()
        under_way.overtaken()
        under_way.company.come()
        under_way.poison()
        under_way.aimed()
        under_way.at_random(seconds)

    return attack


def _of(fault: Fault) -> str:
    struck = [f"{one['job_id'][-6:]} at epoch {one['epoch']}" for one in fault.victims]
    return f", which trained …{', …'.join(struck)}" if struck else ""


def _ended(caller: Caller, job_id: str) -> bool:
    job = caller.call("GET", f"/v1/jobs/{job_id}").job
    return job is not None and job["status"] in FINAL


def run(
    configuration: str,
    folder: Path,
    *,
    seed: int,
    say: Say,
    attack: Callable[[Campaign], None],
    visitors: int = 5,
    specs: Sequence[dict[str, Any]] = tuple(HEALTHY.values()),
    trainings: Trainings | None = None,
) -> Report:
    """The whole of it; `attack` has the visitors come and says which faults there are."""
    began = time.monotonic()
    history = History(path=folder / "history.jsonl")
    with installed(configuration, folder) as made, receiving(_listener(history)) as receiver:
        say(f"{configuration}: {', '.join(made.parts)} are up; seed {seed}; history in {folder}")
        company = Company(list(made.apis.values()), history, seed=seed, visitors=visitors, specs=specs)
        campaign = Campaign(made, history, company, Random(seed), say)
        campaign.listen(receiver.url)
        attack(campaign)
        say("  no more faults; every job is seen to its end")
        company.leave(END_SECONDS)
        _see_to_the_end(made, tables.jobs.c.status.not_in(FINAL))
        _see_to_the_end(made, tables.deliveries.c.status == "pending")
        left = final.take(made.database, made.files)
        final.keep(left, folder / "final.json")
        terms = made.terms
    known = trainings or Trainings()
    case = Case(history, left, terms, lambda row: known.of(row["spec"], row["dataset"]))
    found = violations(case)
    history.close()
    return _report(configuration, seed, history, left, found, time.monotonic() - began)


def _see_to_the_end(made: Installation, unfinished: sa.ColumnElement[bool]) -> None:
    """Wait until none is left, also of what nobody watches, such as preys and jobs whose 202 was lost."""

    def all_ended() -> bool:
        with made.database.reading() as tx:
            return tx.execute(sa.select(sa.func.count()).where(unfinished)).scalar() == 0

    eventually(all_ended, END_SECONDS, pause=0.2)


def _listener(history: History) -> Behaviour:
    """A receiver that fails every third time, and notes what it has understood."""
    count = itertools.count(1)

    def behave(handler: BaseHTTPRequestHandler, received: Received) -> None:
        understood = next(count) % 3 != 0
        if understood:
            told = json.loads(received.body)
            headers = {name.lower(): value for name, value in received.headers.items()}
            history.note(Delivered(time.time(), headers["webhook-id"], told["type"], told["data"]["id"]))
        status(204 if understood else 500)(handler, received)

    return behave


def _report(
    configuration: str, seed: int, history: History, left: final.Final, found: list[Violation], seconds: float
) -> Report:
    answers = history.of(Answer)
    return Report(
        configuration,
        seed,
        faults=Counter(fault.kind for fault in history.of(Fault)),
        jobs=len(left.jobs),
        answers=sum(answer.status is not None for answer in answers),
        unanswered=sum(answer.status is None for answer in answers),
        streams=len(history.of(Told)),
        deliveries=len(history.of(Delivered)),
        ends=Counter(row["status"] for row in left.jobs.values()),
        attempts=sum(row["attempt"] for row in left.jobs.values()),
        seconds=seconds,
        violations=found,
    )


def main(arguments: list[str]) -> int:
    """Run it on one configuration or on both; 1 if any promise was broken."""
    chosen = _parser().parse_args(arguments)
    configurations = CONFIGURATIONS if chosen.configuration == "both" else (chosen.configuration,)
    seed = randrange(10**6) if chosen.seed is None else chosen.seed
    trainings = Trainings()
    broken = 0
    for configuration in configurations:
        report = run(
            configuration,
            Path(tempfile.mkdtemp(prefix=f"ridgeline chaos {configuration} ")),
            seed=seed,
            say=_say,
            attack=everything(chosen.seconds),
            visitors=chosen.visitors,
            trainings=trainings,
        )
        _say("\n".join(report.lines()))
        broken += len(report.violations)
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--configuration", choices=(*CONFIGURATIONS, "both"), default="both")
    parser.add_argument("--seconds", type=float, default=120.0, help="of random faults (120)")
    parser.add_argument("--seed", type=int, help="what is drawn by chance; printed")
    parser.add_argument("--visitors", type=int, default=5, help="people with a job each (5)")
    parser.epilog = "or: ./run chaos mutants | load | soak | fuzz, each with --help of its own"
    return parser


def _say(line: str) -> None:
    print(line, flush=True)
