"""`Idempotency-Key`: who asks to create the same thing again is told again what was created.

The store keeps the first answer. Here is what of an answer is kept, and what makes two requests the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Request
from starlette.responses import Response

from api import in_flight
from api.errors import InvalidInputError
from models.errors import Complaint
from store import idempotency
from store.errors import IdempotencyInFlight
from store.idempotency import Answer, Ticket
from store.session import Connection, Database
from store.settings import Settings

HEADER = "Idempotency-Key"
_KEPT = ("content-type", "location", "retry-after")
_ACCEPTABLE = re.compile(r"[\x21-\x7e]{1,255}")


async def _documented(
    key: Annotated[
        str | None,
        Header(
            alias=HEADER,
            description="Makes repeating safe: the same key and body get the first answer again.",
            json_schema_extra={"minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        ),
    ] = None,
) -> None:
    """For the OpenAPI document alone: `key_of` reads the header, and says what is wrong with it."""


REPEATABLE = Depends(_documented)


def key_of(request: Request) -> str | None:
    """The request's key, or None."""
    key = request.headers.get(HEADER)
    if key is None or _ACCEPTABLE.fullmatch(key):
        return key
    detail = "a key has 1 to 255 printable ASCII characters and no spaces"
    raise InvalidInputError(errors=[Complaint("/header/idempotency-key", detail, suggestion="a random UUID")])


def begin(tx: Connection, request: Request, content: Any, settings: Settings) -> Ticket | Answer | None:
    """None without a key; a ticket for the first request with it; for later ones the answer that it got.

    A ticket that is not finished in the same transaction is to be held, see `api.in_flight`.
    """
    key = key_of(request)
    if key is None:
        return None
    return idempotency.begin(
        tx,
        key,
        _same(request, content),
        keep_seconds=_kept_seconds(settings),
        holder=in_flight.this_process(),
        is_dead=in_flight.is_dead,
    )


def answered(tx: Connection, request: Request, content: Any, settings: Settings) -> Answer | None:
    """What this request was answered before, by a look alone; `begin` has the last word."""
    key = key_of(request)
    if key is None:
        return None
    return idempotency.answered(tx, key, _same(request, content), keep_seconds=_kept_seconds(settings))


def _kept_seconds(settings: Settings) -> float:
    return settings.idempotency_hours * 3600


def _same(request: Request, content: Any) -> str:
    """What makes two requests the same."""
    written = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return idempotency.fingerprint(request.method, request.url.path, written)


def once(
    database: Database,
    request: Request,
    content: Any,
    settings: Settings,
    create: Callable[[Connection], Response],
) -> Response:
    """Create and keep the answer in one transaction; under the same key it is given again instead."""
    with database.writing() as tx:
        ticket = begin(tx, request, content, settings)
        if isinstance(ticket, Answer):
            return replayed(ticket)
        answer = create(tx)
        finish(tx, ticket, answer)
    return answer


def finish(tx: Connection, ticket: Ticket | None, answer: Response) -> None:
    """Keep an answer, in the transaction that creates what it tells of.

    `IdempotencyInFlight` where somebody else has taken the ticket's place: nothing may be created then.
    """
    if ticket is None:
        return
    headers = {name: value for name, value in answer.headers.items() if name in _KEPT}
    if not idempotency.finish(tx, ticket, Answer(answer.status_code, headers, bytes(answer.body))):
        raise IdempotencyInFlight


def replayed(answer: Answer) -> Response:
    """The first answer, once more."""
    return Response(answer.body, answer.status, headers={**answer.headers, "Idempotent-Replayed": "true"})
