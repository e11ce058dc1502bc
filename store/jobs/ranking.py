"""Jobs sorted by a number that came of them, or by name, page by page.

First come those that have the number, then those that lack it, the newest first, in whichever direction the
others are sorted. A page begins behind the last job of the one before, and its cursor belongs to its sort.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import sqlalchemy as sa

from store import ids
from store.errors import BadCursor
from store.jobs.candidates import MOST, Narrowed, gather, narrow
from store.jobs.filters import Filters
from store.jobs.row import Job, select_jobs, to_job
from store.pages import cursor_of, place_of
from store.projects import only
from store.session import Connection
from store.tables import jobs, scores

AGE: Final = "created_at"
NAME: Final = "name"
_FIRST_JOBS: Final = 8
_MOST_JOBS: Final = 32
"""Jobs that are taken out of the database at a time: each may be large."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_NAME: Final = 200
Place = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A part of a list: its rows, by what they are sorted, and in which direction."""

    rows: sa.Select[Any]
    place: Sequence[sa.ColumnElement[Any]]
    """What a row's place is made of; the last is the job's id."""
    descending: bool

    def behind(self, place: Place | None, limit: int) -> sa.Select[Any]:
        """So many rows behind a place."""
        rows = self.rows.with_only_columns(*self.place)
        if place is not None:
            there = sa.tuple_(
                *(sa.literal(each, by.type) for each, by in zip(place, self.place, strict=True))
            )
            here = sa.tuple_(*self.place)
            rows = rows.where(here < there if self.descending else here > there)
        return rows.order_by(*(by.desc() if self.descending else by for by in self.place)).limit(limit)


def walk(
    tx: Connection, filters: Filters, *, sort: str, cursor: str | None, limit: int
) -> Iterator[tuple[Job, str]]:
    """The jobs of a page and one more if more follow, each with the cursor of what comes behind it."""
    key, descending = sort.removeprefix("-"), sort.startswith("-")
    part, place = (0 if key != AGE else 1, None) if cursor is None else _read(cursor, sort)
    narrowed = narrow(tx, filters)
    few = gather(tx, narrowed)
    found: list[tuple[int, Place]] = []
    while part < 2 and len(found) <= limit:
        if part == 1:
            order = _lacking(tx, key, narrowed, few, descending=descending or key != AGE)
        else:
            order = _having(tx, key, narrowed, few, descending=descending)
        rows = tx.execute(order.behind(place, limit + 1 - len(found)))
        found += [(part, tuple(row)) for row in rows]
        part, place = part + 1, None
    yield from _fetched(tx, found, sort)


def _having(
    tx: Connection, key: str, narrowed: Narrowed, few: sa.Subquery | None, *, descending: bool
) -> Order:
    """Those that have the number, or a name, in its order; ties by age."""
    if few is not None:
        valued = _valued(few, key)
        by = (valued.c.value, valued.c.created_at, valued.c.job_id)
        rows = sa.select(valued).where(valued.c.value.is_not(None))
        return Order(rows, by if key == NAME else (by[0], by[2]), descending)
    if key == NAME:
        own = jobs.alias("own")
        rows = sa.select(own).where(only(tx, own), own.c.name.is_not(None), *narrowed.leaves(own.c.id))
        return Order(rows, (own.c.name, own.c.created_at, own.c.id), descending)
    rows = sa.select(scores).where(only(tx, scores), scores.c.name == key, *narrowed.leaves(scores.c.job_id))
    return Order(rows, (scores.c.value, scores.c.job_id), descending)


def _lacking(
    tx: Connection, key: str, narrowed: Narrowed, few: sa.Subquery | None, *, descending: bool
) -> Order:
    """Those that lack it, the newest first; all of them, in either direction, where the sort is by age."""
    if few is not None:
        lacks = [] if key == AGE else [_value_of(few.c.job_id, key).is_(None)]
        return Order(sa.select(few).where(*lacks), (few.c.created_at, few.c.job_id), descending)
    own = jobs.alias("own")
    lacks = [own.c.name.is_(None)] if key == NAME else [_value_of(own.c.id, key).is_(None)]
    rows = sa.select(own).where(only(tx, own), *([] if key == AGE else lacks), *narrowed.leaves(own.c.id))
    return Order(rows, (own.c.created_at, own.c.id), descending)


def _valued(few: sa.Subquery, key: str) -> sa.Subquery:
    """Some jobs with the number of each, or NULL; the limit keeps it from being looked up again and again."""
    value = _value_of(few.c.job_id, key).label("value")
    return sa.select(few.c.job_id, few.c.created_at, value).limit(MOST).subquery()


def _value_of(job_id: sa.ColumnElement[str], key: str) -> sa.ScalarSelect[Any]:
    """A job's name, or the number that came of it; NULL where it has none."""
    if key == NAME:
        its = jobs.alias("its")
        return sa.select(its.c.name).where(its.c.id == job_id).correlate_except(its).scalar_subquery()
    number = sa.select(scores.c.value).where(scores.c.job_id == job_id, scores.c.name == key)
    return number.correlate_except(scores).scalar_subquery()


def _fetched(tx: Connection, found: Sequence[tuple[int, Place]], sort: str) -> Iterator[tuple[Job, str]]:
    """The whole jobs, at first a few at a time; one that has just been deleted is left out."""
    start, size = 0, _FIRST_JOBS
    while some := found[start : start + size]:
        chosen = select_jobs().where(only(tx, jobs), jobs.c.id.in_([place[-1] for _, place in some]))
        whole = {row.id: row for row in tx.execute(chosen)}
        for part, place in some:
            if (row := whole.get(place[-1])) is not None:
                yield to_job(row), _written(sort, part, place)
        start, size = start + size, min(2 * size, _MOST_JOBS)


# ── cursors ─────────────────────────────────────────────────────────────────────────────────────────────────


def _written(sort: str, part: int, place: Place) -> str:
    """An opaque word for a place in this sort."""
    if sort.removeprefix("-") == AGE:
        return cursor_of(*place)
    parts = [_microseconds(each) if isinstance(each, datetime) else each for each in place]
    return base64.urlsafe_b64encode(orjson.dumps([sort, part, *parts])).decode().rstrip("=")


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _read(cursor: str, sort: str) -> tuple[int, Place]:
    """The part and the place that a cursor stands for; `BadCursor` where it is not of this sort."""
    if sort.removeprefix("-") == AGE:
        return 1, place_of(cursor)
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        whose, part, *place = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if whose != sort:
            raise BadCursor
        return _understood(sort.removeprefix("-") == NAME, part, place)
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise BadCursor from error


def _understood(by_name: bool, part: Any, place: list[Any]) -> tuple[int, Place]:
    if not (place and isinstance(place[-1], str) and ids.possible(place[-1])):
        raise BadCursor
    match part, place:
        case 0, [float() | int() as value, job_id] if not by_name and math.isfinite(value):
            return 0, (float(value), job_id)
        case 0, [str(name), int(at), job_id] if by_name and len(name) <= _LONGEST_NAME and "\0" not in name:
            return 0, (name, _EPOCH + timedelta(microseconds=at), job_id)
        case 1, [int(at), job_id]:
            return 1, (_EPOCH + timedelta(microseconds=at), job_id)
    raise BadCursor
