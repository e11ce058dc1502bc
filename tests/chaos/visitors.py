"""People: they submit, watch, cancel, finish, pause and resume at any moment, and insist on an answer.

What each of them does is drawn from a seed; when it happens to a job is up to the machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.chaos.calling import PAUSE_SECONDS, Caller
from tests.chaos.checker import FINAL
from tests.chaos.history import Answer, History
from tests.chaos.specs import HEALTHY, POISON

PLANS = ("watch", "watch", "watch", "cancel", "finish", "pause", "pause", "pause and cancel")
"""What somebody does with a job; most only watch."""
LONGEST_WAIT = 5.0
"""Before somebody does something to his job."""
POISON_SHARE = 0.06
LAST_WORDS_SECONDS = 20.0
"""A request that is under way when all is over may take this long."""


class Company:
    """All visitors of a run."""

    def __init__(
        self,
        addresses: list[str],
        history: History,
        *,
        seed: int,
        visitors: int,
        specs: Sequence[dict[str, Any]] = tuple(HEALTHY.values()),
    ) -> None:
        self.specs = specs
        self.history = history
        self.addresses = addresses
        self.leaving = threading.Event()
        """No new jobs; those at hand are seen to their ends."""
        self.over = threading.Event()
        """Enough: whoever still waits gives up."""
        self._threads = [
            threading.Thread(target=Visitor(self, f"visitor-{number}", seed).stay, daemon=True)
            for number in range(visitors)
        ]
        self._prober = threading.Thread(target=self._probe, daemon=True)

    def come(self) -> None:
        for thread in (*self._threads, self._prober):
            thread.start()

    def leave(self, seconds: float) -> bool:
        """See every job to its end; False where that takes longer than it may."""
        self.leaving.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        in_time = not any(thread.is_alive() for thread in self._threads)
        self.over.set()
        for thread in (*self._threads, self._prober):
            thread.join(LAST_WORDS_SECONDS)
        return in_time

    def _probe(self) -> None:
        """Somebody looks at the service itself all the time."""
        caller = Caller("prober", self.addresses, self.history)
        while not self.over.wait(0.5):
            caller.call("GET", "/readyz")
            caller.call("GET", "/v1/jobs?limit=5")
        caller.close()


class Visitor:
    """Has one job at a time."""

    def __init__(self, company: Company, name: str, seed: int) -> None:
        self._company = company
        self._random = Random(f"{seed} {name}")
        self._caller = Caller(name, company.addresses, company.history)
        self._name, self._prefix = name, f"{seed}-{name}"

    def stay(self) -> None:
        number = 0
        while not self._company.leaving.is_set():
            number += 1
            self._have_a_job(number)
        self._caller.close()

    def _have_a_job(self, number: int) -> None:
        poisonous = self._random.random() < POISON_SHARE
        spec = self._random.choice(list(POISON.values()) if poisonous else self._company.specs)
        plan = "watch" if poisonous else self._random.choice(PLANS)
        waits = [self._random.uniform(0, LONGEST_WAIT) for _ in range(2)]
        job_id = self.submit(spec, f"{self._prefix}-{number}", priority=self._random.choice((0, 0, 1)))
        if job_id is None:
            return
        following = threading.Thread(target=self._follow, args=(job_id, number), daemon=True)
        following.start()
        self._act(plan, job_id, waits)
        self._until_final(job_id)
        while following.is_alive() and not self._company.over.is_set():
            following.join(PAUSE_SECONDS)

    def submit(self, spec: dict[str, Any], key: str, *, priority: int = 0) -> str | None:
        """Send it until it is accepted; None where all is over before that."""
        document = {**spec, "priority": priority, "metadata": {"key": key}}
        while not self._company.over.is_set():
            answer = self._caller.call("POST", "/v1/jobs", key=key, document=document)
            if answer.status in (201, 202) and answer.job:
                return str(answer.job["id"])
            self._company.over.wait(PAUSE_SECONDS)
        return None

    def _act(self, plan: str, job_id: str, waits: list[float]) -> None:
        if plan == "watch":
            return
        self._look_on(job_id, waits[0])
        if plan in ("cancel", "finish", "pause"):
            self._ask(job_id, plan)
        else:
            self._ask(job_id, "pause")
        if plan == "pause":
            self._look_on(job_id, waits[1])
            self._ask(job_id, "resume")
        elif plan == "pause and cancel":
            self._look_on(job_id, waits[1])
            self._ask(job_id, "cancel")

    def _ask(self, job_id: str, action: str) -> Answer | None:
        """Ask until there is an answer that says what became of it."""
        while not self._company.over.is_set():
            answer = self._caller.call("POST", f"/v1/jobs/{job_id}/{action}")
            if answer.status is not None and answer.status < 500:
                return answer
            self._company.over.wait(PAUSE_SECONDS)
        return None

    def _look_on(self, job_id: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._company.over.is_set():
            self._caller.call("GET", f"/v1/jobs/{job_id}")
            self._company.over.wait(min(left, 0.4))

    def _until_final(self, job_id: str) -> None:
        """Whoever paused a job and lost sight of it resumes it."""
        while not self._company.over.is_set():
            answer = self._caller.call("GET", f"/v1/jobs/{job_id}?wait=2")
            if answer.job and answer.job["status"] in FINAL:
                return
            if answer.job and answer.job["status"] == "paused":
                self._ask(job_id, "resume")
            self._company.over.wait(PAUSE_SECONDS)

    def _follow(self, job_id: str, number: int) -> None:
        """The stream to its end, taken up again wherever it is cut."""
        caller = Caller(f"{self._name}-stream-{number}", self._company.addresses, self._company.history)
        after, ended = 0, False
        while not ended and not self._company.over.is_set():
            for told in caller.follow(job_id, after):
                after, ended = told.number, told.kind == "end"
                if self._company.over.is_set():
                    break
            ended = ended or caller.nothing_more
            self._company.over.wait(0 if ended else PAUSE_SECONDS)
        caller.close()
