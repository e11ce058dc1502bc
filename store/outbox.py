"""The outbox: what webhooks are to be told, written in the very transaction of the change that it tells of.

Here people and the state machine write and look; who sends it works with `store.dispatch`. A row waits only
while its webhook is enabled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal

import orjson
import sqlalchemy as sa

from store import ids, webhooks
from store.columns import now
from store.errors import NotFound, WebhookDisabled
from store.pages import Page, Sort, paged, to_page
from store.projects import only
from store.session import Connection
from store.tables import deliveries, jobs
from store.tables import webhooks as hooks

Status = Literal["pending", "delivered", "dead"]
PING: Final = "webhook.test"
LONGEST_PAYLOAD: Final = 20_000
"""Characters; what people wrote and what came out are left out of a longer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A delivery as lists show it."""

    id: str
    webhook_id: str
    job_id: str | None
    event: str
    status: Status
    attempts: int
    due_at: datetime
    response_status: int | None
    detail: str | None
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Listed):
    """A delivery with the very text that is signed and sent."""

    payload: str


_LISTED = [deliveries.c[field.name] for field in fields(Listed)]
_DELIVERY = [deliveries.c[field.name] for field in fields(Delivery)]
_TOLD = (
    "id",
    "name",
    "status",
    "stop_reason",
    "stop_detail",
    "attempt",
    "epoch",
    "metadata",
    "result",
    "created_at",
    "started_at",
    "finished_at",
)


def announce(tx: Connection, job_ids: Sequence[str]) -> None:
    """Tell of the status that jobs have just been given, to those webhooks of theirs that want to know.

    Costs one query where nobody does. Holding the webhooks' rows makes whoever disables or deletes one wait:
    a delivery of a deleted webhook would make the status change fail, one of a disabled would wait for ever.
    """
    told = [
        row
        for row in tx.execute(_LISTENING, {"changed": list(job_ids)}).all()
        if f"job.{row.status}" in row.events
    ]
    if not told:
        return
    about, moment = _about(tx, [row.job_id for row in told]), _moment(tx)
    payloads = {one["id"]: _payload(f"job.{one['status']}", moment, one) for one in about}
    rows = [
        _row(row.id, row.project_id, f"job.{row.status}", payloads[row.job_id], row.job_id) for row in told
    ]
    tx.execute(deliveries.insert(), rows)


_LISTENING = (
    sa.select(jobs.c.id.label("job_id"), hooks.c.id, hooks.c.project_id, hooks.c.events, jobs.c.status)
    .select_from(jobs.join(hooks, hooks.c.project_id == jobs.c.project_id))
    .where(jobs.c.id.in_(sa.bindparam("changed", expanding=True)), hooks.c.enabled)
    .with_for_update(read=True, of=hooks)
)


def ping(tx: Connection, webhook_id: str) -> Delivery:
    """A delivery that tells of nothing, to see whether it arrives; it is tried once."""
    project_id = _enabled(tx, webhook_id)
    row = _row(webhook_id, project_id, PING, _payload(PING, _moment(tx), {"webhook_id": webhook_id}))
    tx.execute(deliveries.insert().values(row))
    return get(tx, webhook_id, row["id"])


def _about(tx: Connection, job_ids: Sequence[str]) -> list[dict[str, Any]]:
    rows = tx.execute(sa.select(*(jobs.c[name] for name in _TOLD)).where(jobs.c.id.in_(job_ids)))
    return [{**dict(zip(_TOLD, row, strict=True)), "links": {"self": f"/v1/jobs/{row.id}"}} for row in rows]


def _moment(tx: Connection) -> datetime:
    return tx.execute(sa.select(now())).scalar_one()


def _payload(event: str, moment: datetime, data: Mapping[str, Any]) -> str:
    written = _written(event, moment, data)
    if len(written) <= LONGEST_PAYLOAD:
        return written
    return _written(event, moment, {**data, "metadata": None, "result": None})


def _written(event: str, moment: datetime, data: Mapping[str, Any]) -> str:
    document = {"type": event, "timestamp": moment, "data": data}
    return orjson.dumps(document, option=orjson.OPT_UTC_Z).decode()


def _row(
    webhook_id: str, project_id: str, event: str, payload: str, job_id: str | None = None
) -> dict[str, Any]:
    whose = {"id": ids.new("msg"), "project_id": project_id, "webhook_id": webhook_id, "job_id": job_id}
    return {**whose, "event": event, "payload": payload, "status": "pending"}


def _enabled(tx: Connection, webhook_id: str) -> str:
    """The project of an enabled webhook, which stays enabled until this transaction ends."""
    held = sa.select(hooks.c.project_id, hooks.c.enabled).where(hooks.c.id == webhook_id, only(tx, hooks))
    known = ids.possible(webhook_id)
    row = tx.execute(held.with_for_update(read=True)).one_or_none() if known else None
    if row is None:
        raise NotFound("webhook", webhook_id)
    if not row.enabled:
        raise WebhookDisabled
    project_id: str = row.project_id
    return project_id


def get(tx: Connection, webhook_id: str, delivery_id: str) -> Delivery:
    """A delivery of a webhook; `NotFound` where there is none in this project."""
    known = ids.possible(webhook_id) and ids.possible(delivery_id)
    mine = _mine(tx, webhook_id, delivery_id)
    row = tx.execute(sa.select(*_DELIVERY).where(*mine)).one_or_none() if known else None
    if row is None:
        raise NotFound("delivery", delivery_id)
    return Delivery(**row._mapping)


def page(
    tx: Connection,
    webhook_id: str,
    *,
    status: Status | None = None,
    job_id: str | None = None,
    sort: Sort = "-created_at",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Listed]:
    """One page of a webhook's deliveries; the dead ones are its dead letters."""
    webhooks.get(tx, webhook_id)
    statement = sa.select(*_LISTED).where(deliveries.c.webhook_id == webhook_id, only(tx, deliveries))
    if status is not None:
        statement = statement.where(deliveries.c.status == status)
    if job_id is not None:
        statement = statement.where(deliveries.c.job_id == job_id)
    rows = tx.execute(
        paged(statement, deliveries.c.created_at, deliveries.c.id, sort=sort, cursor=cursor, limit=limit)
    )
    return to_page([Listed(**row._mapping) for row in rows], limit, lambda row: (row.created_at, row.id))


def redeliver(tx: Connection, webhook_id: str, delivery_id: str) -> Delivery:
    """Send it again, whatever became of it, under the same id and with all tries before it."""
    _enabled(tx, webhook_id)
    values = {"status": "pending", "attempts": 0, "fence": deliveries.c.fence + 1}
    anew = deliveries.update().where(*_mine(tx, webhook_id, delivery_id))
    known = ids.possible(delivery_id)
    if not known or not tx.execute(anew.values(**values, due_at=now(), ended_at=None)).rowcount:
        raise NotFound("delivery", delivery_id)
    return get(tx, webhook_id, delivery_id)


def _mine(tx: Connection, webhook_id: str, delivery_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        deliveries.c.id == delivery_id,
        deliveries.c.webhook_id == webhook_id,
        only(tx, deliveries),
    )
