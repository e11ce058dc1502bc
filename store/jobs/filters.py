"""What a list of jobs may be narrowed by, as conditions on their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from store.dataset_names import ids_called
from store.names import is_prefix, match_name
from store.session import Connection
from store.tables import jobs

Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of jobs may be narrowed by; None and empty mean any."""

    status: Sequence[str] = ()
    stop_reason: Sequence[str] = ()
    dataset: str | None = None
    """A dataset's id or name, or its name, `@` and the first letters of its sha256."""
    study: str | None = None
    name: str | None = None
    """A name, or with a `*` behind it how names begin."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_after: datetime | None = None
    created_before: datetime | None = None

    @property
    def has_prefix(self) -> bool:
        """Whether jobs are asked for whose names begin alike."""
        return self.name is not None and is_prefix(self.name)


def conditions_of(tx: Connection, filters: Filters, table: sa.FromClause = jobs) -> dict[str, Condition]:
    """What each filter asks of a row of `jobs`, metadata aside, by the filter's name."""
    of = table.c
    found: dict[str, Condition] = {}
    if filters.status:
        found["status"] = one_of(of.status, filters.status)
    if filters.stop_reason:
        found["stop_reason"] = one_of(of.stop_reason, filters.stop_reason)
    if filters.dataset is not None:
        found["dataset"] = one_of(of.dataset_id, ids_called(tx, filters.dataset))
    if filters.study is not None:
        found["study"] = of.study_id == filters.study
    if filters.name is not None:
        found["name"] = match_name(of.name, filters.name)
    return found


def within_times(filters: Filters, created_at: sa.ColumnElement[datetime]) -> list[Condition]:
    """Between which moments a job was submitted, which themselves are left out."""
    after = [created_at > filters.created_after] if filters.created_after else []
    before = [created_at < filters.created_before] if filters.created_before else []
    return [*after, *before]


def one_of(column: sa.ColumnElement[Any], values: Sequence[str]) -> Condition:
    """Equality where it can be: an index then gives the rows in the page's order."""
    return column == values[0] if len(values) == 1 else column.in_(values)
