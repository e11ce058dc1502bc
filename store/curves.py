"""The learning curve: one row for each epoch, numbered from 1 without gaps or repeats, whatever crashed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa

from store import nonfinite
from store.columns import now
from store.errors import GapInCurve
from store.fences import held
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


@dataclass(frozen=True, slots=True)
class Recording:
    """Epochs of a running job, to be added to its curve."""

    job_id: str
    fence: int
    epochs: Sequence[Point]
    epochs_per_second: float | None = None


def record(
    tx: Connection,
    job_id: str,
    fence: int,
    epochs: Sequence[Point],
    *,
    epochs_per_second: float | None = None,
) -> bool:
    """Add epochs to one running job's curve; False where the job is no longer yours."""
    if not epochs:
        return True
    return bool(record_all(tx, [Recording(job_id, fence, epochs, epochs_per_second)]))


def record_all(tx: Connection, recordings: Sequence[Recording]) -> set[str]:
    """Add epochs to the curves of running jobs, many at a time; answers which of the jobs are still yours.

    Repeating a call whose answer was lost is harmless: epochs already there are passed over. Epochs that
    would leave a gap raise `GapInCurve`, and nothing is written.
    """
    mine = held(tx, {one.job_id: one.fence for one in recordings}, jobs.c.epoch, jobs.c.last_event)
    progress: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for one in recordings:
        if (there := mine.get(one.job_id)) and (missing := _missing(one.epochs, there.epoch)):
            last = there.last_event + len(missing)
            told = {"last": last, "reached": missing[-1].epoch, "rate": one.epochs_per_second}
            progress.append({"recorded": one.job_id, **told})
            rows.extend(_rows(one.job_id, there.last_event + 1, missing))
    if progress:
        tx.execute(_PROGRESS, progress)
        tx.execute(points.insert(), rows)
    return set(mine)


_PROGRESS = (
    jobs.update()
    .where(jobs.c.id == sa.bindparam("recorded"))
    .values(
        last_event=sa.bindparam("last"),
        epoch=sa.bindparam("reached"),
        epochs_per_second=sa.bindparam("rate"),
        progress_at=now(),
    )
)
"""Of a job that is held under its fence: whoever would change it meanwhile waits."""


def _missing(epochs: Sequence[Point], there: int) -> list[Point]:
    """Those of some epochs that the curve lacks, which reaches to `there`; the first of them must be next."""
    missing = [point for point in epochs if point.epoch > there]
    numbers = [point.epoch for point in missing]
    if numbers != list(range(there + 1, there + 1 + len(numbers))):
        raise GapInCurve(f"epochs must follow each other; behind epoch {there} these do not: {numbers[:10]}")
    return missing


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
