"""Webhooks on their way: a thread beside the reconciler that sends what lies in the outbox.

A slow receiver holds up neither the reconciler nor other receivers: each delivery has a thread of its own,
of which there are only so many, and every webhook and every project may have only some of them. What was sent
and could not be noted down, because this process died or the database was away, is sent again under the same
id.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog
from standardwebhooks import Webhook

from store import dispatch, outbox, webhooks
from store.dispatch import Claimed, Waiting
from store.session import Database
from store.settings import Settings
from worker.outbound import Outbound, OutboundError, Receipt

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
"""How often the outbox is looked into while nothing happens."""
SLOTS: Final = 16
"""Deliveries on their way at the same time."""
SLOTS_OF_A_PROJECT: Final = 8
SLOTS_OF_A_WEBHOOK: Final = 4
"""Of one whose last delivery was taken; another gets one at a time until it is well again."""
GRACE_SECONDS: Final = 15.0
"""A claim outlives the longest delivery by so much: time to note down what came of it."""
JITTER: Final = 0.2
"""Pauses are this much shorter or longer, so that what failed together does not come back together."""
GONE: Final = 410
_AGAIN_SECONDS: Final = 0.5


class Post(Protocol):
    """What is needed of whoever sends: a receipt, or an `OutboundError`."""

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> Receipt: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a delivery."""

    detail: str = ""
    response_status: int | None = None
    retry_after_seconds: float | None = None

    @property
    def taken(self) -> bool:
        return self.response_status is not None and 200 <= self.response_status < 300


class Slots:
    """Who may have how many deliveries on their way, and whose turn it is."""

    def __init__(self) -> None:
        self._webhooks: Counter[str] = Counter()
        self._projects: Counter[str] = Counter()
        self._failing: set[str] = set()
        self._served: dict[str, int] = {}
        self._turn = 0

    def free(self, waiting: Waiting) -> int:
        """How many more this webhook may have now."""
        most = 1 if waiting.webhook_id in self._failing else SLOTS_OF_A_WEBHOOK
        return max(
            0,
            min(
                most - self._webhooks[waiting.webhook_id],
                SLOTS_OF_A_PROJECT - self._projects[waiting.project_id],
                SLOTS - self._webhooks.total(),
            ),
        )

    def in_turn(self, waiting: Iterable[Waiting]) -> list[Waiting]:
        """Those first that were served longest ago, and one behind the other."""
        found = list(waiting)
        known = {each.webhook_id for each in found} | {*self._webhooks} | self._failing
        self._served = {webhook: turn for webhook, turn in self._served.items() if webhook in known}
        return sorted(found, key=lambda each: self._served.get(each.webhook_id, 0))

    def take(self, claimed: Claimed) -> None:
        """One is on its way."""
        self._turn += 1
        self._served[claimed.webhook_id] = self._turn
        self._webhooks[claimed.webhook_id] += 1
        self._projects[claimed.project_id] += 1

    def give_back(self, claimed: Claimed, *, taken: bool) -> None:
        """It has arrived, or not."""
        for counter, key in ((self._webhooks, claimed.webhook_id), (self._projects, claimed.project_id)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]
        (self._failing.discard if taken else self._failing.add)(claimed.webhook_id)

    @property
    def empty(self) -> bool:
        return not self._webhooks


class Deliverer:
    """Sends until it is stopped. Any number may run, in as many processes: a delivery is claimed by one."""

    def __init__(self, database: Database, settings: Settings, *, post: Post | None = None) -> None:
        self._database = database
        self._pauses = settings.webhook_pauses
        self._lease_seconds = settings.webhook_seconds + GRACE_SECONDS
        self._stop_seconds = min(settings.webhook_seconds, settings.drain_seconds / 2)
        outbound = Outbound(seconds=settings.webhook_seconds, private_hosts=settings.private_hosts)
        self._post: Post = post or outbound.post
        self._slots = Slots()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Condition(self._lock)
        self._stopping = False
        self._reachable = True
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more, and wait a little for what is on its way, so that it need not go again."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(self._stop_seconds)
        with self._idle:
            self._idle.wait_for(lambda: self._slots.empty, self._stop_seconds)

    def look(self) -> None:
        """Send on their way as many as may go, each webhook in its turn."""
        with self._database.reading() as tx:
            waiting = dispatch.waiting(tx)
        with self._lock:
            waiting = self._slots.in_turn(waiting)
        for each in waiting:
            for claimed in self._claim(each):
                with self._lock:
                    self._slots.take(claimed)
                threading.Thread(target=self._deliver, args=(claimed,), name="delivery", daemon=True).start()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                self.look()
                self._reachable = True
            except Exception as error:
                self._note_outage(error)
                self._wake.clear()
            self._wake.wait(LOOK_SECONDS)

    def _claim(self, waiting: Waiting) -> list[Claimed]:
        with self._lock:
            free = self._slots.free(waiting)
        if not free or self._stopping:
            return []
        with self._database.writing() as tx:
            return dispatch.claim(tx, waiting.webhook_id, limit=free, lease_seconds=self._lease_seconds)

    def _deliver(self, claimed: Claimed) -> None:
        outcome = Outcome()
        until = time.monotonic() + self._lease_seconds
        try:
            outcome = self._sent(claimed)
            self._note(claimed, outcome, until)
        except Exception:
            log.exception("what came of a webhook could not be noted: it is sent again", **_named(claimed))
        finally:
            with self._idle:
                self._slots.give_back(claimed, taken=outcome.taken)
                self._idle.notify_all()
            self._wake.set()

    def _sent(self, claimed: Claimed) -> Outcome:
        body = claimed.payload.encode()
        try:
            receipt = self._post(claimed.url, body, headers(claimed, datetime.now(UTC)))
        except OutboundError as error:
            return Outcome(str(error))
        except Exception:
            log.exception("a webhook could not be sent", **_named(claimed))
            return Outcome("something went wrong on our side")
        redirected = "; redirects are not followed" if 300 <= receipt.status < 400 else ""
        return Outcome(
            f"the receiver answered {receipt.status}{redirected}", receipt.status, receipt.retry_after_seconds
        )

    def _note(self, claimed: Claimed, outcome: Outcome, until: float) -> None:
        """Write down what came of it, for as long as the claim holds."""
        while True:
            try:
                self._noted(claimed, outcome)
            except Exception:
                if time.monotonic() + _AGAIN_SECONDS >= until:
                    raise
                time.sleep(_AGAIN_SECONDS)
            else:
                return

    def _noted(self, claimed: Claimed, outcome: Outcome) -> None:
        pause = None if outcome.taken else self._pause(claimed, outcome)
        with self._database.writing() as tx:
            if outcome.taken:
                mine = dispatch.delivered(tx, claimed, response_status=outcome.response_status or 0)
            else:
                if outcome.response_status == GONE:
                    # The webhook's row before the delivery's, in the order in which everybody takes them.
                    webhooks.retire(tx, claimed.webhook_id, url=claimed.url, detail=outcome.detail)
                mine = dispatch.failed(
                    tx,
                    claimed,
                    detail=outcome.detail,
                    response_status=outcome.response_status,
                    retry_seconds=pause,
                )
        _tell(claimed, outcome, pause, mine=mine)

    def _pause(self, claimed: Claimed, outcome: Outcome) -> float | None:
        """Seconds until the next try, None where there is none: the receiver is gone, or it was the last."""
        if outcome.response_status == GONE or claimed.event == outbox.PING:
            return None
        return pause_after(claimed.attempts, self._pauses, outcome.retry_after_seconds)

    def _note_outage(self, error: Exception) -> None:
        """Once an outage, not once a second."""
        if self._reachable:
            log.warning("the outbox cannot be read and will be tried again", error=str(error))
        self._reachable = False


def pause_after(attempts: int, pauses: Sequence[float], asked_seconds: float | None = None) -> float | None:
    """Seconds between a try that failed and the next, None behind the last; never less than was asked for."""
    if attempts > len(pauses):
        return None
    spread = secrets.SystemRandom().uniform(1 - JITTER, 1 + JITTER)
    return max(pauses[attempts - 1] * spread, asked_seconds or 0.0)


def headers(claimed: Claimed, at: datetime) -> dict[str, str]:
    """What Standard Webhooks wants beside the body: id, time, and a signature for each secret that holds."""
    signatures = [Webhook(secret).sign(claimed.id, at, claimed.payload) for secret in claimed.secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": "Ridgeline-Webhooks",
        "webhook-id": claimed.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _tell(claimed: Claimed, outcome: Outcome, pause: float | None, *, mine: bool) -> None:
    """The log says what came of it, without the address, which may hold a secret of the receiver."""
    about = {**_named(claimed), "attempt": claimed.attempts, "status": outcome.response_status}
    if not mine:
        log.info("a delivery was somebody else's by the time it was over", **about)
    elif outcome.taken:
        log.info("a webhook was delivered", **about)
    elif pause is None:
        log.warning("a webhook is dead", **about, detail=outcome.detail)
    else:
        log.info("a webhook will be sent again", **about, detail=outcome.detail, in_seconds=round(pause, 1))


def _named(claimed: Claimed) -> dict[str, str | None]:
    return {"delivery_id": claimed.id, "webhook_id": claimed.webhook_id, "job_id": claimed.job_id}
