"""The jobs that filters leave, gathered by the index of the rarest filter, where they are few enough.

A list that is sorted by a number can be walked along that number's index, each job looked up until a page is
full: that costs much where filters leave few. Or what the filters leave is gathered and sorted: that costs
much where they leave many. Which of the two it is, is counted, and the count ends at `MOST`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from store.dataset_names import ids_called
from store.jobs.filters import Condition, Filters, conditions_of, within_times
from store.jobs.labels import digest
from store.projects import only
from store.session import Connection
from store.tables import jobs, labels

MOST: Final = 10_000
"""Jobs that are gathered and sorted for a page; of more, each in the page's order is looked up."""
_FEW: Final = 500
_MOST_VALUES: Final = 20
"""Values of one filter each of which is asked for by itself."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What filters leave: nothing is known of it yet."""

    filters: Filters
    conditions: list[Condition]
    """On a row of `jobs`, all of them."""

    @property
    def is_everything(self) -> bool:
        return not self.conditions

    def leaves(self, job_id: sa.ColumnElement[str]) -> list[Condition]:
        """The condition that the filters leave a job, looked up by its id.

        As a subquery that answers a value it is asked of one row after the other, until a page is full; a
        join or an `EXISTS` PostgreSQL would turn around, and sort all that the filters leave.
        """
        if self.is_everything:
            return []
        one = sa.select(jobs.c.id).where(jobs.c.id == job_id, *self.conditions)
        return [one.correlate_except(jobs).scalar_subquery().is_not(None)]


def narrow(tx: Connection, filters: Filters) -> Narrowed:
    """The conditions of all filters."""
    found = [*conditions_of(tx, filters).values(), *within_times(filters, jobs.c.created_at)]
    found += [_has(tx, digest(key, value)) for key, value in filters.metadata.items()]
    return Narrowed(filters, found)


def _has(tx: Connection, label: str) -> Condition:
    also = labels.alias()
    its = (also.c.created_at == jobs.c.created_at, also.c.job_id == jobs.c.id)
    one = sa.select(also.c.job_id).where(only(tx, also), also.c.digest == label, *its)
    return one.correlate(jobs).scalar_subquery().is_not(None)


def gather(tx: Connection, narrowed: Narrowed) -> sa.Subquery | None:
    """(job_id, created_at) of all that the filters leave, to be sorted; None where that may be many."""
    if narrowed.is_everything:
        return None
    ways = _ways(tx, narrowed.filters)
    for most in (_FEW, MOST):
        counted = [sa.select(sa.func.count()).select_from(each.limit(most).subquery()) for each in ways]
        numbers = tx.execute(sa.select(*(each.scalar_subquery() for each in counted))).one()
        least = min(range(len(ways)), key=numbers.__getitem__)
        if numbers[least] < most:
            return _left(ways[least].limit(most), narrowed)
    return None


def _left(way: sa.Select[Any], narrowed: Narrowed) -> sa.Subquery:
    """Of the jobs on the rarest filter's way those that the others leave too."""
    lead = way.subquery()
    rows = sa.select(lead.c.job_id, lead.c.created_at).where(*narrowed.leaves(lead.c.job_id))
    return rows.limit(MOST).subquery()


def _ways(tx: Connection, filters: Filters) -> list[sa.Select[Any]]:
    """For each filter the jobs that it leaves, in the order of the index that finds them.

    Without that order PostgreSQL would rather read the table.
    """
    of = jobs.c
    ways: list[sa.Select[Any]] = []
    if filters.status:
        ways.append(_each(tx, of.status, filters.status))
    if filters.stop_reason:
        ways.append(_each(tx, of.stop_reason, filters.stop_reason))
    if filters.dataset is not None:
        ways.append(_each(tx, of.dataset_id, ids_called(tx, filters.dataset)))
    if filters.study is not None:
        ways.append(_each(tx, of.study_id, [filters.study]))
    if filters.name is not None:
        by_name = (of.name, of.created_at, of.id)
        ways.append(_shown().where(only(tx, jobs), conditions_of(tx, filters)["name"]).order_by(*by_name))
    if times := within_times(filters, of.created_at):
        ways.append(_shown().where(only(tx, jobs), *times).order_by(of.created_at, of.id))
    for key, value in filters.metadata.items():
        its = (only(tx, labels), labels.c.digest == digest(key, value))
        shown = sa.select(labels.c.job_id, labels.c.created_at).where(*its)
        ways.append(shown.order_by(labels.c.created_at, labels.c.job_id))
    return ways


def _shown() -> sa.Select[tuple[str, datetime]]:
    return sa.select(jobs.c.id.label("job_id"), jobs.c.created_at)


def _each(tx: Connection, column: sa.ColumnElement[Any], values: Any) -> sa.Select[Any]:
    """The jobs that have one of some values, one value after the other."""
    if not 1 < len(values) <= _MOST_VALUES:
        rows = _shown().where(only(tx, jobs), column.in_(values) if len(values) != 1 else column == values[0])
        return rows.order_by(jobs.c.created_at, jobs.c.id)
    parts = [
        sa.select(
            _shown()
            .where(only(tx, jobs), column == value)
            .order_by(jobs.c.created_at, jobs.c.id)
            .limit(MOST)
            .subquery()
        )
        for value in dict.fromkeys(values)
    ]
    return sa.select(sa.union_all(*parts).subquery())
