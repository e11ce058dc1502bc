"""Jobs sorted by a number that came of them, or by name, page by page.

First come those that have the number, then those that lack it, the newest first, in whichever direction the
others are sorted. A page begins behind the last job of the one before, and its cursor belongs to its sort.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import sqlalchemy as sa

from store import ids
from store.errors import BadCursor
from store.jobs.candidates import MOST, Narrowed, narrow
from store.jobs.filters import Condition, Filters
from store.jobs.row import Job, select_jobs, to_job
from store.pages import cursor_of, place_of
from store.planning import without
from store.projects import only
from store.scores import shapes_without
from store.session import Connection
from store.tables import jobs, scores

AGE: Final = "created_at"
NAME: Final = "name"
_FIRST_JOBS: Final = 8
_MOST_JOBS: Final = 32
"""Jobs that are taken out of the database at a time: each may be large."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GLIMPSED: Final = 1_000
"""Jobs that are looked up one by one, in order, before a list is sieved."""
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
            there = (sa.literal(each, by.type) for each, by in zip(place, self.place, strict=True))
            here, last = sa.tuple_(*self.place), sa.tuple_(*there)
            rows = rows.where(here < last if self.descending else here > last)
        return rows.order_by(*(by.desc() if self.descending else by for by in self.place)).limit(limit)

    def where(self, asked: Callable[[sa.ColumnElement[str]], Sequence[Condition]]) -> Order:
        """Those of the rows of whose job's id something holds."""
        return replace(self, rows=self.rows.where(*asked(self.place[-1])))

    def next(self, place: Place | None, number: int) -> Order:
        """The next rows behind a place, as an order of its own: of no others anything is asked."""
        rows = self.behind(place, number).subquery()
        return Order(sa.select(rows), list(rows.c), self.descending)


def walk(
    tx: Connection, filters: Filters, *, sort: str, cursor: str | None, limit: int
) -> Iterator[tuple[Job, str]]:
    """The jobs of a page and one more if more follow, each with the cursor of what comes behind it."""
    yield from _fetch(tx, find(tx, filters, sort=sort, cursor=cursor, limit=limit + 1), sort)


def find(
    tx: Connection, filters: Filters, *, sort: str, cursor: str | None = None, limit: int
) -> list[tuple[int, Place]]:
    """Where so many jobs stand in a list: in which part of it, and at which place, whose last is the id."""
    key, descending = sort.removeprefix("-"), sort.startswith("-")
    part, place = (0 if key != AGE else 1, None) if cursor is None else _read_cursor(cursor, sort)
    found: list[tuple[int, Place]] = []
    with without(tx, "seqscan", "bitmapscan"):
        narrowed = narrow(tx, filters)
        while part < 2 and len(found) < limit:
            if part == 1 and key != AGE:
                rows = _rows_that_lack(tx, key, narrowed, place, limit - len(found))
            else:
                order = _order_of(tx, key, narrowed, descending=descending)
                rows = _rows_in(tx, order, narrowed, place, limit - len(found))
            found += [(part, tuple(row)) for row in rows]
            part, place = part + 1, None
    return found


def _order_of(tx: Connection, key: str, narrowed: Narrowed, *, descending: bool) -> Order:
    """Those that have the number, or a name, in its order, ties by age; or all by age.

    Of the few that filters leave; else of all, which are still to be narrowed.
    """
    own, few = jobs.alias("own"), narrowed.few
    mine = sa.select(own).where(only(tx, own))
    if key == AGE:
        by_age = (own.c.created_at, own.c.id) if few is None else (few.c.created_at, few.c.job_id)
        return Order(mine if few is None else sa.select(few), by_age, descending)
    if few is not None:
        valued = _with_values(few, key)
        rows = sa.select(valued).where(valued.c.value.is_not(None))
        ties = (valued.c.created_at, valued.c.job_id) if key == NAME else (valued.c.job_id,)
        return Order(rows, (valued.c.value, *ties), descending)
    if key == NAME:
        by_name = (own.c.name, own.c.created_at, own.c.id)
        return Order(mine.where(own.c.name.is_not(None)), by_name, descending)
    numbers = sa.select(scores).where(only(tx, scores), scores.c.name == key)
    return Order(numbers, (scores.c.value, scores.c.job_id), descending)


def _rows_in(
    tx: Connection, order: Order, narrowed: Narrowed, place: Place | None, limit: int
) -> Sequence[sa.Row[Any]]:
    """The rows of a page. Of the next jobs in order most pages are full; only else the list is sieved."""
    if narrowed.few is not None or not narrowed.sets:
        return tx.execute(order.behind(place, limit)).all()
    glimpsed = tx.execute(order.next(place, _GLIMPSED).where(narrowed.look_up).behind(None, limit)).all()
    if len(glimpsed) == limit:
        return glimpsed
    with without(tx, "nestloop"):  # in which PostgreSQL would look up one job after the other all the same
        return tx.execute(order.where(narrowed.sieve).behind(place, limit)).all()


def _rows_that_lack(
    tx: Connection, key: str, narrowed: Narrowed, place: Place | None, limit: int
) -> Sequence[sa.Row[Any]]:
    """So many of those that lack it, the newest first, behind a place."""
    if (few := narrowed.few) is not None:
        rows = sa.select(few).where(_value_of(few.c.job_id, key).is_(None))
        return tx.execute(Order(rows, (few.c.created_at, few.c.job_id), True).behind(place, limit)).all()
    orders = list(_lacking_by_shape(tx, key))
    # Of all that lack it the first are among the first of each shape.
    parts = [each.behind(place, limit).subquery() for each in orders] if not narrowed.sets else None
    every = sa.union_all(
        *(map(sa.select, parts) if parts else (each.rows.with_only_columns(*each.place) for each in orders))
    ).subquery("every")
    order = Order(sa.select(every), (every.c.created_at, every.c.id), True)
    with without(tx, *(("nestloop",) if narrowed.sets else ())):
        return tx.execute(order.where(narrowed.sieve).behind(place, limit)).all()


def _lacking_by_shape(tx: Connection, key: str) -> Iterator[Order]:
    """The jobs that lack a number, in parts that each lie together in an index.

    To ask each job for it would go over all of them to find the few that lack it.
    """
    own = jobs.alias("own")
    by, mine = (own.c.created_at, own.c.id), sa.select(own).where(only(tx, own))
    if key == NAME:
        yield Order(mine.where(own.c.name.is_(None)), by, True)
    elif (shapes := shapes_without(tx, key)) is None:
        yield Order(mine.where(_value_of(own.c.id, key).is_(None)), by, True)
    else:
        yield Order(mine.where(own.c.shape.is_(None)), by, True)
        for shape in shapes:
            yield Order(mine.where(own.c.shape == shape), by, True)


def _with_values(few: sa.Subquery, key: str) -> sa.Subquery:
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


def _fetch(tx: Connection, found: Sequence[tuple[int, Place]], sort: str) -> Iterator[tuple[Job, str]]:
    """The whole jobs, at first a few at a time; one that has just been deleted is left out."""
    start, size = 0, _FIRST_JOBS
    while some := found[start : start + size]:
        # By their ids alone, which were found in this project: SQLite would rather go through the project.
        chosen = select_jobs().where(jobs.c.id.in_([place[-1] for _, place in some]))
        whole = {row.id: row for row in tx.execute(chosen)}
        for part, place in some:
            if (row := whole.get(place[-1])) is not None:
                yield to_job(row), cursor_at(sort, part, place)
        start, size = start + size, min(2 * size, _MOST_JOBS)


# ── cursors ─────────────────────────────────────────────────────────────────────────────────────────────────


def cursor_at(sort: str, part: int, place: Place) -> str:
    """An opaque word for a place in this sort."""
    if sort.removeprefix("-") == AGE:
        return cursor_of(*place)
    parts = [_microseconds(each) if isinstance(each, datetime) else each for each in place]
    return base64.urlsafe_b64encode(orjson.dumps([sort, part, *parts])).decode().rstrip("=")


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _read_cursor(cursor: str, sort: str) -> tuple[int, Place]:
    """The part and the place that a cursor stands for; `BadCursor` where it is not of this sort."""
    if sort.removeprefix("-") == AGE:
        return 1, place_of(cursor)
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        whose, part, *place = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if whose != sort:
            raise BadCursor
        return _place_in(sort.removeprefix("-") == NAME, part, place)
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise BadCursor from error


def _place_in(by_name: bool, part: Any, place: list[Any]) -> tuple[int, Place]:
    if type(part) is not int or not (place and isinstance(place[-1], str) and ids.possible(place[-1])):
        raise BadCursor
    match part, place:
        case 0, [float() | int() as value, job_id] if not by_name and math.isfinite(value):
            return 0, (float(value), job_id)
        case 0, [str(name), int(at), job_id] if by_name and len(name) <= _LONGEST_NAME and "\0" not in name:
            return 0, (name, _EPOCH + timedelta(microseconds=at), job_id)
        case 1, [int(at), job_id]:
            return 1, (_EPOCH + timedelta(microseconds=at), job_id)
    raise BadCursor
