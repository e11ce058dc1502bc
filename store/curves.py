"""The learning curve: one row for each epoch, numbered from 1 without gaps or repeats, whatever crashed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
import sqlalchemy as sa

from store import nonfinite
from store.columns import now
from store.errors import GapInCurve
from store.fences import mine
from store.projects import owned
from store.session import Connection
from store.tables import jobs, points


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured at the end of one epoch."""

    epoch: int
    """From 1."""
    values: Mapping[str, float]
    """Series name → number, NaN and infinities included."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve in columns."""

    epochs: list[int] = field(default_factory=list)
    series: dict[str, list[float | None]] = field(default_factory=dict)
    """For each series a number per epoch; None where it was not finite or not measured."""
    nonfinite: dict[str, dict[int, str]] = field(default_factory=dict)
    """Series → epoch → `nan`, `inf` or `-inf`."""


def record(
    tx: Connection,
    job_id: str,
    fence: int,
    epochs: Sequence[Point],
    *,
    epochs_per_second: float | None = None,
) -> bool:
    """Add epochs to a running job's curve, many at a time; False where the job is no longer yours.

    Repeating a call whose answer was lost is harmless: epochs already there are passed over. Epochs that
    would leave a gap raise `GapInCurve`.
    """
    if not epochs:
        return True
    if _record_following(tx, job_id, fence, epochs, epochs_per_second):
        return True
    there = _recorded(tx, job_id, fence)
    if there is None:
        return False
    missing = [point for point in epochs if point.epoch > there]
    if missing == list(epochs):
        raise GapInCurve(f"epoch {epochs[0].epoch} cannot follow epoch {there}")
    return not missing or _record_following(tx, job_id, fence, missing, epochs_per_second)


def _record_following(
    tx: Connection, job_id: str, fence: int, epochs: Sequence[Point], epochs_per_second: float | None
) -> bool:
    """Write epochs if the first follows the last one there, under this fence."""
    numbers = [point.epoch for point in epochs]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise GapInCurve(f"epochs must follow each other, and these are {numbers[:10]}")
    values = {
        "last_event": jobs.c.last_event + len(epochs),
        "epoch": numbers[-1],
        "epochs_per_second": epochs_per_second,
        "progress_at": now(),
    }
    following = (*mine(job_id, fence), jobs.c.epoch == numbers[0] - 1)
    last = tx.execute(jobs.update().where(*following).values(values).returning(jobs.c.last_event)).scalar()
    if last is None:
        return False
    tx.execute(points.insert(), list(_rows(job_id, last - len(epochs) + 1, epochs)))
    return True


def _recorded(tx: Connection, job_id: str, fence: int) -> int | None:
    return tx.execute(sa.select(jobs.c.epoch).where(*mine(job_id, fence))).scalar()


def _rows(job_id: str, first: int, epochs: Iterable[Point]) -> Iterable[dict[str, object]]:
    for number, point in enumerate(epochs, first):
        values, kinds = nonfinite.split(point.values)
        yield {
            "job_id": job_id,
            "epoch": point.epoch,
            "event": number,
            "values": values,
            "nonfinite": kinds or None,
        }


def rewind(tx: Connection, job_id: str, epoch: int) -> bool:
    """Delete what was recorded behind an epoch, in the transaction that sets the job back; was there any?"""
    behind = (points.c.job_id == job_id, points.c.epoch > epoch)
    return tx.execute(points.delete().where(*behind)).rowcount > 0


def read(
    tx: Connection,
    job_id: str,
    *,
    after: int = 0,
    series: Sequence[str] | None = None,
    limit: int | None = None,
) -> Curve:
    """The curve behind epoch `after`, all series or those named; a name never recorded is left out."""
    text, nonfinite = (sa.cast(points.c[name], sa.Text) for name in ("values", "nonfinite"))
    chosen = (
        sa.select(points.c.epoch, text, nonfinite)
        .where(points.c.job_id == owned(tx, job_id), points.c.epoch > after)
        .order_by(points.c.epoch)
        .limit(limit)
    )
    rows = tx.execute(chosen).all()
    # All epochs are parsed as one document: a call for each would be most of what a curve costs to read.
    columns = _columns(orjson.loads(f"[{','.join(row[1] for row in rows)}]"))
    if series is not None:
        columns = {name: columns[name] for name in dict.fromkeys(series) if name in columns}
    curve = Curve([row[0] for row in rows], columns)
    for epoch, _, found in rows:
        for name, kind in orjson.loads(found).items() if found else ():
            if name in curve.series:
                curve.nonfinite.setdefault(name, {})[epoch] = kind
    return curve


def _columns(epochs: list[dict[str, float | None]]) -> dict[str, list[float | None]]:
    """Series → a number per epoch, in the order in which they first appear."""
    names = dict.fromkeys(name for each in epochs[:1] for name in each)
    if all(each.keys() == names.keys() for each in epochs):
        return {name: [each[name] for each in epochs] for name in names}
    names |= dict.fromkeys(name for each in epochs for name in each)
    return {name: [each.get(name) for each in epochs] for name in names}


def series_of(tx: Connection, job_id: str) -> list[str]:
    """The names of the series that the last epoch recorded; empty before the first."""
    last = (
        sa.select(points.c["values"])
        .where(points.c.job_id == owned(tx, job_id))
        .order_by(points.c.epoch.desc())
        .limit(1)
    )
    return list(tx.execute(last).scalar() or {})
