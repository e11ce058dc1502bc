"""What PostgreSQL's planner may choose from, for statements whose cost must not depend on what it believes.

Statistics are old wherever much has been written lately, and may be none at all. Where one way is right
whatever the sizes, the others are taken away for a few statements. SQLite plans by the indexes alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

import sqlalchemy as sa

from store.session import Connection

Way = Literal["seqscan", "bitmapscan", "nestloop"]
_SETTING: Final = "enable_{}"


@contextmanager
def without(tx: Connection, *ways: Way) -> Iterator[None]:
    """Statements within go through no table, gather no rows before they are sorted, or join by no loops."""
    if tx.dialect.name != "postgresql" or not ways:
        yield
        return
    _switch(tx, ways, "off")
    yield
    # Where an error is raised the transaction is over, and with it what was switched off for it.
    _switch(tx, ways, "on")


def _switch(tx: Connection, ways: tuple[Way, ...], to: str) -> None:
    chosen = (sa.func.set_config(_SETTING.format(way), to, True) for way in ways)
    tx.execute(sa.select(*chosen))
