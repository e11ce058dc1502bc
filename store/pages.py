"""Keyset paging: a page begins behind the last row of the one before, so it costs the same at any depth."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, Literal, TypeVar

import sqlalchemy as sa

from store import ids
from store.errors import BadCursor
from store.session import Connection

Sort = Literal["created_at", "-created_at"]
Row = TypeVar("Row")
_FIRST_ROWS: Final = 8
_MOST_ROWS: Final = 32
"""Rows that are taken out of the database at a time, where they may be large."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list, and the cursor of the next page, None behind the last."""

    rows: list[Row]
    next: str | None


def cursor_of(created_at: datetime, row_id: str) -> str:
    """An opaque word that stands for a row's place in a list."""
    microseconds = (created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{microseconds}.{row_id}".encode()).decode().rstrip("=")


def place_of(cursor: str) -> tuple[datetime, str]:
    """The place that such a word stands for; `BadCursor` where it is none."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        written = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        microseconds, _, row_id = written.partition(".")
        created_at = _EPOCH + timedelta(microseconds=int(microseconds))
    except (ValueError, OverflowError, binascii.Error) as error:
        raise BadCursor from error
    if not ids.possible(row_id):
        raise BadCursor
    return created_at, row_id


def paged(
    statement: sa.Select[Any],
    created_at: sa.ColumnElement[datetime],
    row_id: sa.ColumnElement[str],
    *,
    sort: Sort,
    cursor: str | None,
    limit: int,
) -> sa.Select[Any]:
    """The statement's rows behind the cursor, in order, and one more, which tells whether a page follows."""
    descending = sort.startswith("-")
    key = sa.tuple_(created_at, row_id)
    if cursor is not None:
        when, last = place_of(cursor)
        place = sa.tuple_(sa.literal(when, created_at.type), sa.literal(last, row_id.type))
        statement = statement.where(key < place if descending else key > place)
    order = (created_at.desc(), row_id.desc()) if descending else (created_at, row_id)
    return statement.order_by(*order).limit(limit + 1)


def walk(
    tx: Connection,
    statement: sa.Select[Any],
    created_at: sa.ColumnElement[datetime],
    row_id: sa.ColumnElement[str],
    *,
    sort: Sort,
    cursor: str | None,
    limit: int,
    read: Callable[[sa.Row[Any]], Row],
    place: Callable[[Row], tuple[datetime, str]],
) -> Iterator[Row]:
    """The rows of a page and one more, which tells whether one follows: fetched as they are asked for.

    At first a few at a time, then more: rows may be large, and whoever has enough of them leaves the rest.
    """
    left, size = limit + 1, _FIRST_ROWS
    while left:
        size = min(size, left)
        page = paged(statement, created_at, row_id, sort=sort, cursor=cursor, limit=size - 1)
        rows = [read(row) for row in tx.execute(page)]
        yield from rows
        if len(rows) < size:
            return
        cursor, left, size = cursor_of(*place(rows[-1])), left - size, min(2 * size, _MOST_ROWS)


def to_page(rows: Sequence[Row], limit: int, place: Callable[[Row], tuple[datetime, str]]) -> Page[Row]:
    """Cut the row too many off, and say where the next page begins."""
    if len(rows) <= limit:
        return Page(list(rows), None)
    kept = list(rows[:limit])
    return Page(kept, cursor_of(*place(kept[-1])))
