"""Datasets: what was uploaded or bundled, what it holds, and where its table lies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from store import ids, row_sizes, usage
from store.columns import json_text, now
from store.errors import DatasetInUse, NotFound
from store.files import Stored
from store.names import match_name
from store.pages import Page, Sort, paged, to_page
from store.projects import current, here, only, own
from store.session import Connection
from store.tables import DEFAULT_PROJECT, datasets, jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A dataset as lists show it."""

    id: str
    project_id: str
    name: str
    filename: str | None
    bundled: bool
    sha256: str
    """Of the uploaded bytes."""
    bytes: int
    target: str
    task: str
    rows: int
    features: int
    table_key: str
    """Where the table lies in the file store, as the workers read it."""
    table_sha256: str
    table_bytes: int
    metadata: dict[str, Any]
    user_notes: str | None
    """What people wrote about it."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset(Listed):
    """A dataset with its description: columns, classes, notes."""

    description: dict[str, Any]


_LISTED = [datasets.c[field.name] for field in fields(Listed)]
_WHOLE = [datasets.c[field.name] for field in fields(Dataset)]
# Built once: to build a statement, and to find out that it was built before, takes longer than to execute it.
_ONE = sa.select(*_WHOLE).where(datasets.c.id == sa.bindparam("dataset_id"), own(datasets))
_BUNDLED = (
    sa.select(*_WHOLE)
    .where(own(datasets), datasets.c.name == sa.bindparam("name"), datasets.c.bundled)
    .limit(1)
)


def select_listed() -> sa.Select[Any]:
    """SELECT of datasets without their descriptions."""
    return sa.select(*_LISTED)


def table_key(dataset_id: str) -> str:
    """Where a dataset's table goes in the file store."""
    return f"datasets/{dataset_id}.parquet"


def add(
    tx: Connection,
    *,
    name: str,
    sha256: str,
    size: int,
    target: str,
    task: str,
    rows: int,
    features: int,
    description: Mapping[str, Any],
    table: Stored,
    dataset_id: str | None = None,
    filename: str | None = None,
    bundled: bool = False,
) -> tuple[Dataset, bool]:
    """A new dataset and True; or the one that the same bytes, target and task gave before, and False.

    Take `dataset_id` from `ids.new("ds")` beforehand: the table is stored under it before the row is written,
    so that a row never points to a file that is not there.
    """
    identity = {"project_id": current(tx), "sha256": sha256, "target": target, "task": task}
    described = {"rows": rows, "features": features, "description": dict(description), "bytes": size}
    where = {"table_key": table.key, "table_sha256": table.sha256, "table_bytes": table.bytes}
    values = {**identity, **described, **where, "name": name, "filename": filename, "bundled": bundled}
    row_bytes = row_sizes.DATASET + row_sizes.of_documents([values["description"]])
    insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(datasets)
    fresh = insert.values(
        id=dataset_id or ids.new("ds"), row_bytes=row_bytes, **values
    ).on_conflict_do_nothing()
    # Not by `rowcount`, which psycopg's results do not tell of an INSERT.
    created = tx.execute(fresh.returning(datasets.c.id)).first() is not None
    if created and not bundled:
        usage.charge(tx, identity["project_id"], stored_bytes=table.bytes + row_bytes)
    same = [datasets.c[column] == value for column, value in identity.items()]
    return Dataset(**tx.execute(sa.select(*_WHOLE).where(*same)).one()._mapping), created


def get(tx: Connection, dataset_id: str) -> Dataset:
    """A dataset by its id; `NotFound` where there is none in this project."""
    known = ids.possible(dataset_id)
    row = tx.execute(_ONE, {"dataset_id": dataset_id, **here(tx)}).one_or_none() if known else None
    if row is None:
        raise NotFound("dataset", dataset_id)
    return Dataset(**row._mapping)


def same(tx: Connection, *, sha256: str, target: str, task: str) -> Dataset | None:
    """The dataset that these bytes gave before with this target and task."""
    identity = {"project_id": current(tx), "sha256": sha256, "target": target, "task": task}
    row = tx.execute(sa.select(*_WHOLE).filter_by(**identity)).one_or_none()
    return None if row is None else Dataset(**row._mapping)


def find_bundled(tx: Connection, name: str) -> Dataset | None:
    """The bundled dataset of this name, once it has been stored."""
    row = tx.execute(_BUNDLED, {"name": name, **here(tx)}).one_or_none()
    return None if row is None else Dataset(**row._mapping)


def share_bundled(tx: Connection, names: Iterable[str]) -> None:
    """Give this project rows of its own for the default project's bundled datasets, over the same files."""
    theirs = (datasets.c.project_id == DEFAULT_PROJECT, datasets.c.bundled, datasets.c.name.in_(list(names)))
    insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(datasets)
    own = {"project_id": current(tx), "created_at": now()}
    # In the order of their creation, so that every project lists them alike.
    for row in tx.execute(sa.select(datasets).where(*theirs).order_by(datasets.c.created_at, datasets.c.id)):
        values = {**row._mapping, **own, "id": ids.new("ds")}
        tx.execute(insert.values(values).on_conflict_do_nothing())


def edit(
    tx: Connection, dataset_id: str, change: Callable[[Dataset], tuple[str, Mapping[str, Any], str | None]]
) -> Dataset:
    """Call a dataset otherwise, or say something else of it: `change` answers name, metadata and notes."""
    mine = sa.select(*_WHOLE).where(datasets.c.id == dataset_id, only(tx, datasets))
    # A weaker lock than a deletion's: whoever submits a job on it holds the project's row, which is wanted
    # here next, and asks that the dataset stays, for which he need not wait.
    mine = mine.with_for_update(key_share=True)
    row = tx.execute(mine).one_or_none() if ids.possible(dataset_id) else None
    if row is None:
        raise NotFound("dataset", dataset_id)
    before = Dataset(**row._mapping)
    name, metadata, notes = change(before)
    edited = replace(before, name=name, metadata=dict(metadata), user_notes=notes)
    if _saying(edited) == _saying(before):
        return before
    more = _said_bytes(edited) - _said_bytes(before)
    values = {"name": name, "metadata": edited.metadata, "user_notes": notes}
    grown = datasets.c.row_bytes + more
    tx.execute(datasets.update().where(datasets.c.id == before.id).values(**values, row_bytes=grown))
    if not before.bundled:
        usage.charge(tx, before.project_id, stored_bytes=more)
    return edited


def _saying(dataset: Listed) -> tuple[str, str | None, bytes]:
    return dataset.name, dataset.user_notes, json_text(dataset.metadata)


def _said_bytes(dataset: Listed) -> int:
    """What people say of a dataset takes; nothing at first."""
    return row_sizes.of_documents([dataset.metadata or None]) + row_sizes.of_text(dataset.user_notes)


def page(
    tx: Connection,
    *,
    name: str | None = None,
    sort: Sort = "-created_at",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Listed]:
    """One page of a project's datasets, without their descriptions."""
    statement = sa.select(*_LISTED).where(only(tx, datasets))
    if name is not None:
        statement = statement.where(match_name(datasets.c.name, name))
    rows = tx.execute(
        paged(statement, datasets.c.created_at, datasets.c.id, sort=sort, cursor=cursor, limit=limit)
    )
    return to_page([Listed(**row._mapping) for row in rows], limit, lambda row: (row.created_at, row.id))


def delete(tx: Connection, dataset_id: str) -> list[str]:
    """Delete a dataset that no job uses. Answers the keys of its files, to be deleted after the commit."""
    mine = (datasets.c.id == dataset_id, only(tx, datasets))
    # The lock keeps jobs from being added to it between the count and the deletion.
    held = sa.select(datasets.c.table_key).where(*mine).with_for_update()
    key = tx.execute(held).scalar() if ids.possible(dataset_id) else None
    if key is None:
        raise NotFound("dataset", dataset_id)
    its = sa.select(jobs.c.id).where(jobs.c.dataset_id == dataset_id).order_by(jobs.c.created_at, jobs.c.id)
    uses = len(tx.execute(its.limit(DatasetInUse.MOST_COUNTED)).all())
    if uses:
        raise DatasetInUse(dataset_id, uses)
    usage.forget_datasets(tx, [dataset_id])
    tx.execute(datasets.delete().where(datasets.c.id == dataset_id))
    return [key]


def known(tx: Connection, keys: Iterable[str]) -> set[str]:
    """Those of the keys that a row points to; a file under any other is an orphan."""
    return set(
        tx.execute(sa.select(datasets.c.table_key).where(datasets.c.table_key.in_(list(keys)))).scalars()
    )
