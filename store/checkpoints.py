"""Where a job's checkpoints lie: from the newest of them its next attempt goes on.

Each is one file, under a name of its own that holds the fence and is never written twice, and one row. Two
are kept, so that a damaged file costs one checkpoint and not the job. Rows are written and deleted in the
transaction that makes it so; files are put before it and deleted after it, and what lies between is swept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from store import curves, row_sizes, usage
from store.errors import GapInCurve
from store.events import Entry, write
from store.fences import mine
from store.files import Stored
from store.session import Connection
from store.tables import checkpoints, jobs

KEPT = 2


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place to go on from."""

    job_id: str
    number: int
    """From 1, rising; after one that was damaged, a number may come again under another fence."""
    fence: int
    """The claim under which it was taken."""
    epoch: int
    """Epochs that were completed, all of them recorded."""
    batch: int
    """Batches done of the epoch that had begun."""
    key: str
    sha256: str
    bytes: int
    created_at: datetime


def key(job_id: str, fence: int, number: int) -> str:
    """Where an attempt's checkpoint goes: no other attempt writes there, and this one once."""
    return f"checkpoints/{job_id}.{fence}.{number}.safetensors"


def add(
    tx: Connection, job_id: str, fence: int, stored: Stored, *, number: int, epoch: int, batch: int
) -> list[str] | None:
    """Point to a running job's newest checkpoint; None where the job is no longer yours.

    Answers the keys of those that are kept no longer, to delete after the commit. The curve must be recorded
    up to the checkpoint's epoch, no more and no less, or going on from it would leave a gap.
    """
    held = sa.select(jobs.c.epoch, jobs.c.project_id).where(*mine(job_id, fence)).with_for_update()
    job = tx.execute(held).one_or_none()
    if job is None:
        return None
    if job.epoch != epoch:
        raise GapInCurve(f"the checkpoint is of epoch {epoch}, and the curve ends with epoch {job.epoch}")
    superseded = of(tx, job_id)[KEPT - 1 :]
    _delete(tx, job_id, [one.number for one in superseded])
    values = {"key": stored.key, "sha256": stored.sha256, "bytes": stored.bytes, "fence": fence}
    tx.execute(checkpoints.insert().values(job_id=job_id, number=number, epoch=epoch, batch=batch, **values))
    usage.charge(tx, job.project_id, stored_bytes=stored.bytes - sum(one.bytes for one in superseded))
    return [one.key for one in superseded]


def of(tx: Connection, job_id: str) -> list[Checkpoint]:
    """A job's checkpoints, the newest first."""
    chosen = sa.select(checkpoints).where(checkpoints.c.job_id == job_id)
    return [Checkpoint(**row._mapping) for row in tx.execute(chosen.order_by(checkpoints.c.number.desc()))]


def fall_back(tx: Connection, job_id: str, fence: int, damaged: Checkpoint, *, why: str) -> bool:
    """Give up a checkpoint that cannot be read, and rewind the curve to the one before it, or to the start.

    False where the job is no longer yours. The file is left to be swept: somebody may want to look at it.
    """
    columns = (jobs.c.epoch, jobs.c.attempt, jobs.c.project_id)
    held = sa.select(*columns).where(*mine(job_id, fence)).with_for_update()
    row = tx.execute(held).one_or_none()
    if row is None:
        return False
    _delete(tx, job_id, [damaged.number])
    epoch = next((one.epoch for one in of(tx, job_id)), 0)
    where = f"goes on from epoch {epoch}" if epoch else "starts over"
    entries = [Entry("warning", {"detail": f"a checkpoint cannot be used, and the job {where}: {why}"})]
    if row.epoch > epoch:
        curves.rewind(tx, job_id, epoch)
        entries.append(Entry("rewound", {"epoch": epoch, "attempt": row.attempt}))
    more = row_sizes.of_entries(entries)
    values = {
        "epoch": epoch,
        "last_event": jobs.c.last_event + len(entries),
        "row_bytes": jobs.c.row_bytes + more,
    }
    taken = jobs.update().where(*mine(job_id, fence)).values(values).returning(jobs.c.last_event)
    write(tx, [(job_id, tx.execute(taken).scalar_one())], entries)
    usage.charge(tx, row.project_id, stored_bytes=more - damaged.bytes)
    return True


def forget(tx: Connection, job_id: str, project_id: str) -> list[str]:
    """A job that has ended goes on from nowhere; answers the keys, to delete after the commit."""
    rows = tx.execute(_FORGET, {"forgotten": job_id}).all()
    usage.charge(tx, project_id, stored_bytes=-sum(row.bytes for row in rows))
    return [row.key for row in rows]


_FORGET = (
    checkpoints.delete()
    .where(checkpoints.c.job_id == sa.bindparam("forgotten"))
    .returning(checkpoints.c.key, checkpoints.c.bytes)
)


def _delete(tx: Connection, job_id: str, numbers: Iterable[int]) -> None:
    its = (checkpoints.c.job_id == job_id, checkpoints.c.number.in_(list(numbers)))
    tx.execute(checkpoints.delete().where(*its))


def known(tx: Connection, keys: Iterable[str]) -> set[str]:
    """Those of the keys that a row points to; a file under any other is an orphan."""
    chosen = sa.select(checkpoints.c.key).where(checkpoints.c.key.in_(list(keys)))
    return set(tx.execute(chosen).scalars())
