"""The numbers that came of a job, each in a row of its own, in the order of the lists that are sorted by it.

They are written once, in the transaction that ends the job, from the very document that becomes its `result`;
after that they change no more, and go with their job.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeGuard

import sqlalchemy as sa

from store import row_sizes, usage
from store.projects import only
from store.session import Connection
from store.tables import jobs, scores

_SPLITS: Final = {"train": "train_", "validation": "val_", "test": "test_"}
"""The part of a result that is about a split → what the names of its numbers begin with."""
_PLAIN: Final = {"generalization_gap": "gap", "best_epoch": "best_epoch", "parameters": "parameters"}
DURATION: Final = "duration"
_MOST_SHAPES: Final = 200
_LONGEST_NAME: Final = 100
_LEFT_OUT: Final = frozenset({"loss_se"})
"""How far a number may be off is nothing to choose by."""


def numbers_in(result: Mapping[str, Any] | None) -> dict[str, float]:
    """Name → number, of the finite ones among a result: `val_loss`, `test_roc_auc`, `gap`, `best_epoch`, …"""
    if not result:
        return {}
    found = {name: result.get(field) for field, name in _PLAIN.items()}
    for split, prefix in _SPLITS.items():
        measured = result.get(split)
        if isinstance(measured, Mapping):
            found |= {f"{prefix}{name}": each for name, each in measured.items() if name not in _LEFT_OUT}
    known = {name: each for name, each in found.items() if len(name) <= _LONGEST_NAME}
    return {name: float(each) for name, each in known.items() if _is_finite(each)}


def _is_finite(value: Any) -> TypeGuard[float]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # A comparison with a NaN is false.
    return is_number and abs(value) <= sys.float_info.max


def duration_of(started_at: datetime | None, ended_at: datetime | None) -> float | None:
    """Seconds from a job's start to its end, as they are shown; None where it never began."""
    if started_at is None or ended_at is None:
        return None
    return round(max((ended_at - started_at).total_seconds(), 0.0), 3)


def write(
    tx: Connection,
    job_id: str,
    project_id: str,
    *,
    result: Mapping[str, Any] | None,
    started_at: datetime | None,
    finished_at: datetime | None,
) -> None:
    """Put down what came of a job that ends with this transaction."""
    numbers = numbers_in(result)
    duration = duration_of(started_at, finished_at)
    if duration is not None:
        numbers[DURATION] = duration
    if numbers:
        shared = {"project_id": project_id, "job_id": job_id}
        rows = [{**shared, "name": name, "value": each} for name, each in numbers.items()]
        tx.execute(scores.insert(), rows)
        more = row_sizes.SCORE * len(rows)
        its = {"shape": shape_of(numbers), "row_bytes": jobs.c.row_bytes + more}
        tx.execute(jobs.update().where(jobs.c.id == job_id).values(its))
        usage.charge(tx, project_id, stored_bytes=more)


# ── who lacks a number ──────────────────────────────────────────────────────────────────────────────────────


def shape_of(names: Iterable[str]) -> int:
    """What stands for the names of all numbers of a job; equal for jobs that have the same, as most have."""
    return sum(weight_of(name) for name in names)


def weight_of(name: str) -> int:
    """What a name adds to a shape: 48 bits, so that no two sets of names have one sum but by rare chance."""
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=6).digest())


def shapes_without(tx: Connection, name: str) -> list[int] | None:
    """The shapes of this project's jobs in which a number is missing; None where there are too many.

    Found by stepping from one shape to the next in an index, with one job of each looked at.
    """
    mine = only(tx, jobs)
    first = sa.select(sa.func.min(jobs.c.shape).label("shape")).where(mine)
    steps = first.cte("steps", recursive=True)
    following = sa.select(sa.func.min(jobs.c.shape)).where(mine, jobs.c.shape > steps.c.shape)
    steps = steps.union_all(
        sa.select(following.correlate(steps).scalar_subquery()).where(steps.c.shape.is_not(None))
    )
    one = sa.select(jobs.c.id).where(mine, jobs.c.shape == steps.c.shape)
    one = one.order_by(jobs.c.created_at, jobs.c.id).limit(1).correlate(steps)
    has = sa.select(scores.c.value).where(scores.c.job_id == one.scalar_subquery(), scores.c.name == name)
    found = sa.select(steps.c.shape, has.correlate(steps).scalar_subquery().label("value"))
    rows = tx.execute(found.where(steps.c.shape.is_not(None)).limit(_MOST_SHAPES + 1)).all()
    return [row.shape for row in rows if row.value is None] if len(rows) <= _MOST_SHAPES else None
