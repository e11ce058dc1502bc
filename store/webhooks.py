"""Webhooks: who wants to be told of a project's jobs, of what, and with which secret it is signed.

What is told lies in `store.outbox`. A secret leaves this module when it is made, and to whoever signs; what
lists and answers are made of does not carry it.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal

import sqlalchemy as sa

from store import ids
from store.columns import now, printable
from store.errors import NotFound, TooManyWebhooks
from store.pages import Page, Sort, paged, to_page
from store.projects import current, only
from store.session import Connection
from store.tables import deliveries, webhooks

Event = Literal["job.queued", "job.running", "job.paused", "job.succeeded", "job.failed", "job.cancelled"]
DEFAULT_EVENTS: Final[tuple[Event, ...]] = ("job.succeeded", "job.failed", "job.cancelled")
MOST: Final = 20
"""Webhooks of a project: each of them costs every status change a row."""
ROTATION_SECONDS: Final = 86_400.0
"""For so long after a rotation, what is sent is signed with the old secret too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook as lists show it."""

    id: str
    url: str
    events: list[Event]
    description: str | None
    enabled: bool
    disabled_detail: str | None
    """Why it was disabled, where nobody asked for that."""
    old_secret_until: datetime | None
    created_at: datetime


_SHOWN = [webhooks.c[field.name] for field in fields(Webhook)]


def fresh_secret() -> str:
    """32 random bytes, as Standard Webhooks writes them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def create(
    tx: Connection, *, url: str, events: Sequence[Event] = DEFAULT_EVENTS, description: str | None = None
) -> tuple[Webhook, str]:
    """A new webhook, and its secret, which is told this once."""
    counted = sa.select(sa.func.count()).select_from(webhooks).where(only(tx, webhooks))
    if tx.execute(counted).scalar_one() >= MOST:
        raise TooManyWebhooks(f"a project has at most {MOST} webhooks; delete one first")
    secret, webhook_id = fresh_secret(), ids.new("webhook")
    values = {"id": webhook_id, "project_id": current(tx), "url": url, "secret": secret}
    tx.execute(webhooks.insert().values(**values, events=_unique(events), description=description))
    return get(tx, webhook_id), secret


def get(tx: Connection, webhook_id: str) -> Webhook:
    """A webhook by its id; `NotFound` where there is none in this project."""
    known = ids.possible(webhook_id)
    row = tx.execute(sa.select(*_SHOWN).where(_mine(tx, webhook_id))).one_or_none() if known else None
    if row is None:
        raise NotFound("webhook", webhook_id)
    return Webhook(**row._mapping)


def page(
    tx: Connection, *, sort: Sort = "-created_at", cursor: str | None = None, limit: int = 50
) -> Page[Webhook]:
    """One page of a project's webhooks."""
    mine = sa.select(*_SHOWN).where(only(tx, webhooks))
    rows = tx.execute(
        paged(mine, webhooks.c.created_at, webhooks.c.id, sort=sort, cursor=cursor, limit=limit)
    )
    return to_page([Webhook(**row._mapping) for row in rows], limit, lambda row: (row.created_at, row.id))


def change(tx: Connection, webhook_id: str, **changes: Any) -> Webhook:
    """Change url, events, description or enabled. Disabling gives up what was still to be sent."""
    get(tx, webhook_id)
    if "events" in changes:
        changes["events"] = _unique(changes["events"])
    if "enabled" in changes:
        changes["disabled_detail"] = None
    if changes:
        tx.execute(webhooks.update().where(_mine(tx, webhook_id)).values(changes))
    if changes.get("enabled") is False:
        _give_up_pending(tx, webhook_id, "the webhook was disabled")
    return get(tx, webhook_id)


def rotate(tx: Connection, webhook_id: str) -> tuple[Webhook, str]:
    """A new secret; what is sent carries both signatures for a day, so that receivers can change over."""
    get(tx, webhook_id)
    secret = fresh_secret()
    values = {"secret": secret, "old_secret": webhooks.c.secret, "old_secret_until": now(ROTATION_SECONDS)}
    tx.execute(webhooks.update().where(_mine(tx, webhook_id)).values(values))
    return get(tx, webhook_id), secret


def delete(tx: Connection, webhook_id: str) -> None:
    """Delete a webhook with everything that was sent or waits to be."""
    get(tx, webhook_id)
    tx.execute(webhooks.delete().where(_mine(tx, webhook_id)))


def retire(tx: Connection, webhook_id: str, *, url: str, detail: str) -> bool:
    """Disable a webhook whose receiver wants no more; False where it leads elsewhere by now.

    For whoever delivers: it works for all projects. What waited is given up with it.
    """
    same = (webhooks.c.id == webhook_id, webhooks.c.url == url, webhooks.c.enabled)
    values = {"enabled": False, "disabled_detail": printable(detail, 500)}
    if not tx.execute(webhooks.update().where(*same).values(values)).rowcount:
        return False
    _give_up_pending(tx, webhook_id, f"the webhook was disabled: {detail}")
    return True


def _give_up_pending(tx: Connection, webhook_id: str, detail: str) -> None:
    """What waits is dead, and whoever is just sending it may only say what came of that.

    Those who announce hold the webhook's row until they commit, and it has been changed by now: there is
    nothing of theirs that this could miss.
    """
    values = {"status": "dead", "detail": printable(detail, 2000), "fence": deliveries.c.fence + 1}
    waiting = (deliveries.c.webhook_id == webhook_id, deliveries.c.status == "pending")
    tx.execute(deliveries.update().where(*waiting).values(**values, due_at=now(), ended_at=now()))


def _mine(tx: Connection, webhook_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(webhooks.c.id == webhook_id, only(tx, webhooks))


def _unique(events: Sequence[Event]) -> list[Event]:
    return list(dict.fromkeys(events))
