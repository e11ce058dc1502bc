"""The jobs that filters leave: gathered where they are few, else sets to sieve a list by.

What the rarest filter leaves is gathered and sorted if it is few. If each filter leaves many, the list is
walked along the index that it is sorted by, and sieved: what each filter leaves is put into a set, out of an
index alone, and whatever the walk comes by is looked up there. To look up the jobs themselves would take ten
times as long where those that a filter leaves all lie at the far end. Which it is, is counted, up to `MOST`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from store.dataset_names import ids_called
from store.jobs.filters import Condition, Filters, conditions_of, one_of, within_times
from store.jobs.labels import digest, having_all
from store.projects import only
from store.session import Connection
from store.tables import jobs, labels

MOST: Final = 10_000
"""Jobs that are gathered and sorted for a page; more are sieved."""
_ALL: Final = 10**12
_FEW: Final = 500
_MOST_VALUES: Final = 20
"""Values of one filter each of which is asked for by itself."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What filters leave."""

    few: sa.Subquery | None
    """(job_id, created_at) of all that they leave, to be sorted; None where that may be many."""
    sets: Sequence[sa.Select[Any]]
    """Ids of jobs, of other projects too: what is in all of them is left."""
    conditions: Sequence[Condition]
    """The same, asked of a row of `jobs`."""

    def sieve(self, job_id: sa.ColumnElement[str]) -> list[Condition]:
        """The condition that the filters leave one of this project's jobs, by sets: for many jobs."""
        return [job_id.in_(each) for each in self.sets]

    def look_up(self, job_id: sa.ColumnElement[str]) -> list[Condition]:
        """The same by a look at the job: for few."""
        return [_holds_of(job_id, self.conditions)]


def narrow(tx: Connection, filters: Filters) -> Narrowed:
    """Find out how filters are best applied."""
    ways = list(_ways(tx, filters))
    if not ways:
        return Narrowed(None, (), ())
    sets = [_in_order_of_its_index(tx, each) for each in _sets(tx, filters)]
    return Narrowed(_gather(tx, ways), sets, [each.condition for each in ways])


def _in_order_of_its_index(tx: Connection, rows: sa.Select[Any]) -> sa.Select[Any]:
    """The ids of a set.

    What is ordered and limited PostgreSQL takes from the index that has this order, whose entries are all
    that it needs; it would else go through the jobs themselves, which are large. SQLite never does.
    """
    is_sqlite = tx.dialect.name == "sqlite"
    ordered = rows.order_by(None) if is_sqlite else sa.select(rows.limit(_ALL).subquery())
    return ordered.with_only_columns(ordered.selected_columns[0])


def _sets(tx: Connection, filters: Filters) -> Iterator[sa.Select[Any]]:
    """For each filter the jobs that it leaves, each out of one index."""
    by_age = (jobs.c.created_at, jobs.c.id)
    for name, condition in conditions_of(tx, filters).items():
        # The indexes by dataset and by study know nothing of projects.
        within = () if name in ("dataset", "study") else (only(tx, jobs),)
        order = (jobs.c.name, *by_age) if name == "name" else by_age
        yield sa.select(jobs.c.id).where(*within, condition).order_by(*order)
    if times := within_times(filters, jobs.c.created_at):
        yield sa.select(jobs.c.id).where(only(tx, jobs), *times).order_by(*by_age)
    if filters.metadata:
        digests = [digest(key, value) for key, value in filters.metadata.items()]
        # PostgreSQL is quicker with a hash table for each label, SQLite with lookups in the index.
        for some in [digests] if tx.dialect.name == "sqlite" else [[each] for each in digests]:
            rows = sa.select(labels.c.job_id).where(*having_all(tx, some))
            yield rows.order_by(labels.c.created_at, labels.c.job_id)


@dataclass(frozen=True, slots=True)
class _Way:
    """What one filter leaves: (job_id, created_at), in the order of the index that finds them.

    Without that order PostgreSQL would rather read the table.
    """

    jobs: sa.Select[Any]
    condition: Condition
    """The same, asked of a row of `jobs`."""


def _gather(tx: Connection, ways: Sequence[_Way]) -> sa.Subquery | None:
    """What the filters leave, by the way of the one that leaves the fewest, if that is few."""
    for most in (_FEW, MOST):
        counted = [sa.select(sa.func.count()).select_from(each.jobs.limit(most).subquery()) for each in ways]
        numbers = tx.execute(sa.select(*(each.scalar_subquery() for each in counted))).one()
        least = min(range(len(ways)), key=numbers.__getitem__)
        if numbers[least] < most:
            others = [each.condition for each in ways if each is not ways[least]]
            return _left(ways[least].jobs.limit(most).subquery(), others)
    return None


def _left(lead: sa.Subquery, others: Sequence[Condition]) -> sa.Subquery:
    """Of these few jobs those that the other filters leave too."""
    rows = sa.select(lead.c.job_id, lead.c.created_at).limit(MOST)
    return (rows.where(_holds_of(lead.c.job_id, others)) if others else rows).subquery()


def _holds_of(job_id: sa.ColumnElement[str], conditions: Sequence[Condition]) -> Condition:
    """That conditions on a row of `jobs` hold of a job.

    As a subquery that answers a value they are asked of one job after the other; of a join or an `EXISTS`
    PostgreSQL might begin at the other end.
    """
    one = sa.select(jobs.c.id).where(jobs.c.id == job_id, *conditions)
    return one.correlate_except(jobs).scalar_subquery().is_not(None)


def _ways(tx: Connection, filters: Filters) -> Iterator[_Way]:
    """The way of each filter."""
    by_age, mine = (jobs.c.created_at, jobs.c.id), only(tx, jobs)
    every = sa.select(jobs.c.id.label("job_id"), jobs.c.created_at)
    for name, condition in conditions_of(tx, filters).items():
        if name == "name":
            yield _Way(every.where(mine, condition).order_by(jobs.c.name, *by_age), condition)
        elif name == "dataset":  # whose index knows nothing of projects, but the dataset is this one's
            yield _Way(
                _one_by_one(every, jobs.c.dataset_id, ids_called(tx, filters.dataset or "")), condition
            )
        elif name == "study":
            yield _Way(every.where(mine, condition).order_by(*by_age), condition)
        else:
            yield _Way(_one_by_one(every.where(mine), jobs.c[name], getattr(filters, name)), condition)
    if times := within_times(filters, jobs.c.created_at):
        yield _Way(every.where(mine, *times).order_by(*by_age), sa.and_(*times))
    for key, value in filters.metadata.items():
        label = digest(key, value)
        its = sa.select(labels.c.job_id, labels.c.created_at)
        its = its.where(only(tx, labels), labels.c.digest == label)
        yield _Way(its.order_by(labels.c.created_at, labels.c.job_id), _has(tx, label))


def _has(tx: Connection, label: str) -> Condition:
    also = labels.alias()
    its = (also.c.created_at == jobs.c.created_at, also.c.job_id == jobs.c.id)
    one = sa.select(also.c.job_id).where(only(tx, also), also.c.digest == label, *its)
    return one.correlate(jobs).scalar_subquery().is_not(None)


def _one_by_one(
    every: sa.Select[Any], column: sa.ColumnElement[Any], values: Sequence[str]
) -> sa.Select[Any]:
    """The jobs that have one of some values, one value after the other."""
    by_age = (jobs.c.created_at, jobs.c.id)
    if not 1 < len(values) <= _MOST_VALUES:
        return every.where(one_of(column, values)).order_by(*by_age)
    distinct = dict.fromkeys(values)
    parts = [every.where(column == value).order_by(*by_age).limit(MOST).subquery() for value in distinct]
    return sa.select(sa.union_all(*(sa.select(part) for part in parts)).subquery())
