"""Retention: `python -m store.prune --older-than 30` deletes jobs that ended so many days ago.

For whoever runs an installation: over all projects, with curves, logs and weights, a hundred jobs at a time
so that nobody waits for long. It may be broken off and run again; files that a crash leaves behind are
orphans, and the reconciler sweeps those.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from store import usage
from store.columns import now
from store.errors import StoreError
from store.files import Files
from store.jobs import FINAL
from store.session import Connection, Database
from store.settings import Settings
from store.tables import checkpoints, datasets, jobs, weights

_AT_ONCE = 100
_DAY = 86_400.0


@dataclass(slots=True)
class Pruned:
    """What was deleted, or would be."""

    jobs: int = 0
    datasets: int = 0
    files: int = 0


def prune(
    database: Database,
    files: Files,
    *,
    older_than_days: float,
    statuses: Sequence[str] = FINAL,
    project_id: str | None = None,
    unused_datasets: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Delete jobs that ended before then, and on request datasets of that age that no job uses."""
    pruned = Pruned()
    old = _old_jobs(older_than_days, statuses, project_id)
    pruned.jobs = _remove(database, files, jobs, old, pruned, dry_run=dry_run)
    if unused_datasets:
        unused = _unused_datasets(older_than_days, project_id)
        pruned.datasets = _remove(database, files, datasets, unused, pruned, dry_run=dry_run)
    return pruned


def _old_jobs(days: float, statuses: Sequence[str], project_id: str | None) -> list[sa.ColumnElement[bool]]:
    ended = jobs.c.status.in_([status for status in statuses if status in FINAL])
    return [ended, jobs.c.finished_at < now(-_DAY * days), *_of(jobs, project_id)]


def _unused_datasets(days: float, project_id: str | None) -> list[sa.ColumnElement[bool]]:
    used = sa.exists().where(jobs.c.dataset_id == datasets.c.id)
    old = datasets.c.created_at < now(-_DAY * days)
    return [old, ~used, datasets.c.bundled.is_(False), *_of(datasets, project_id)]


def _of(table: sa.Table, project_id: str | None) -> list[sa.ColumnElement[bool]]:
    return [] if project_id is None else [table.c.project_id == project_id]


def _remove(
    database: Database,
    files: Files,
    table: sa.Table,
    conditions: Sequence[sa.ColumnElement[bool]],
    pruned: Pruned,
    *,
    dry_run: bool,
) -> int:
    """How many rows; their files are deleted after the rows, so that no row ever points to nothing."""
    forget = usage.forget_jobs if table is jobs else usage.forget_datasets
    removed, last = 0, ""
    while True:
        some = (
            sa.select(table.c.id).where(*conditions, table.c.id > last).order_by(table.c.id).limit(_AT_ONCE)
        )
        with database.reading() if dry_run else database.writing() as tx:
            ids = list(tx.execute(some if dry_run else some.with_for_update()).scalars())
            # Asked again now that they are held: a job may have been added to a dataset before it was.
            still = sa.select(table.c.id).where(table.c.id.in_(ids), *conditions)
            chosen = list(tx.execute(still).scalars())
            keys = _keys(tx, chosen)
            if not dry_run:
                forget(tx, chosen)
                tx.execute(table.delete().where(table.c.id.in_(chosen)))
        if not ids:
            return removed
        for key in () if dry_run else keys:
            files.delete(key)
        removed, last = removed + len(chosen), ids[-1]
        pruned.files += len(keys)


def _keys(tx: Connection, ids: Sequence[str]) -> list[str]:
    """The files that these jobs, or datasets, are the only ones to point to."""
    pieces = (
        sa.select(weights.c.key).where(weights.c.job_id.in_(ids)),
        sa.select(checkpoints.c.key).where(checkpoints.c.job_id.in_(ids)),
        sa.select(datasets.c.table_key).where(datasets.c.id.in_(ids)),
    )
    return [key for piece in pieces for key in tx.execute(piece).scalars()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prune what the settings name."""
    parser = argparse.ArgumentParser(prog="python -m store.prune", description="Delete what ended long ago.")
    parser.add_argument("--older-than", type=float, required=True, metavar="DAYS")
    parser.add_argument("--status", choices=FINAL, action="append", help="only these; all unless given")
    parser.add_argument("--project", help="only this project's")
    parser.add_argument("--unused-datasets", action="store_true", help="also datasets that no job uses")
    parser.add_argument("--dry-run", action="store_true", help="count, and delete nothing")
    asked = parser.parse_args(arguments)
    settings = Settings()
    with Database(settings.database) as database:
        try:
            pruned = prune(
                database,
                Files(settings.files),
                older_than_days=asked.older_than,
                statuses=asked.status or FINAL,
                project_id=asked.project,
                unused_datasets=asked.unused_datasets,
                dry_run=asked.dry_run,
            )
        except StoreError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    verb = "would be deleted" if asked.dry_run else "deleted"
    sys.stdout.write(f"{pruned.jobs:,} jobs, {pruned.datasets:,} datasets, {pruned.files:,} files {verb}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
