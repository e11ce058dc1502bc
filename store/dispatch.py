"""Sending what lies in the outbox: claims, what came of them, and the sweeping of what is over.

A delivery is sent until its receiver has taken it: at least once, under one id. Whoever sends it has claimed
it by raising its fence, and until `due_at`; a sender that dies leaves a row that is due again. Everything
here works for all projects, and any number of senders may run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from store.columns import now, printable
from store.session import Connection
from store.tables import deliveries
from store.tables import webhooks as hooks

DELIVERED_SECONDS: Final = 7 * 86_400.0
DEAD_SECONDS: Final = 30 * 86_400.0
"""How long what was delivered, and what was given up, can be looked at and sent again."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is one's own to send."""

    id: str
    fence: int
    webhook_id: str
    project_id: str
    job_id: str | None
    event: str
    payload: str
    attempts: int
    """This one included."""
    url: str
    secrets: tuple[str, ...]
    """The webhook's secret, and for a while after a rotation the old one."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A webhook that has something due."""

    webhook_id: str
    project_id: str


def waiting(tx: Connection) -> list[Waiting]:
    """The webhooks that have something due: a probe each, however long their queues are."""
    due = sa.select(sa.literal(1)).where(deliveries.c.status == "pending", deliveries.c.due_at <= now())
    if tx.execute(due.limit(1)).first() is None:
        return []
    theirs = due.where(deliveries.c.webhook_id == hooks.c.id)
    rows = tx.execute(sa.select(hooks.c.id, hooks.c.project_id).where(theirs.exists()))
    return [Waiting(row.id, row.project_id) for row in rows]


def claim(tx: Connection, webhook_id: str, *, limit: int, lease_seconds: float) -> list[Claimed]:
    """The next deliveries of a webhook that are due, passing over those that somebody else is just taking."""
    due = (
        deliveries.c.webhook_id == webhook_id,
        deliveries.c.status == "pending",
        deliveries.c.due_at <= now(),
    )
    oldest = sa.select(deliveries.c.id).where(*due).order_by(deliveries.c.due_at, deliveries.c.id)
    chosen = list(tx.execute(oldest.limit(limit).with_for_update(skip_locked=True)).scalars())
    values = {"fence": deliveries.c.fence + 1, "attempts": deliveries.c.attempts + 1}
    taken = deliveries.update().where(deliveries.c.id.in_(chosen), *due)
    mine = tx.execute(taken.values(**values, due_at=now(lease_seconds)).returning(deliveries.c.id)).scalars()
    return _claimed(tx, list(mine))


def _claimed(tx: Connection, chosen: Sequence[str]) -> list[Claimed]:
    of_delivery = ("id", "fence", "webhook_id", "project_id", "job_id", "event", "payload", "attempts")
    columns = [deliveries.c[name] for name in of_delivery]
    old = sa.case((hooks.c.old_secret_until > now(), hooks.c.old_secret)).label("old_secret")
    rows = tx.execute(
        sa.select(*columns, hooks.c.url, hooks.c.secret, old)
        .join(hooks, hooks.c.id == deliveries.c.webhook_id)
        .where(deliveries.c.id.in_(chosen))
        .order_by(deliveries.c.id)
    )
    return [_to_claimed(dict(row._mapping)) for row in rows]


def _to_claimed(row: dict[str, Any]) -> Claimed:
    secrets = (row.pop("secret"), row.pop("old_secret"))
    return Claimed(**row, secrets=tuple(secret for secret in secrets if secret))


def delivered(tx: Connection, claimed: Claimed, *, response_status: int) -> bool:
    """The receiver has taken it, given up or not. False under a stale fence: somebody else sends it."""
    values = {"status": "delivered", "response_status": response_status, "detail": None}
    ended = {**values, "due_at": now(), "ended_at": now()}
    return _settle(tx, claimed, ended) or _settle_given_up(tx, claimed, ended)


def failed(
    tx: Connection,
    claimed: Claimed,
    *,
    detail: str,
    retry_seconds: float | None,
    response_status: int | None = None,
) -> bool:
    """It was not taken: due again after so many seconds, or dead where there are none.

    Where it was given up meanwhile, what came of this attempt is told all the same.
    """
    values = {"response_status": response_status, "detail": printable(detail, 2000)}
    ended = {"status": "dead", "due_at": now(), "ended_at": now()}
    again = {"due_at": now(retry_seconds)} if retry_seconds is not None else ended
    if _settle(tx, claimed, {**values, **again}):
        return True
    told = printable(f"{detail}; the webhook was disabled", 2000)
    return _settle_given_up(tx, claimed, {**values, "detail": told})


def _settle(tx: Connection, claimed: Claimed, values: Mapping[str, Any]) -> bool:
    mine = (
        deliveries.c.id == claimed.id,
        deliveries.c.fence == claimed.fence,
        deliveries.c.status == "pending",
    )
    return bool(tx.execute(deliveries.update().where(*mine).values(values)).rowcount)


def _settle_given_up(tx: Connection, claimed: Claimed, values: Mapping[str, Any]) -> bool:
    """Note down what came of a delivery that was given up while it was on its way, and not claimed since."""
    mine = (
        deliveries.c.id == claimed.id,
        deliveries.c.fence == claimed.fence + 1,
        deliveries.c.attempts == claimed.attempts,
        deliveries.c.status == "dead",
    )
    return bool(tx.execute(deliveries.update().where(*mine).values(values)).rowcount)


def sweep(
    tx: Connection,
    *,
    delivered_seconds: float = DELIVERED_SECONDS,
    dead_seconds: float = DEAD_SECONDS,
    limit: int = 1000,
) -> int:
    """Forget some of what ended long ago; how many: there may be more until it is none."""
    return sum(
        tx.execute(_forget(status, seconds, limit)).rowcount
        for status, seconds in (("delivered", delivered_seconds), ("dead", dead_seconds))
    )


def _forget(status: str, seconds: float, limit: int) -> sa.Delete:
    old = (
        sa.select(deliveries.c.id)
        .where(deliveries.c.status == status, deliveries.c.due_at < now(-seconds))
        .limit(limit)
    )
    return deliveries.delete().where(deliveries.c.id.in_(old), deliveries.c.status == status)
