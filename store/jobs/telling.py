"""What a change of status says: in the job's log, and to the webhooks that want to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from store import outbox
from store.events import Entry, write
from store.session import Connection


def told(status: str, **more: Any) -> Entry:
    """The entry of a new status."""
    return Entry("status", {"status": status, **more})


def tell(tx: Connection, numbered: Sequence[tuple[str, int]], entries: Sequence[Entry]) -> None:
    """Say so of jobs, each with the last number of its log, which has been taken for this."""
    write(tx, numbered, entries)
    outbox.announce(tx, [job_id for job_id, _ in numbered])
