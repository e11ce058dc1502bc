"""Writing on trial: what a transaction would leave behind, taken back again.

The next trial finds all as it was, so a job is brought into a state once for everything tried with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

from store.session import BEFORE_COMMIT, Connection, Database
from store.tables import metadata

Rows = list[tuple[str, str]]
"""Every row of every table: the table's name, and the row as its database writes it."""


@dataclass
class Trial:
    """A transaction that is never committed."""

    tx: Connection
    after: Rows = field(default_factory=list)
    """What it leaves, with all that is done before a commit; known once it is over."""


class _TakenBackError(Exception):
    """What was written on trial is not to stay."""


@contextmanager
def on_trial(database: Database) -> Iterator[Trial]:
    """A transaction that does everything but commit."""
    try:
        with database.writing() as tx:
            trial = Trial(tx)
            yield trial
            for act in tx.get_execution_options()[BEFORE_COMMIT].values():
                act(tx)
            trial.after = _rows(tx)
            raise _TakenBackError
    except _TakenBackError:
        pass


def rows_of(database: Database) -> Rows:
    """What is there without any trial."""
    with database.reading() as tx:
        return _rows(tx)


def _rows(tx: Connection) -> Rows:
    """In one statement: a round trip for each table would take longer than all the rest."""
    write = {"postgresql": _written_by_postgresql, "sqlite": _written_by_sqlite}[tx.dialect.name]
    selects = (f"SELECT '{table.name}', {write(table)} FROM {table.name}" for table in metadata.sorted_tables)
    return sorted((name, row) for name, row in tx.exec_driver_sql(" UNION ALL ".join(selects)))


def _written_by_postgresql(table: sa.Table) -> str:
    return f"{table.name}::text"


def _written_by_sqlite(table: sa.Table) -> str:
    return " || ',' || ".join(f'quote("{name}")' for name in table.columns.keys())  # noqa: SIM118 — not a dict
