"""What several processes count together and the web's door tells: the numbers only ever go up.

A count joins the transaction of what it counts, so nothing is counted that did not happen. Each is one row,
and whoever counts holds that row until it commits: count what is rare, never what every job does.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from store.session import Connection
from store.tables import counters


def add(tx: Connection, name: str, number: int = 1) -> None:
    """Count so many more; counting none writes nothing."""
    if not number:
        return
    insert = (sqlite if tx.dialect.name == "sqlite" else postgresql).insert(counters)
    counted = {"value": counters.c.value + number}
    tx.execute(
        insert.values(name=name, value=number).on_conflict_do_update(
            index_elements=[counters.c.name], set_=counted
        )
    )


def read(tx: Connection) -> dict[str, int]:
    """Everything that was ever counted, by name."""
    rows = tx.execute(sa.select(counters.c.name, counters.c.value))
    return {row.name: row.value for row in rows}
