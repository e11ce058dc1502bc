"""The statements that a piece of code sends, and the plans the database makes for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from store.session import Connection

Statement = tuple[str, Any]


@contextmanager
def statements(tx: Connection) -> Iterator[list[Statement]]:
    """Gather what is sent on a connection, but for the beginnings of transactions."""
    sent: list[Statement] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if not statement.startswith("BEGIN"):
            sent.append((statement, parameters))

    sa.event.listen(tx, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(tx, "before_cursor_execute", note)


def plan(tx: Connection, statement: Statement) -> str:
    """How the database would run it, were its tables too large to be scanned."""
    text, parameters = statement
    if tx.dialect.name == "sqlite":
        rows = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)
        return "\n".join(row.detail for row in rows)
    for choice in ("enable_seqscan", "enable_bitmapscan"):
        tx.exec_driver_sql(f"SET LOCAL {choice} = off")
    return "\n".join(tx.exec_driver_sql(f"EXPLAIN {text}", parameters).scalars())


def sorts(found: str) -> bool:
    """Whether a plan gathers and sorts rows before it can answer the first."""
    return "TEMP B-TREE" in found or "Sort " in found


def scans(found: str) -> bool:
    """Whether a plan goes through a whole table."""
    return "Seq Scan" in found or any(
        line.startswith("SCAN") and "INDEX" not in line for line in found.splitlines()
    )
