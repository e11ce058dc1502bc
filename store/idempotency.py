"""Creating twice with one key creates once: what was answered first is answered again.

    with database.writing() as tx:
        ticket = idempotency.begin(tx, key, fingerprint)      # an Answer where one was given before
        …create…
        idempotency.finish(tx, ticket, Answer(201, headers, body))

Within one transaction a second request waits for the first and then replays it. An answer that takes long
(an upload) commits `begin` first; until `finish`, others get `IdempotencyInFlight`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from store import ids
from store.columns import now
from store.errors import IdempotencyInFlight, IdempotencyMismatch
from store.projects import current
from store.session import Connection
from store.tables import idempotency


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered, byte for byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to answer a key for the first time."""

    key: str
    token: str
    project_id: str


def fingerprint(*parts: bytes | str) -> str:
    """What two requests must share to be the same: method, path, body."""
    digest = hashlib.sha256()
    for part in parts:
        written = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(written).to_bytes(8, "big") + written)
    return digest.hexdigest()


def begin(
    tx: Connection,
    key: str,
    fingerprint: str,
    *,
    keep_seconds: float = 86_400,
    in_flight_seconds: float = 300,
) -> Ticket | Answer:
    """A `Ticket` for the first to come with this key, the first `Answer` for every later one.

    Raises `IdempotencyMismatch` for another request under the same key, and `IdempotencyInFlight` while the
    first is still being answered; one that was never answered gives its place up after `in_flight_seconds`.
    """
    project_id = current(tx)
    ticket = Ticket(key, ids.new("req"), project_id)
    _clear(tx, ticket, keep_seconds, in_flight_seconds)
    insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(idempotency)
    values = {"project_id": project_id, "key": key, "fingerprint": fingerprint, "token": ticket.token}
    tx.execute(insert.values(**values).on_conflict_do_nothing())
    row = tx.execute(sa.select(idempotency).where(*_under(key, project_id))).one()
    if row.token == ticket.token:
        return ticket
    if row.fingerprint != fingerprint:
        raise IdempotencyMismatch
    if row.status is None:
        raise IdempotencyInFlight
    return Answer(row.status, row.headers, row.body)


def answered(tx: Connection, key: str, fingerprint: str, *, keep_seconds: float = 86_400) -> Answer | None:
    """What was answered under this key, if it was; only a look, for whoever wants to know before any work."""
    kept = (*_under(key, current(tx)), idempotency.c.created_at >= now(-keep_seconds))
    row = tx.execute(sa.select(idempotency).where(*kept)).one_or_none()
    if row is None or row.status is None or row.fingerprint != fingerprint:
        return None
    return Answer(row.status, row.headers, row.body)


def _clear(tx: Connection, ticket: Ticket, keep_seconds: float, in_flight_seconds: float) -> None:
    """Make way where an earlier answer is too old, or an earlier request was never answered."""
    unanswered = sa.and_(idempotency.c.status.is_(None), idempotency.c.created_at < now(-in_flight_seconds))
    old = sa.or_(idempotency.c.created_at < now(-keep_seconds), unanswered)
    tx.execute(idempotency.delete().where(*_under(ticket.key, ticket.project_id), old))


def _under(key: str, project_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (idempotency.c.project_id == project_id, idempotency.c.key == key)


def finish(tx: Connection, ticket: Ticket, answer: Answer) -> bool:
    """Keep the answer; False where the ticket's place was given up meanwhile."""
    values = {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}
    mine = (*_under(ticket.key, ticket.project_id), idempotency.c.token == ticket.token)
    return bool(tx.execute(idempotency.update().where(*mine).values(values)).rowcount)


def abandon(tx: Connection, ticket: Ticket) -> None:
    """Nothing was created: the key may be used again."""
    mine = (*_under(ticket.key, ticket.project_id), idempotency.c.token == ticket.token)
    tx.execute(idempotency.delete().where(*mine, idempotency.c.status.is_(None)))


def sweep(tx: Connection, keep_seconds: float = 86_400) -> int:
    """Forget answers that need not be kept any longer; how many."""
    return tx.execute(idempotency.delete().where(idempotency.c.created_at < now(-keep_seconds))).rowcount
