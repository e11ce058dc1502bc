"""Creating twice with one key creates once: what was answered first is answered again.

    with database.writing() as tx:
        ticket = idempotency.begin(tx, key, fingerprint)      # an Answer where one was given before
        …create…
        idempotency.finish(tx, ticket, Answer(201, headers, body))

Within one transaction a second request waits for the first and then replays it. An answer that takes long
(an upload) commits `begin` first; until `finish`, others get `IdempotencyInFlight`. Its place is held for
some seconds by the database's clock, and by `renew` for as long as the process lives that answers it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from store import ids
from store.columns import now
from store.errors import IdempotencyInFlight, IdempotencyMismatch
from store.projects import current
from store.session import Connection
from store.tables import idempotency

HOLD_SECONDS: Final = 8.0
"""How long a place is held that nobody renews."""
_UNTOLD_SECONDS: Final = 300.0
"""The same for what an earlier version left unanswered, which renewed nothing."""


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
    holder: str | None = None,
    is_dead: Callable[[str], bool] = lambda _: False,
    hold_seconds: float = HOLD_SECONDS,
) -> Ticket | Answer:
    """A `Ticket` for the first to come with this key, the first `Answer` for every later one.

    `holder` names the process that will answer, and `is_dead` says of a process so named that it is gone for
    certain. Raises `IdempotencyMismatch` for another request under the same key, and `IdempotencyInFlight`
    while the first is still being answered: its place is given up `hold_seconds` after it was last renewed,
    and at once where its holder is dead.
    """
    ticket = Ticket(key, ids.new("req"), current(tx))
    held = {"holder": holder, "held_until": now(hold_seconds)}
    _clear(tx, ticket, keep_seconds)
    row = _first(tx, ticket, fingerprint, held)
    if row.token != ticket.token and row.status is None and row.holder is not None and is_dead(row.holder):
        abandon(tx, Ticket(key, row.token, ticket.project_id))
        row = _first(tx, ticket, fingerprint, held)
    if row.token == ticket.token:
        return ticket
    if row.fingerprint != fingerprint:
        raise IdempotencyMismatch
    if row.status is None:
        left = (row.held_until - row.clock).total_seconds() if row.held_until else _UNTOLD_SECONDS
        raise IdempotencyInFlight(left)
    return Answer(row.status, row.headers, row.body)


def _first(tx: Connection, ticket: Ticket, fingerprint: str, held: Mapping[str, Any]) -> sa.Row[Any]:
    """The row under the ticket's key: the ticket's own, or that of whoever came first."""
    insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(idempotency)
    values = {"project_id": ticket.project_id, "key": ticket.key, "token": ticket.token, **held}
    tx.execute(insert.values(fingerprint=fingerprint, **values).on_conflict_do_nothing())
    chosen = sa.select(idempotency, now().label("clock")).where(*_under(ticket.key, ticket.project_id))
    return tx.execute(chosen).one()


def renew(tx: Connection, tickets: Iterable[Ticket], hold_seconds: float = HOLD_SECONDS) -> None:
    """Hold the places of requests that are still being answered; one that was given up is left alone."""
    rows = [{"its_project": one.project_id, "its_key": one.key, "its_token": one.token} for one in tickets]
    if rows:
        tx.execute(_RENEW.values(held_until=now(hold_seconds)), rows)


_RENEW = idempotency.update().where(
    idempotency.c.project_id == sa.bindparam("its_project"),
    idempotency.c.key == sa.bindparam("its_key"),
    idempotency.c.token == sa.bindparam("its_token"),
    idempotency.c.status.is_(None),
)


def answered(tx: Connection, key: str, fingerprint: str, *, keep_seconds: float = 86_400) -> Answer | None:
    """What was answered under this key, if it was; only a look, for whoever wants to know before any work."""
    kept = (*_under(key, current(tx)), idempotency.c.created_at >= now(-keep_seconds))
    row = tx.execute(sa.select(idempotency).where(*kept)).one_or_none()
    if row is None or row.status is None or row.fingerprint != fingerprint:
        return None
    return Answer(row.status, row.headers, row.body)


def _clear(tx: Connection, ticket: Ticket, keep_seconds: float) -> None:
    """Make way where an earlier answer is too old, or nobody answers an earlier request any more."""
    untold = sa.and_(idempotency.c.held_until.is_(None), idempotency.c.created_at < now(-_UNTOLD_SECONDS))
    given_up = sa.and_(idempotency.c.status.is_(None), sa.or_(idempotency.c.held_until < now(), untold))
    old = sa.or_(idempotency.c.created_at < now(-keep_seconds), given_up)
    tx.execute(idempotency.delete().where(*_under(ticket.key, ticket.project_id), old))


def _under(key: str, project_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (idempotency.c.project_id == project_id, idempotency.c.key == key)


def finish(tx: Connection, ticket: Ticket, answer: Answer) -> bool:
    """Keep the answer; False where the ticket's place was given up meanwhile: then create nothing."""
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
